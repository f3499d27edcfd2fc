import type { Manifest } from 'tenon/tools';
import type { ExplainedLayout, ExplainedOperator, ExplainedSchedule, Explanation, RefusedEntry } from './explanation.ts';

type Reported = Pick<Manifest, 'regions' | 'blobs' | 'report'>;

/** What an artifact, or the compilation of one, says of its kernels. */
export function schedulesOf(manifest: Reported | null, operators: readonly ExplainedOperator[]): Pick<Explanation, 'schedules' | 'layouts'> {
  if (manifest?.report.schedules === undefined) return { schedules: null, layouts: null };
  const kernels = manifest.regions.flatMap((region) => region.variants.flatMap((v) => v.kernels.map((k) => ({ ...k, region: region.name, target: manifest.blobs[v.blob]!.target }))));
  const schedules = manifest.report.schedules.map((record): ExplainedSchedule => {
    const mine = kernels.filter((k) => k.target === record.target && record.launches.includes(k.name));
    const unique = (names: readonly string[]): string[] => [...new Set(names)];
    return {
      ...record, ops: mine.find((k) => k.ops.length > 0)?.ops ?? [], locs: unique(mine.flatMap((k) => k.locs)), regions: unique(mine.map((k) => k.region)),
      libraries: refusals(operators.filter((o) => o.target === record.target && o.kernels.some((k) => record.launches.includes(k)))),
    };
  });
  const byResult = new Map(operators.flatMap((o) => o.results.map((r) => [r, o] as const)));
  const layouts = (manifest.report.layouts ?? []).map((layout): ExplainedLayout => ({ ...layout, loc: byResult.get(layout.value)?.loc ?? null }));
  return { schedules, layouts };
}

/** Why libraries do not compute operators, each reason once. */
function refusals(operators: readonly ExplainedOperator[]): RefusedEntry[] {
  const found = new Map<string, RefusedEntry>();
  for (const { op, rejected } of operators) {
    for (const { library, rule, code, message, hint } of rejected) {
      if (library !== undefined) found.set(`${op} ${rule} ${code} ${message}`, { op, entry: rule ?? library, code, message, hint });
    }
  }
  return [...found.values()];
}
