import type { AttrValue, Binding, GraphFunction, IRModule, Value } from '@tenon/plugin';
import { producersOf } from '@tenon/core';
import { freshName } from '../graph.ts';
import type { Claim } from './claim.ts';

export interface Region {
  readonly name: string;
  readonly target: string;
  readonly bindings: readonly Binding[];
}

/**
 * Cuts a labelled function into regions: one label at one stage, where
 * `stage(n) = max over producers p of (label(p) = label(n) ? stage(p) : stage(p) + 1)`, and the operators of one match
 * (one claim) count as one node n. Regions are convex and their
 * order acyclic by construction: an edge between regions always leads to a higher stage.
 */
export function cutRegions(fn: GraphFunction, labels: ReadonlyMap<Binding, Claim>, order: readonly string[]): readonly Omit<Region, 'name'>[] {
  const producers = producersOf(fn);
  const stages = new Map<Claim, number>();
  const stageOf = (binding: Binding): number => {
    const claim = labels.get(binding)!;
    let stage = 0;
    for (const arg of binding.args) {
      const producer = arg === null ? undefined : producers.get(arg);
      if (producer === undefined) continue;
      const other = labels.get(producer)!;
      if (other === claim) continue;
      stage = Math.max(stage, (stages.get(other) ?? 0) + (other.target === claim.target ? 0 : 1));
    }
    return stage;
  };
  // The operators of a match share a stage, which one walk may set too low for those before its root: until it settles.
  for (let settled = false; !settled; ) {
    settled = true;
    for (const binding of fn.bindings) {
      const claim = labels.get(binding)!;
      const stage = stageOf(binding);
      if (stage <= (stages.get(claim) ?? -1)) continue;
      stages.set(claim, stage);
      settled = false;
    }
  }
  const groups = new Map<string, { target: string; stage: number; bindings: Binding[] }>();
  for (const binding of fn.bindings) {
    const claim = labels.get(binding)!;
    const { target } = claim;
    const stage = stages.get(claim)!;
    const key = `${stage} ${target}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { target, stage, bindings: [binding] });
    else group.bindings.push(binding);
  }
  return [...groups.values()].sort((a, b) => a.stage - b.stage || order.indexOf(a.target) - order.indexOf(b.target));
}

/** Moves every region into a graph function of its own, called by a region binding. */
export function outlineRegions(
  module: IRModule, fn: GraphFunction, labels: ReadonlyMap<Binding, Claim>, order: readonly string[],
): { module: IRModule; regions: readonly Region[] } {
  const host = order.at(-1)!;
  const functions = new Map(module.functions);
  const regions: Region[] = [];
  const calls: Binding[] = [];
  const groups = cutRegions(fn, labels, order);
  const usedBy = new Map<Value, Set<Binding>>();
  for (const binding of fn.bindings) {
    for (const arg of binding.args) {
      if (arg === null || arg.constant) continue;
      const users = usedBy.get(arg) ?? new Set();
      users.add(binding);
      usedBy.set(arg, users);
    }
  }
  const modelResults = new Set(fn.results);
  for (const group of groups) {
    const inside = new Set(group.bindings);
    const defined = new Set(group.bindings.flatMap((b) => b.results));
    const outside = new Set<Value>();
    for (const binding of group.bindings) {
      for (const arg of binding.args) if (arg !== null && !arg.constant && !defined.has(arg)) outside.add(arg);
    }
    const params = [...outside];
    const results = [...defined].filter((v) => modelResults.has(v) || [...(usedBy.get(v) ?? [])].some((b) => !inside.has(b)));
    const name = freshName(functions, `region_${regions.length}_${group.target}`);
    const guards = [...new Set(group.bindings.flatMap((b) => labels.get(b)!.guards))];
    const region: GraphFunction = {
      kind: 'graph', name, params, bindings: group.bindings, results, resultNames: results.map((r) => r.name),
      attrs: {
        target: group.target,
        ...(guards.length === 0 ? {} : { guards }),
        // What a code generator for operators needs to know: which rule took which of them.
        ...(group.target === host ? {} : { matches: matchesOf(group.bindings, labels) }),
      },
    };
    functions.set(name, region);
    regions.push({ name, target: group.target, bindings: group.bindings });
    calls.push({ kind: 'region', callee: name, args: params, scalars: [], attrs: {}, results, effects: null, loc: null });
  }
  functions.set(fn.name, { ...fn, bindings: calls });
  return { module: { ...module, functions }, regions };
}


function matchesOf(bindings: readonly Binding[], labels: ReadonlyMap<Binding, Claim>): AttrValue[] {
  return [...new Set(bindings.map((b) => labels.get(b)!))].map((claim) => ({
    rule: claim.rule, results: claim.bindings.flatMap((b) => b.results.map((r) => r.name)),
  }));
}
