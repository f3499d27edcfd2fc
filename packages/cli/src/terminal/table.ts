import { pad, textWidth, truncate, type Style } from './style.ts';

export interface Column {
  readonly title: string;
  readonly right?: boolean;
  /** The least width that it is cut to on a narrow terminal; absent: never cut. */
  readonly shrink?: number;
  /** Left out where the terminal is too narrow even for cut columns, the highest number first; absent: never. */
  readonly drop?: number;
}

const gap = '  ';

/**
 * Rows under titles, in columns as wide as their contents. Where the terminal is too narrow, the widest columns that
 * may shrink are cut first; in a pipe nothing is cut.
 */
export function formatTable(all: readonly Column[], allRows: readonly (readonly string[])[], style: Style): string {
  const kept = fitting(all, allRows, style.width);
  const columns = kept.map((i) => all[i]!);
  const rows = allRows.map((row) => kept.map((i) => row[i] ?? ''));
  const cells = rows.map((row) => row.map((cell) => cell.replaceAll(/\s*\n\s*/g, ' ')));
  const widths = columns.map((column, i) => Math.max(textWidth(column.title), ...cells.map((row) => textWidth(row[i] ?? ''))));
  shrink(widths, columns, style.width - gap.length * (columns.length - 1));
  const line = (row: readonly string[], paint: (text: string) => string = (text) => text): string =>
    columns.map((column, i) => paint(pad(truncate(row[i] ?? '', widths[i]!), widths[i]!, column.right ?? false))).join(gap).trimEnd();
  return [line(columns.map((c) => c.title), (text) => style.paint('bold', text)), ...cells.map((row) => line(row))].join('\n');
}

/** The columns that there is room for. */
function fitting(columns: readonly Column[], rows: readonly (readonly string[])[], width: number): number[] {
  const least = columns.map((column, i) => Math.min(column.shrink ?? Infinity, Math.max(textWidth(column.title), ...rows.map((row) => textWidth(row[i] ?? '')))));
  let kept = columns.map((_, i) => i);
  for (;;) {
    const last = kept.reduce<number | null>((found, i) => ((columns[i]!.drop ?? 0) > (found === null ? 0 : columns[found]!.drop!) ? i : found), null);
    if (last === null || kept.reduce((sum, i) => sum + least[i]! + gap.length, -gap.length) <= width) return kept;
    kept = kept.filter((i) => i !== last);
  }
}

function shrink(widths: number[], columns: readonly Column[], available: number): void {
  let excess = widths.reduce((a, b) => a + b, 0) - available;
  while (excess > 0) {
    const candidates = widths.map((_, i) => i).filter((i) => widths[i]! > (columns[i]!.shrink ?? Infinity));
    if (candidates.length === 0) return;
    const widest = Math.max(...candidates.map((i) => widths[i]!));
    for (const i of candidates) {
      if (widths[i] !== widest || excess <= 0) continue;
      widths[i]!--;
      excess--;
    }
  }
}

/** Two columns without titles: names and what they are. */
export function formatList(entries: readonly (readonly [string, string])[], style: Style, indent = ''): string {
  const width = Math.max(0, ...entries.map(([name]) => textWidth(name)));
  return entries.map(([name, text]) => {
    const start = indent + pad(name, width) + gap;
    return indent + style.paint('cyan', pad(name, width)) + gap + wrap(text, style.width - textWidth(start)).join(`\n${' '.repeat(textWidth(start))}`);
  }).join('\n');
}

/** Lines of at most `width` columns, broken between words. */
export function wrap(text: string, width: number): string[] {
  if (textWidth(text) <= width || width < 16) return [text];
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && textWidth(line) + 1 + textWidth(word) > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  lines.push(line);
  return lines;
}
