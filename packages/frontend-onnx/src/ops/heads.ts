import type { Expr, ExprLike, TensorType, Value } from '@tenon/plugin';
import { type Conversion, scalarConstant } from '../convert.ts';

export const typeOf = (v: Value): TensorType => v.type as TensorType;
export const dimsOf = (v: Value): readonly Expr[] => typeOf(v).shape;

/** A tensor [B, S, heads · D] as [B, heads, S, D]. */
export function splitHeads(c: Conversion, x: Value, heads: number): Value {
  const [batch, length, hidden] = dimsOf(x) as readonly [Expr, Expr, Expr];
  const split = c.b.call('shape.reshape', [x], { shape: [batch, length, heads, c.exprs.floordiv(hidden, heads)] });
  return c.b.call('shape.transpose', [split], { perm: [0, 2, 1, 3] });
}

/** A tensor [B, H, S, D] as [B, S, H · D]. */
export function mergeHeads(c: Conversion, x: Value): Value {
  const [batch, heads, length, depth] = dimsOf(x) as readonly [Expr, Expr, Expr, Expr];
  const swapped = c.b.call('shape.transpose', [x], { perm: [0, 2, 1, 3] });
  return c.b.call('shape.reshape', [swapped], { shape: [batch, length, c.exprs.mul(heads, depth)] });
}

/** An i64 tensor whose elements are their index along an axis. */
export const iota = (c: Conversion, shape: readonly ExprLike[], axis: number): Value => c.b.call('shape.iota', [], { shape, axis, dtype: 'i64' });

/** An attention mask with further keys hidden: bool masks intersect, in others hidden keys become −∞. */
export function hideIn(c: Conversion, mask: Value | null, visible: Value): Value {
  if (mask === null) return visible;
  const { dtype } = typeOf(mask);
  return dtype === 'bool' ? c.b.call('math.and', [mask, visible]) : c.b.call('math.where', [visible, mask, scalarConstant(c, -Infinity, dtype)]);
}

/**
 * Rotary embedding of input 0, [B, H, S, D] or [B, S, H · D], by tables that broadcast to [B, S, R/2]. Attributes
 * interleaved, num_heads, rotary_embedding_dim (R; 0: D).
 */
export function rotate(c: Conversion, cos: Value, sin: Value): Value {
  const { shape } = c.tensor(0);
  const interleaved = c.int('interleaved', 0) === 1;
  const rotated = c.int('rotary_embedding_dim', 0);
  const half = dimsOf(cos).at(-1)!;
  const check = (depth: Expr): void => {
    const wanted = rotated === 0 ? depth : c.exprs.int(rotated);
    if (c.exprs.prove(c.exprs.eq(c.exprs.mul(half, 2), wanted)) === 'no') c.unsupported('onnx/invalid-shape', 'the cache of cosines must have half as many columns as elements are rotated');
  };
  if (shape.length === 4) {
    check(shape[3]!);
    return c.b.call('nn.rotary_embedding', [c.input(0), cos, sin], { interleaved, sequence_axis: 2 });
  }
  if (shape.length !== 3) c.unsupported('onnx/unsupported-rank', `the input must have rank 3 or 4, not ${shape.length}`);
  const [batch, length, hidden] = shape as readonly [Expr, Expr, Expr];
  const known = c.int('num_heads', 0);
  const depth = known > 0 ? c.exprs.floordiv(hidden, known) : rotated > 0 ? c.exprs.int(rotated) : c.exprs.mul(half, 2);
  check(depth);
  const split = c.b.call('shape.reshape', [c.input(0)], { shape: [batch, length, known > 0 ? known : c.exprs.floordiv(hidden, depth), depth] });
  return c.b.call('shape.reshape', [c.b.call('nn.rotary_embedding', [split, cos, sin], { interleaved, sequence_axis: 1 })], { shape });
}
