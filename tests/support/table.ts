/** Rows as aligned columns, the first row being the heads; columns of numbers to the right. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((r) => r[i]!.length)));
  const right = rows[0]!.map((_, i) => rows.slice(1).every((r) => /^[\d.e+-]*$/.test(r[i]!)));
  return rows.map((r) => r.map((cell, i) => (right[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))).join('  ').trimEnd()).join('\n');
}
