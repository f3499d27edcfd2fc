/** Indents C statements by their braces. */
export function indent(lines: readonly string[]): string {
  let depth = 1;
  return lines
    .map((line) => {
      if (line.startsWith('}')) depth--;
      const text = line.startsWith('#') ? line : `${'  '.repeat(depth)}${line}`;
      if (line.endsWith('{')) depth++;
      return text;
    })
    .join('\n');
}
