import type { Expr, Value } from '@tenon/plugin';
import type { Conversion } from '../convert.ts';
import { axesOf } from '../convert.ts';
import { scopeOf, sizes } from './sizes.ts';

/** Axes given as an input that is no constant; null where they are constant, an attribute, or left out. */
function axesAtCall(c: Conversion): readonly Expr[] | null {
  return !c.has('axes') && c.optional(1) && c.integers(1) === null ? sizes(c, 1, 'axes') : null;
}

/** Whether position `p` of `rank` is among axes. */
const among = (c: Conversion, axes: readonly Expr[], p: number, rank: number): Expr =>
  axes.reduce((any, a) => c.exprs.or(any, c.exprs.or(c.exprs.eq(a, p), c.exprs.eq(a, p - rank))), c.exprs.constant(false, 'bool'));

export function squeeze(c: Conversion): readonly Value[] {
  const { exprs } = c;
  const { shape } = c.tensor(0);
  const atCall = axesAtCall(c);
  if (atCall !== null) {
    const removed = shape.map((_, p) => among(c, atCall, p, shape.length));
    const result = shape.slice(0, Math.max(0, shape.length - atCall.length)).map((_, i) => {
      let dim: Expr = exprs.int(1);
      let before: Expr = exprs.int(0);
      shape.forEach((d, p) => {
        dim = exprs.select(exprs.and(exprs.not(removed[p]!), exprs.eq(before, i)), d, dim);
        before = exprs.add(before, exprs.select(removed[p]!, 0, 1));
      });
      return dim;
    });
    return [c.b.call('shape.reshape', [c.input(0)], { shape: result })];
  }
  const axes = axesOf(c, 1, 'axes');
  const drop = (d: Expr, i: number): boolean => {
    if (axes !== null) {
      if (axes.includes(i) && exprs.prove(exprs.eq(d, 1)) === 'no') c.unsupported('onnx/invalid-shape', `axis ${i} of size ${exprs.valueOf(d) ?? '?'} cannot be squeezed`);
      return axes.includes(i);
    }
    if (exprs.valueOf(d) === null && exprs.prove(exprs.eq(d, 1), scopeOf(c)) !== 'no') {
      c.unsupported('onnx/dynamic-rank', `whether axis ${i} is squeezed depends on ${exprs.variables(d).join(', ')}`, 'name the axes, or fix the dim');
    }
    return exprs.valueOf(d) === 1;
  };
  return [c.b.call('shape.reshape', [c.input(0)], { shape: shape.filter((d, i) => !drop(d, i)) })];
}

export function unsqueeze(c: Conversion): readonly Value[] {
  const { exprs } = c;
  const { shape } = c.tensor(0);
  const atCall = axesAtCall(c);
  if (atCall !== null) {
    const rank = shape.length + atCall.length;
    let taken: Expr = exprs.int(0);
    const result = Array.from({ length: rank }, (_, i) => {
      const added = among(c, atCall, i, rank);
      // Of the axes so far as many are the input's as were not added.
      const own = shape.reduce<Expr>((dim, d, p) => exprs.select(exprs.eq(taken, p), d, dim), exprs.int(1));
      taken = exprs.add(taken, exprs.select(added, 0, 1));
      return exprs.select(added, 1, own);
    });
    return [c.b.call('shape.reshape', [c.input(0)], { shape: result })];
  }
  const count = c.has('axes') ? c.ints('axes').length : (c.integers(1)?.length ?? 0);
  const rank = shape.length + count;
  const axes = axesOf(c, 1, 'axes', rank) ?? c.unsupported('onnx/missing-input', 'axes is missing');
  const rest = [...shape];
  const result = Array.from({ length: rank }, (_, i) => (axes.includes(i) ? exprs.int(1) : rest.shift()!));
  return [c.b.call('shape.reshape', [c.input(0)], { shape: result })];
}
