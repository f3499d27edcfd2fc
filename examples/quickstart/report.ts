/** Rows under titles; numbers to the right, and the last column as long as it is. */
export function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = titles.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  const isNumber = (column: number): boolean => rows.every((row) => /^[\d.–]+$/.test(row[column]!));
  return [titles, ...rows].map((row) => row.map((cell, i) => (isNumber(i) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))).join('  ').trimEnd()).join('\n');
}

/** Names with how often they occur, the most frequent first: `nn.conv × 38, nn.relu`. */
export function countText(names: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]).map(([name, count]) => (count === 1 ? name : `${name} × ${count}`)).join(', ');
}
