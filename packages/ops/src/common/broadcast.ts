import type { Expr, ExprBuilder, InferCall } from '@tenon/plugin';

/**
 * The dims that two dims broadcast to: they are equal, or one of them is the constant 1. Where neither can be shown,
 * the call is refused: whether a symbolic dim is 1 must be known when the model is compiled.
 */
export function broadcastDims(call: InferCall, a: Expr, b: Expr): Expr {
  const { exprs } = call;
  if (a === b) return a;
  if (exprs.valueOf(a) === 1) return b;
  if (exprs.valueOf(b) === 1) return a;
  const equal = exprs.prove(exprs.eq(a, b));
  // A constant says more than an equal expression.
  if (equal === 'yes') return exprs.valueOf(b) === null ? a : b;
  const names = [...new Set([...exprs.variables(a), ...exprs.variables(b)])];
  const show = (e: Expr): string => String(exprs.valueOf(e) ?? `an expression of ${exprs.variables(e).join(', ')}`);
  return call.fail(
    'broadcast',
    `sizes ${show(a)} and ${show(b)} do not broadcast`,
    names.length > 0 ? `Fix or relate the dims ${names.join(', ')} so that both sizes are equal or one is 1.` : undefined,
  );
}

/** numpy's broadcast of any number of shapes, aligned at the last axis. */
export function broadcastShapes(call: InferCall, shapes: readonly (readonly Expr[])[]): Expr[] {
  const rank = Math.max(0, ...shapes.map((s) => s.length));
  return Array.from({ length: rank }, (_, axis) => {
    let dim = call.exprs.int(1);
    for (const shape of shapes) {
      const own = shape[axis - rank + shape.length];
      if (own !== undefined) dim = broadcastDims(call, dim, own);
    }
    return dim;
  });
}

/** Indices into an operand of `shape` for indices of the broadcast result. */
export function broadcastIndex(exprs: ExprBuilder, indices: readonly Expr[], shape: readonly Expr[]): Expr[] {
  const offset = indices.length - shape.length;
  return shape.map((dim, axis) => (exprs.valueOf(dim) === 1 ? exprs.int(0) : indices[axis + offset]!));
}

/** For every element of `to`, row-major, the row-major position in an operand of shape `from`. */
export function broadcastOffsets(from: readonly number[], to: readonly number[]): Int32Array {
  const offset = to.length - from.length;
  const steps = Array.from({ length: to.length }, () => 0);
  for (let axis = from.length - 1, stride = 1; axis >= 0; axis--) {
    if (from[axis] !== 1) steps[axis + offset] = stride;
    stride *= from[axis]!;
  }
  const count = to.reduce((n, d) => n * d, 1);
  const result = new Int32Array(count);
  const index = Array.from({ length: to.length }, () => 0);
  for (let i = 0, at = 0; i < count; i++) {
    result[i] = at;
    for (let axis = to.length - 1; axis >= 0; axis--) {
      at += steps[axis]!;
      if (++index[axis]! < to[axis]!) break;
      at -= steps[axis]! * to[axis]!;
      index[axis] = 0;
    }
  }
  return result;
}
