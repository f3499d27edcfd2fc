import type { Expr, ExprBuilder, HostTensor, InferCall, TypedArray } from '@tenon/plugin';
import { allocate, elementCount, forEachIndex, type NumericTensor } from '../common/host-tensor.ts';
import { staticShape } from './attributes.ts';

/** Tensors above this many elements are data: their elements are not followed as dims. */
const contentsLimit = 1024;

/** Copies one element between tensors of one dtype. */
export function copyElement(from: TypedArray, at: number, to: TypedArray, position: number): void {
  (to as Float64Array)[position] = (from as Float64Array)[at]!;
}

/**
 * A tensor of `shape` whose element at an index is element `source(index)` of x, row-major; where that is negative, the
 * element is `fill` (0 by default).
 */
export function rearrange(x: HostTensor, shape: readonly number[], source: (index: readonly number[], position: number) => number, fill?: HostTensor): NumericTensor {
  const out = allocate(x.dtype, shape);
  const data = x.data as TypedArray;
  forEachIndex(shape, (index, position) => {
    const from = source(index, position);
    if (from >= 0) copyElement(data, from, out.data, position);
    else if (fill !== undefined) copyElement(fill.data as TypedArray, 0, out.data, position);
  });
  return out;
}

/** Row-major position of an index. */
export function flatten(index: readonly number[], shape: readonly number[]): number {
  let position = 0;
  for (let axis = 0; axis < shape.length; axis++) position = position * shape[axis]! + index[axis]!;
  return position;
}

/** Contents of the single result of a call that moves elements: `element` gives one by its index; null where it is unknown. */
export function movedContents(
  call: InferCall, resultShape: readonly Expr[], element: (index: readonly number[]) => Expr | null,
): readonly (readonly Expr[] | null)[] {
  const shape = staticShape(call.exprs, { kind: 'tensor', dtype: 'i64', shape: resultShape, annotations: {} });
  if (shape === null || elementCount(shape) > contentsLimit) return [null];
  const result: Expr[] = [];
  let known = true;
  forEachIndex(shape, (index) => {
    const e = known ? element(index) : null;
    if (e === null) known = false;
    else result.push(e);
  });
  return [known ? result : null];
}

/** Known contents of integer argument i together with its shape as numbers. */
export function knownArgument(call: InferCall, i: number): { readonly elements: readonly Expr[]; readonly shape: readonly number[] } | null {
  const type = call.args[i];
  if (type?.kind !== 'tensor') return null;
  const elements = call.contents(i);
  const shape = elements === null ? null : staticShape(call.exprs, type);
  return elements === null || shape === null || elements.length !== elementCount(shape) ? null : { elements, shape };
}

/** The expression at position `at` of a short list, where `at` is only known at run time: a balanced tree of selects. */
export function choose(exprs: ExprBuilder, at: Expr, values: readonly Expr[], first = 0): Expr {
  if (values.length === 1) return values[0]!;
  const half = values.length >> 1;
  return exprs.select(exprs.lt(at, first + half), choose(exprs, at, values.slice(0, half), first), choose(exprs, at, values.slice(half), first + half));
}

/** Row-major position of an index, as an expression. */
export function flattenExprs(exprs: ExprBuilder, indices: readonly Expr[], shape: readonly Expr[]): Expr {
  let flat = exprs.int(0);
  indices.forEach((index, axis) => {
    flat = exprs.add(exprs.mul(flat, shape[axis]!), index);
  });
  return flat;
}

/** Indices of a row-major position that lies inside `shape`. */
export function unflattenExprs(exprs: ExprBuilder, flat: Expr, shape: readonly Expr[]): Expr[] {
  const result: Expr[] = [];
  let stride: Expr = exprs.int(1);
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const quotient = exprs.floordiv(flat, stride);
    const dim = shape[axis]!;
    // The outermost index of size > 1 needs no remainder: the position lies inside.
    const outermost = shape.slice(0, axis).every((d) => exprs.valueOf(d) === 1);
    result.unshift(exprs.valueOf(dim) === 1 ? exprs.int(0) : outermost ? quotient : exprs.mod(quotient, dim));
    stride = exprs.mul(stride, dim);
  }
  return result;
}
