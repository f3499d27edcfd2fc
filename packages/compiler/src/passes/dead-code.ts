import type { Binding, Context, GraphFunction, IRModule, Pass, PassContext, Phase, Value } from '@tenon/plugin';
import { graphFunctions, openFunctions, withFunctions } from '../graph.ts';

/** Removes bindings whose results nobody uses, then constants and sources that nothing mentions. */
export function deadCode(name: string, phase: Phase, order: Pick<Pass, 'after' | 'before'> = {}): Pass {
  return { name, phase, ...order, doc: 'Removes what no result depends on.', run: (module, ctx) => removeUnused(module, ctx) };
}

export function removeUnused(module: IRModule, ctx: PassContext): IRModule {
  const live = withFunctions(module, [...openFunctions(module, ctx)].map((fn) => removeDeadBindings(fn, ctx)));
  const used = new Set<string>();
  for (const fn of graphFunctions(live)) {
    for (const binding of fn.bindings) for (const arg of binding.args) if (arg?.constant) used.add(arg.name);
    for (const result of fn.results) if (result.constant) used.add(result.name);
  }
  const constants = used.size === live.constants.size ? live.constants : new Map([...live.constants].filter(([name]) => used.has(name)));
  const read = new Set<string>();
  for (const c of constants.values()) if (c.data.kind === 'range') read.add(c.data.source);
  if (constants === live.constants && read.size === live.sources.size) return live;
  return { ...live, constants, sources: new Map([...live.sources].filter(([name]) => read.has(name))) };
}

function removeDeadBindings(fn: GraphFunction, ctx: Context): GraphFunction {
  const live = new Set<Value>(fn.results);
  const kept: Binding[] = [];
  for (let i = fn.bindings.length - 1; i >= 0; i--) {
    const binding = fn.bindings[i]!;
    const effects = binding.effects !== null || (binding.kind === 'op' && ctx.facet(binding.callee, 'impure') !== undefined);
    if (!effects && !binding.results.some((r) => live.has(r))) continue;
    kept.push(binding);
    for (const arg of binding.args) if (arg !== null) live.add(arg);
  }
  return kept.length === fn.bindings.length ? fn : { ...fn, bindings: kept.reverse() };
}
