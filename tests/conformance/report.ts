import { columns } from '../support/table.ts';
import { counted, scored, type Case } from './cases.ts';
import type { Outcome, Status } from './protocol.ts';

export interface Result {
  readonly case: Case;
  readonly outcome: Outcome;
}

export type Tally = { readonly [S in Status]: number } & { readonly total: number };

export function tally(results: readonly Result[]): Tally {
  const of = (status: Status): number => results.filter((r) => r.outcome.status === status).length;
  return { pass: of('pass'), wrong: of('wrong'), unsupported: of('unsupported'), error: of('error'), total: results.length };
}

/** `counted`: the cases of kind `node` that count. `old`: those of kind `node-old` under the same conditions. `all`: every case that ran. */
export interface Counts {
  readonly counted: Tally;
  readonly old: Tally;
  readonly all: Tally;
}
export const countsOf = (results: readonly Result[]): Counts => ({
  counted: tally(results.filter((r) => counted(r.case))),
  old: tally(results.filter((r) => r.case.kind === 'node-old' && scored(r.case))),
  all: tally(results),
});

/** The report for machines. */
export function toJson(results: readonly Result[]): unknown {
  return {
    counts: countsOf(results),
    cases: results.map(({ case: c, outcome }) => ({
      kind: c.kind, case: c.case, tier: c.tier, dtypes: c.dtypes, opset: c.opset,
      status: outcome.status, code: outcome.code, message: outcome.message, ms: outcome.ms,
    })),
  };
}

/** The report for people: a line per operator, then what went wrong, then totals. */
export function toText(results: readonly Result[]): string {
  const byOp = new Map<string, Result[]>();
  for (const r of results) {
    const name = /\[\d+\]$/.test(r.case.op) ? `(${r.case.kind})` : r.case.op;
    byOp.set(name, [...(byOp.get(name) ?? []), r]);
  }
  const rows = [...byOp].sort(([a], [b]) => (a < b ? -1 : 1)).map(([op, rs]) => {
    const t = tally(rs);
    const reasons = [...new Set(rs.filter((r) => r.outcome.status === 'unsupported').map((r) => r.outcome.code!))];
    return [op, t.total, t.pass, t.unsupported, t.wrong, t.error, reasons.join(', ')].map(String);
  });
  const table = columns([['operator', 'cases', 'pass', 'unsupported', 'wrong', 'error', 'refused with'], ...rows]);
  const problems = results.filter((r) => r.outcome.status === 'wrong' || r.outcome.status === 'error')
    .map(({ case: c, outcome: o }) => `${o.status}: ${c.kind}/${c.case}${o.code === null ? '' : ` [${o.code}]`}: ${(o.message ?? '').split('\n')[0]}`);
  const { counted: n, old, all } = countsOf(results);
  const line = (what: string, t: Tally): string =>
    `${what}: ${t.pass} of ${t.total} pass (${percent(t)} %), ${t.unsupported} unsupported, ${t.wrong} wrong, ${t.error} in error`;
  return [table, ...problems, line('counted', n), line('node-old', old), line('all', all)].join('\n');
}

export const percent = (t: Tally): string => ((100 * t.pass) / Math.max(1, t.total)).toFixed(1);
