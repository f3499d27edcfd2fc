import type { Binding, Context, GraphFunction, IRModule, Value } from '@tenon/plugin';
import { GraphFragment, ModuleUnderConstruction, resolveArgs, takenNames } from '@tenon/core';

/**
 * Replaces operator calls by their decomposition, one step, where `wanted` says so. Functions without one keep their
 * identity; calls that do not decompose stay.
 */
export function decomposeStep(module: IRModule, ctx: Context, only: ReadonlySet<string> | null, wanted: (binding: Binding) => boolean): IRModule {
  const builder = new ModuleUnderConstruction(ctx, module);
  let changed = false;
  for (const fn of module.functions.values()) {
    if (fn.kind !== 'graph' || (only !== null && !only.has(fn.name))) continue;
    const next = decomposeFunction(fn, builder, ctx, wanted);
    if (next === fn) continue;
    builder.add(next);
    changed = true;
  }
  return changed ? builder.finish() : module;
}

function decomposeFunction(fn: GraphFunction, module: ModuleUnderConstruction, ctx: Context, wanted: (binding: Binding) => boolean): GraphFunction {
  const replaced = new Map<Value, Value>();
  const current = (v: Value): Value => replaced.get(v) ?? v;
  const names = takenNames(fn);
  const out: Binding[] = [];
  let changed = false;
  for (const original of fn.bindings) {
    const binding = resolveArgs(original, current);
    if (binding !== original) changed = true;
    const values = binding.kind === 'op' && wanted(binding) ? decomposeBinding(binding, module, names, ctx) : null;
    if (values === null) {
      out.push(binding);
      continue;
    }
    changed = true;
    out.push(...values.bindings);
    binding.results.forEach((result, i) => replaced.set(result, values.values[i]!));
  }
  return changed ? { ...fn, bindings: out, results: fn.results.map(current) } : fn;
}

function decomposeBinding(
  binding: Binding, module: ModuleUnderConstruction, names: Set<string>, ctx: Context,
): { values: readonly Value[]; bindings: readonly Binding[] } | null {
  const decompose = ctx.facet(binding.callee, 'decompose');
  if (decompose === undefined) return null;
  const fragment = new GraphFragment(module, names);
  fragment.loc = binding.loc;
  const attrs = { ...ctx.operator(binding.callee)?.signature.attrs, ...binding.attrs };
  const values = decompose({ op: binding.callee, args: binding.args, attrs, results: binding.results.map((r) => r.type) }, fragment);
  return values === null ? null : { values, bindings: fragment.bindings };
}
