import type { Placement } from 'tenon/tools';
import { plural } from './terminal/numbers.ts';
import type { Style } from './terminal/style.ts';
import { wrap } from './terminal/table.ts';

export interface TargetSummary {
  readonly target: string;
  readonly operators: number;
  readonly regions: number;
  /** How often each operator runs there, most frequent first. */
  readonly counts: readonly { readonly op: string; readonly count: number }[];
}

export function placementSummary(placements: readonly Placement[]): readonly TargetSummary[] {
  return [...new Set(placements.map((p) => p.target))].map((target) => {
    const mine = placements.filter((p) => p.target === target);
    return { target, operators: mine.length, regions: new Set(mine.map((p) => p.region)).size, counts: countOps(mine.map((p) => p.op)) };
  });
}

/** Names by how often they occur. */
export function countOps(ops: readonly string[]): readonly { readonly op: string; readonly count: number }[] {
  const counts = new Map<string, number>();
  for (const op of ops) counts.set(op, (counts.get(op) ?? 0) + 1);
  return [...counts].map(([op, count]) => ({ op, count })).sort((a, b) => b.count - a.count || (a.op < b.op ? -1 : 1));
}

/** A line per target. */
export function summaryLines(summary: readonly TargetSummary[], style: Style): readonly string[] {
  return summary.flatMap(({ target, operators, regions, counts }) => {
    const [first, ...more] = wrap(`${target}: ${plural(operators, 'operator')} in ${plural(regions, 'region')} (${counts.map(({ op, count }) => `${op} × ${count}`).join(', ')})`, style.width);
    return [style.paint('bold', first!.slice(0, target.length)) + first!.slice(target.length), ...more.map((line) => `  ${line}`)];
  });
}
