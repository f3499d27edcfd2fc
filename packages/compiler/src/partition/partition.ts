import { diagnostic, entryFunction, TenonError, type Binding, type GraphFunction, type IRModule, type Placement } from '@tenon/plugin';
import { type ResolvedTarget, type Session } from '@tenon/core';
import { claimGreedily, type Claims } from './claim.ts';
import { decomposeStep } from './legalize.ts';
import { freshName } from '../graph.ts';
import { outlineRegions, type Region } from './regions.ts';

export interface Partitioned {
  readonly module: IRModule;
  readonly placements: readonly Placement[];
}

/** Decompositions may nest this deep. */
const roundLimit = 32;

/**
 * Places every operator of the model: offer, claim, decompose what nobody claimed by one step, until nothing is left.
 * Refuses with the full list of operators that no target takes.
 */
export function partition(module: IRModule, session: Session, targets: readonly ResolvedTarget[]): Partitioned {
  const offered = session.config.partition?.strategy === 'host' ? targets.slice(-1) : targets;
  const { module: lowered, claims, unclaimed } = claimAll(module, entryOf(module).name, session, offered);
  if (unclaimed.length > 0) throw unsupported(unclaimed, claims);
  return finish(lowered, entryOf(lowered), claims, session, targets);
}

/** Claims the operators of a function, decomposing those that nobody takes as far as that goes. */
function claimAll(
  module: IRModule, name: string, session: Session, targets: readonly ResolvedTarget[],
): { module: IRModule; claims: Claims; unclaimed: readonly Binding[] } {
  let current = module;
  for (let round = 0; ; round++) {
    const fn = current.functions.get(name) as GraphFunction;
    const claims = claimGreedily(fn, current, session, targets);
    const unclaimed = fn.bindings.filter((b) => !claims.labels.has(b));
    if (unclaimed.length === 0 || round === roundLimit) return { module: current, claims, unclaimed };
    // A binding whose arguments were replaced in the same walk is a new object with the same results.
    const unclaimedResults = new Set(unclaimed.map((b) => b.results));
    const next = decomposeStep(current, session, new Set([name]), (b) => unclaimedResults.has(b.results));
    if (next === current) return { module: current, claims, unclaimed };
    current = next;
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

function finish(module: IRModule, fn: GraphFunction, claims: Claims, session: Session, targets: readonly ResolvedTarget[]): Partitioned {
  const order = targets.map((t) => t.name);
  const { module: cut, regions } = outlineRegions(module, fn, claims.labels, order);
  const outlined = session.config.partition?.fallback === 'none' ? cut : addVariants(cut, regions, session, targets.at(-1)!);
  const regionOf = new Map<Binding, string>();
  for (const region of regions) for (const b of region.bindings) regionOf.set(b, region.name);
  const placements = fn.bindings.map((b): Placement => {
    const claim = claims.labels.get(b)!;
    return {
      op: b.callee, loc: b.loc, results: b.results.map((r) => r.name), target: claim.target, rule: claim.rule, region: regionOf.get(b)!,
      rejected: (claims.rejected.get(b) ?? []).filter((r) => r.target !== claim.target),
    };
  });
  return { module: outlined, placements: session.hooks.partitioned.call(placements, outlined) };
}

/** Every operator of a model that no target takes, in one diagnostic. */
function unsupported(unclaimed: readonly Binding[], claims: Claims): TenonError {
  const byOp = new Map<string, Binding[]>();
  for (const b of unclaimed) byOp.set(b.callee, [...(byOp.get(b.callee) ?? []), b]);
  const related = [...byOp].map(([op, bindings]) => {
    const reasons = bindings.flatMap((b) => claims.rejected.get(b) ?? []);
    const reason = reasons.find((r) => r.rule !== null) ?? reasons[0];
    const places = bindings.map((b) => b.loc ?? `%${b.results[0]?.name ?? '?'}`);
    return diagnostic({
      code: reason?.code ?? 'partition/no-rule', op, loc: bindings[0]!.loc, hint: reason?.hint ?? null,
      message: `${op} × ${bindings.length} (${places.slice(0, 3).join(', ')}${places.length > 3 ? ', …' : ''}): ${reason?.message ?? 'no target takes it'}`,
    });
  });
  return new TenonError({
    code: 'partition/unsupported',
    message: `no target takes ${unclaimed.length === 1 ? 'this operator' : `these ${unclaimed.length} operators`}: ${related.map((d) => d.message).join('; ')}`,
    hint: 'Add a target that takes them, or a decomposition into operators that a target takes.',
    related,
  });
}
