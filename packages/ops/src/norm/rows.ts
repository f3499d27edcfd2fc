import type { Buffer, Expr, InferCall, TensorBuilder, TensorType } from '@tenon/plugin';
import { broadcastDims } from '../common/broadcast.ts';
import { elementCount } from '../common/host-tensor.ts';

export const inserted = <T>(list: readonly T[], at: number, value: T): T[] => [...list.slice(0, at), value, ...list.slice(at)];
export const without = <T>(list: readonly T[], at: number): T[] => [...list.slice(0, at), ...list.slice(at + 1)];

/** A shape as `[outer, size, inner]` around an axis: element (o, k, i) lies at `(o * size + k) * inner + i`. */
function around(shape: readonly number[], axis: number): { readonly outer: number; readonly size: number; readonly inner: number } {
  return { outer: elementCount(shape.slice(0, axis)), size: shape[axis] ?? 1, inner: elementCount(shape.slice(axis + 1)) };
}

/** Calls `fn` for every line of a tensor along an axis: its first position and the step between its elements. */
export function forEachLine(shape: readonly number[], axis: number, fn: (start: number, step: number, size: number) => void): void {
  const { outer, size, inner } = around(shape, axis);
  for (let o = 0; o < outer; o++) for (let i = 0; i < inner; i++) fn(o * size * inner + i, inner, size);
}

/** Refuses argument i where it does not broadcast to `shape` alone, without widening it. */
export function broadcastsTo(call: InferCall, i: number, shape: readonly Expr[]): void {
  const own = call.tensor(i).shape;
  if (own.length > shape.length) call.fail('rank', `argument ${i} has rank ${own.length}, more than the ${shape.length} axes that it is applied to`);
  own.forEach((dim, k) => {
    const against = shape[shape.length - own.length + k]!;
    const wide = broadcastDims(call, against, dim);
    if (wide !== against && call.exprs.prove(call.exprs.eq(wide, against)) !== 'yes') {
      call.fail('broadcast', `argument ${i} does not broadcast to the shape that it is applied to`);
    }
  });
}

/** Refuses argument i where it is no vector with one element per channel. */
export function perChannel(call: InferCall, i: number, channels: Expr): TensorType {
  const type = call.tensor(i);
  if (type.shape.length !== 1) call.fail('rank', `argument ${i} must have rank 1, not ${type.shape.length}`);
  if (call.exprs.prove(call.exprs.eq(type.shape[0]!, channels)) !== 'yes') {
    call.fail('shape', `argument ${i} must have one element per channel`, 'Sizes must be known to be equal: fix or relate the dims of the inputs.');
  }
  return type;
}

/** The number of points of a domain as a floating-point scalar. */
export const countOf = (b: TensorBuilder, domain: readonly Expr[], dtype: string): Expr => b.exprs.cast(b.exprs.product(domain), dtype);

/**
 * Mean and reciprocal standard deviation of rows, in two passes: `1 / sqrt(variance + epsilon)`, where the variance is the
 * mean of squared distances from the mean. `at` gives the element of a row's point r.
 */
export function rowStatistics(
  b: TensorBuilder, dtype: string, rows: readonly Expr[], domain: readonly Expr[], epsilon: number,
  at: (row: readonly Expr[], r: readonly Expr[]) => Expr,
): { readonly mean: Buffer; readonly inverse: Buffer } {
  const { exprs: e } = b;
  const count = countOf(b, domain, dtype);
  const zero = e.constant(0, dtype);
  const sum = b.alloc('sum', dtype, rows);
  b.reduce(sum, domain, zero, (acc, row, r) => e.add(acc, at(row, r)));
  const mean = b.alloc('row_mean', dtype, rows);
  b.compute(mean, (row) => e.div(b.load(sum, row), count));
  const squares = b.alloc('squares', dtype, rows);
  b.reduce(squares, domain, zero, (acc, row, r) => {
    const distance = e.sub(at(row, r), b.load(mean, row));
    return e.add(acc, e.mul(distance, distance));
  });
  const inverse = b.alloc('row_inverse', dtype, rows);
  b.compute(inverse, (row) =>
    e.div(e.constant(1, dtype), e.call('sqrt', [e.add(e.div(b.load(squares, row), count), e.constant(epsilon, dtype))])));
  return { mean, inverse };
}
