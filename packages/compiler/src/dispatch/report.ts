import type { Placement, RejectedAlternative } from '@tenon/plugin';

/** What computes one operator of a kernel region, and which entries of libraries do not. */
export interface DispatchRecord {
  readonly target: string;
  readonly region: string;
  readonly op: string;
  /** Names of the values that it defines. */
  readonly results: readonly string[];
  /** `LIBRARY/ENTRY`; null: generated code. */
  readonly library: string | null;
  readonly rejected: readonly RejectedAlternative[];
}

/** Says in the placements which library computes each operator, and why others do not. */
export function withLibraries(placements: readonly Placement[], records: readonly DispatchRecord[]): readonly Placement[] {
  if (records.length === 0) return placements;
  const byValue = new Map<string, DispatchRecord>();
  for (const record of records) for (const result of record.results) byValue.set(`${record.region} ${result}`, record);
  return placements.map((p) => {
    const record = byValue.get(`${p.region} ${p.results[0] ?? ''}`);
    if (record === undefined) return p;
    return { ...p, ...(record.library === null ? {} : { library: record.library }), rejected: [...p.rejected, ...record.rejected.map((r) => ({ ...r, library: (r.rule ?? '').replace(/\/.*$/, '') }))] };
  });
}
