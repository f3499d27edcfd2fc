import type { Expr, Scope } from '@tenon/plugin';
import type { Exprs } from '@tenon/core';
import { IterMap } from './iter-map.ts';

/** `(i, j) → (floordiv(j, 4), i, j % 4)`: how indices of a buffer, or iteration variables of a block, change. */
export interface IndexMap {
  readonly inputs: readonly string[];
  readonly outputs: readonly Expr[];
}

/** The sizes of the axes after the map, from sizes before it; null where they cannot be told. */
export function mappedShape(exprs: Exprs, map: IndexMap, shape: readonly Expr[], scope: Scope): Expr[] | null {
  const iters = iterMapOf(exprs, map, shape, scope);
  const sizes = map.outputs.map((e) => {
    const sum = iters.parse(e);
    if (sum === null || sum.offset !== exprs.zero) return null;
    return sum.terms.reduce<Expr>((last, t) => exprs.add(last, exprs.mul(t.scale, exprs.sub(t.digit.extent, 1))), exprs.one);
  });
  return sizes.includes(null) ? null : (sizes as Expr[]);
}

export function iterMapOf(exprs: Exprs, map: IndexMap, shape: readonly Expr[], scope: Scope): IterMap {
  const extents = new Map(map.inputs.map((name, k) => [name, shape[k]!]));
  const facts = new Map(scope);
  for (const [name, extent] of extents) facts.set(name, { min: 0, max: exprs.sub(extent, 1) });
  return new IterMap(exprs, facts, extents);
}

export function applyMap(exprs: Exprs, map: IndexMap, indices: readonly Expr[]): Expr[] {
  const values = new Map(map.inputs.map((name, k) => [name, indices[k]!]));
  return map.outputs.map((e) => exprs.substitute(e, values));
}
