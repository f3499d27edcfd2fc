import type { AttrValue, Binding, Expr, GraphFunction, Pass, Phase, Value } from '@tenon/plugin';
import { resolveArgs } from '@tenon/core';
import { openFunctions, isPure, withFunctions } from '../graph.ts';

/** Merges pure operator calls with equal operators, arguments and attributes. */
export function commonSubexpressions(name: string, phase: Phase, order: Pick<Pass, 'after' | 'before'> = {}): Pass {
  return {
    name, phase, ...order,
    doc: 'Computes equal values once.',
    run: (module, ctx) => withFunctions(module, [...openFunctions(module, ctx)].map((fn) => mergeEqual(fn, (b) => isPure(b, ctx)))),
  };
}

function mergeEqual(fn: GraphFunction, pure: (b: Binding) => boolean): GraphFunction {
  const ids = new Map<Value, number>();
  const idOf = (v: Value | null): string => {
    if (v === null) return '_';
    if (v.constant) return `@${v.name}`;
    let id = ids.get(v);
    if (id === undefined) {
      id = ids.size;
      ids.set(v, id);
    }
    return String(id);
  };
  const seen = new Map<string, Binding>();
  const replaced = new Map<Value, Value>();
  const current = (v: Value): Value => replaced.get(v) ?? v;
  const out: Binding[] = [];
  let changed = false;
  for (const original of fn.bindings) {
    const binding = resolveArgs(original, current);
    if (binding !== original) changed = true;
    if (pure(binding)) {
      const key = `${binding.callee}(${binding.args.map(idOf).join()})${attrKey(binding.attrs)}`;
      const before = seen.get(key);
      if (before !== undefined) {
        binding.results.forEach((r, i) => replaced.set(r, before.results[i]!));
        changed = true;
        continue;
      }
      seen.set(key, binding);
    }
    out.push(binding);
  }
  return changed ? { ...fn, bindings: out, results: fn.results.map(current) } : fn;
}

/** Attributes as a key: equal keys mean equal attributes within a session. */
export function attrKey(a: AttrValue): string {
  if (a === null) return '_';
  switch (typeof a) {
    case 'string': return JSON.stringify(a);
    case 'number': return Object.is(a, -0) ? '-0' : String(a);
    case 'bigint': return `${a}n`;
    case 'boolean': return String(a);
    default:
      if (Array.isArray(a)) return `[${a.map(attrKey).join()}]`;
      if ((a as Expr).tag === 'expr') return `#${(a as Expr).id}`;
      return `{${Object.entries(a as { [name: string]: AttrValue }).sort(([x], [y]) => (x < y ? -1 : 1)).map(([k, v]) => `${k}:${attrKey(v)}`).join()}}`;
  }
}
