import type { Expr, TensorFunction } from '@tenon/plugin';
import { expressionsOf, visitStmts } from '@tenon/core';

/** Dims and scalars that a tensor function mentions without binding them, by name. */
export function freeDims(fn: TensorFunction): readonly string[] {
  const free = new Set<string>();
  const bound = new Set<string>();
  const seen = new Set<Expr>();
  const visit = (e: Expr): void => {
    if (seen.has(e)) return;
    seen.add(e);
    if (e.op === 'var') free.add(e.value as string);
    e.args.forEach(visit);
  };
  for (const b of [...fn.inputs, ...fn.outputs]) b.shape.forEach(visit);
  visitStmts(fn.body, (s) => {
    if (s.kind === 'for' || s.kind === 'let') bound.add(s.variable);
    if (s.kind === 'block') for (const iter of s.iters) bound.add(iter.name);
    expressionsOf(s).forEach(visit);
  });
  return [...free].filter((name) => !bound.has(name)).sort();
}

/** The function with every free dim that no argument's shape gives it as a scalar. */
export function withScalars(fn: TensorFunction): TensorFunction {
  const given = new Set<string>();
  const visit = (e: Expr): void => {
    if (e.op === 'var') given.add(e.value as string);
    e.args.forEach(visit);
  };
  for (const b of [...fn.inputs, ...fn.outputs]) b.shape.forEach(visit);
  return { ...fn, scalars: freeDims(fn).filter((name) => !given.has(name)) };
}
