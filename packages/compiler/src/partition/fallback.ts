import type { Diagnostic, Placement, RejectedAlternative, TargetShare } from '@tenon/plugin';
import type { Session } from '@tenon/core';
import type { Generation } from '../link/codegen.ts';
import type { Partitioned } from './partition.ts';

/** What the host would run an operator by, where its region falls back to it. */
export interface HostPlacement {
  readonly rule: string;
  readonly estimate: NonNullable<Placement['estimate']> | null;
}

/**
 * The partition as it will run: regions without code of their own target are on the host. A code generator that failed has
 * said so; one that left out an entry is reported here.
 */
export function withFallbacks(partitioned: Partitioned, host: string, { blobs, failures }: Generation, session: Session): Pick<Partitioned, 'placements' | 'report'> {
  const { placements, report, onHost } = partitioned;
  if (session.config.partition?.fallback === 'none') return { placements, report };
  const present = new Set(blobs.flatMap(({ blob }) => blob.entries.map((e) => e.region)));
  const lost = new Map(placements.filter((p) => p.target !== host && !present.has(p.region)).map((p) => [p.region, p.target]));
  if (lost.size === 0) return { placements, report };
  const reasons = new Map<string, RejectedAlternative>();
  for (const [region, target] of lost) reasons.set(region, reasonFor(region, target, failures.get(region), session));
  const placed = placements.map((p): Placement => {
    const reason = reasons.get(p.region);
    if (reason === undefined) return p;
    const { estimate: _, ...rest } = p;
    const there = onHost.get(p.results[0] ?? '');
    return {
      ...rest, target: host, rule: there?.rule ?? 'decomposed', region: `${p.region}_on_${host}`,
      ...(there?.estimate ? { estimate: there.estimate } : {}),
      rejected: [...p.rejected.filter((r) => r.target !== host), { ...reason, rule: p.rule }],
    };
  });
  return { placements: placed, report: report === null ? null : { ...report, targets: report.targets.map((share) => moved(share, host, placements, placed)) } };
}

function reasonFor(region: string, target: string, failed: Diagnostic | undefined, session: Session): RejectedAlternative {
  if (failed !== undefined) return { target, rule: null, code: failed.code, message: failed.message, hint: failed.hint };
  const message = `${target} generated no code for ${region}, so it runs on the host`;
  const hint = 'A code generator must return an entry for every region that it is given: report this to the authors of the target.';
  session.report({ code: 'codegen/missing-entry', message, hint });
  return { target, rule: null, code: 'codegen/missing-entry', message, hint };
}

/** A target's share after some operators moved to the host; what they took goes with them. */
function moved(share: TargetShare, host: string, before: readonly Placement[], after: readonly Placement[]): TargetShare {
  const mine = after.filter((p) => p.target === share.target);
  const seconds = (placements: readonly Placement[]): number =>
    placements.reduce((sum, p) => sum + (p.target === share.target ? (p.estimate?.seconds ?? 0) : 0), 0);
  const regions = new Set(mine.map((p) => p.region)).size;
  // Launches are what the estimate holds beyond operators: they follow the number of regions.
  const launches = share.seconds - seconds(before);
  const launch = share.regions === 0 ? 0 : launches / share.regions;
  return {
    target: share.target, operators: mine.length, regions, flops: mine.reduce((sum, p) => sum + (p.estimate?.flops ?? 0), 0),
    seconds: seconds(after) + (share.target === host && share.regions === 0 ? 0 : launch * regions),
  };
}
