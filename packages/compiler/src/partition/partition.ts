import { diagnostic, entryFunction, TenonError, type Binding, type GraphFunction, type IRModule, type Placement } from '@tenon/plugin';
import { type ResolvedTarget, type Session } from '@tenon/core';
import { claimGreedily, type Claims } from './claim.ts';
import { decomposeStep } from './legalize.ts';
import { outlineRegions } from './regions.ts';

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
  let current = module;
  for (let round = 0; ; round++) {
    const fn = entryOf(current);
    const claims = claimGreedily(fn, current, session, offered);
    const unclaimed = fn.bindings.filter((b) => !claims.labels.has(b));
    if (unclaimed.length === 0) return finish(current, fn, claims, session, targets);
    // A binding whose arguments were replaced in the same walk is a new object with the same results.
    const unclaimedResults = new Set(unclaimed.map((b) => b.results));
    const next = round < roundLimit ? decomposeStep(current, session, new Set([fn.name]), (b) => unclaimedResults.has(b.results)) : current;
    if (next === current) throw unsupported(unclaimed, claims);
    current = next;
  }
}

function entryOf(module: IRModule): GraphFunction {
  const fn = module.functions.get(entryFunction);
  if (fn?.kind !== 'graph') throw new TenonError({ code: 'module/no-entry', message: `the module has no graph function @${entryFunction}` });
  return fn;
}

function finish(module: IRModule, fn: GraphFunction, claims: Claims, session: Session, targets: readonly ResolvedTarget[]): Partitioned {
  const order = targets.map((t) => t.name);
  const { module: outlined, regions } = outlineRegions(module, fn, claims.labels, order, session.config.partition?.fallback ?? 'host');
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
