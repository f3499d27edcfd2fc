import { entryFunction, TenonError, type GraphFunction, type IRModule, type Binding, type PartitionReport, type Placement } from '@tenon/plugin';
import type { ResolvedTarget, Session } from '@tenon/core';
import { entryNames } from '../dispatch/entries.ts';
import type { Claim, Claims } from './claim.ts';
import { claimAll } from './claim-all.ts';
import { decideByCost, decideByOrder, type Decision } from './decide.ts';
import type { HostPlacement } from './fallback.ts';
import { freshName } from '../graph.ts';
import { outlineRegions, type Region } from './regions.ts';
import { rejectionsOf } from './rejections.ts';
import { checkRequired, reportOf } from './report.ts';
import { unsupported } from './unsupported.ts';

export interface Partitioned {
  readonly module: IRModule;
  readonly placements: readonly Placement[];
  /** null where there is only the host: nothing is to be decided. */
  readonly report: PartitionReport | null;
  /** How the host would run each operator of other targets, by the name of its first result. */
  readonly onHost: ReadonlyMap<string, HostPlacement>;
}

/**
 * Places every operator of the model: offer, claim, decompose what nobody claimed by one step, until nothing is left.
 * Refuses with the full list of operators that no target takes.
 */
export function partition(module: IRModule, session: Session, targets: readonly ResolvedTarget[]): Partitioned {
  checkTargets(session, targets);
  const { name } = entryOf(module);
  if (targets.length === 1) {
    const { module: lowered, claims, unclaimed } = claimAll(module, name, session, targets);
    if (unclaimed.length > 0) throw unsupported(unclaimed, claims.rejected);
    return finish({ module: lowered, labels: claims.labels, rejected: claims.rejected }, null, session, targets);
  }
  const strategy = session.config.partition?.strategy ?? 'cost';
  const decision = strategy === 'cost' ? decideByCost(module, name, session, targets) : decideByOrder(module, name, session, targets, strategy);
  return finish({ module: decision.module, labels: decision.labels, rejected: rejectionsOf(decision) }, decision, session, targets);
}

/** What is required must be required of targets that there are. */
function checkTargets(session: Session, targets: readonly ResolvedTarget[]): void {
  for (const option of ['require', 'costs'] as const) {
    for (const name of Object.keys(session.config.partition?.[option] ?? {})) {
      if (targets.some((t) => t.name === name) || (option === 'costs' && (session.registry.targets.has(name) || entryNames(session).includes(name)))) continue;
      session.fail({
        code: 'partition/unknown-target', message: `partition.${option}: ${name} is no target of this compilation`,
        hint: `Targets: ${targets.map((t) => t.name).join(', ')}.`,
      });
    }
  }
}

/**
 * Gives every region of another target than the host a variant for the host: the same function under `variantOf`, which
 * runs where the region's code cannot. A region with operators that the host does not take gets none.
 */
function addVariants(module: IRModule, regions: readonly Region[], session: Session, host: ResolvedTarget): IRModule {
  let functions = new Map(module.functions);
  let current: IRModule = { ...module, functions };
  for (const region of regions) {
    if (region.target === host.name) continue;
    const name = freshName(functions, `${region.name}_on_${host.name}`);
    functions.set(name, { ...(functions.get(region.name) as GraphFunction), name, attrs: { target: host.name, variantOf: region.name } });
    const { module: lowered, claims, unclaimed } = claimAll(current, name, session, [host]);
    if (unclaimed.length === 0) {
      if (lowered === current) continue;
      functions = new Map(lowered.functions);
      current = { ...lowered, functions };
      continue;
    }
    functions.delete(name);
    const [first] = unclaimed;
    const reason = claims.rejected.get(first!)?.at(-1);
    session.report({
      severity: 'note', code: 'partition/no-variant', op: first!.callee, loc: first!.loc,
      message: `${region.name} runs on ${region.target} alone, because ${host.name} does not take ${first!.callee}${reason === undefined ? '' : `: ${reason.message}`}`,
    });
  }
  return current;
}

function entryOf(module: IRModule): GraphFunction {
  const fn = module.functions.get(entryFunction);
  if (fn?.kind !== 'graph') throw new TenonError({ code: 'module/no-entry', message: `the module has no graph function @${entryFunction}` });
  return fn;
}

interface Placed {
  readonly module: IRModule;
  readonly labels: ReadonlyMap<Binding, Claim>;
  readonly rejected: Claims['rejected'];
}

function finish({ module, labels, rejected }: Placed, decision: Decision | null, session: Session, targets: readonly ResolvedTarget[]): Partitioned {
  const fn = entryOf(module);
  const order = targets.map((t) => t.name);
  const { module: cut, regions } = outlineRegions(module, fn, labels, order);
  const outlined = session.config.partition?.fallback === 'none' ? cut : addVariants(cut, regions, session, targets.at(-1)!);
  const regionOf = new Map<Binding, string>();
  for (const region of regions) for (const b of region.bindings) regionOf.set(b, region.name);
  const placements = fn.bindings.map((b): Placement => {
    const claim = labels.get(b)!;
    return {
      op: b.callee, loc: b.loc, results: b.results.map((r) => r.name), target: claim.target, rule: claim.rule, region: regionOf.get(b)!,
      ...(decision === null ? {} : { estimate: estimateOf(b, decision) }),
      rejected: (rejected.get(b) ?? []).filter((r) => r.target !== claim.target),
    };
  });
  const report = decision === null ? null : reportOf(decision, session.config.partition?.strategy ?? 'cost');
  const placed = session.hooks.partitioned.call(placements, outlined, report);
  checkRequired(session.config, placed, report);
  return { module: outlined, placements: placed, report, onHost: decision === null ? new Map() : hostPlacements(decision) };
}

function hostPlacements({ formulation, evaluator, plan }: Decision): Map<string, HostPlacement> {
  const { single, targets: k, host } = evaluator.layout;
  const { bindings, figures, offers, costs } = formulation;
  const found = new Map<string, HostPlacement>();
  bindings.forEach((binding, i) => {
    const c = single[i * k + host]!;
    if (plan.labels[i] === host || c < 0 || binding.results[0] === undefined) return;
    found.set(binding.results[0].name, { rule: offers[c]?.rule ?? 'decomposed', estimate: { ...figures[c]!, flops: costs.flopsOf(binding) } });
  });
  return found;
}

function estimateOf(binding: Binding, { formulation, plan }: Decision): NonNullable<Placement['estimate']> {
  const unit = plan.units[formulation.nodeOf.get(binding)!]!;
  const { seconds, source } = formulation.figures[unit]!;
  return { seconds: seconds / formulation.problem.candidates[unit]!.nodes.length, source, flops: formulation.costs.flopsOf(binding) };
}
