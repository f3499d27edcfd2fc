import type { Buffer, Expr, ExprBuilder, ExprLike, TensorBuilder } from '@tenon/plugin';

/** The position that a gather reads: negative indices count from the back, what is outside is clamped. */
export function readPosition(index: number, size: number): number {
  return Math.max(0, Math.min(index < 0 ? index + size : index, size - 1));
}

/** As {@link readPosition}, of an integer element. Inside `0 … size − 1` wherever the axis is not empty. */
export function readPositionExpr(exprs: ExprBuilder, index: Expr, size: Expr): Expr {
  const wrapped = wrapped64(exprs, index, size);
  return exprs.max(exprs.min(wrapped, exprs.sub(size, 1)), 0);
}

/** An integer element as i64, counted from the front. */
export function wrapped64(exprs: ExprBuilder, index: Expr, size: ExprLike): Expr {
  const i = exprs.cast(index, 'i64');
  return exprs.select(exprs.lt(i, 0), exprs.add(i, size), i);
}

/** `load` where no axis of `sizes` can be empty at run time while the result is not, else guarded by that. */
export function guardedLoad(b: TensorBuilder, buffer: Buffer, sizes: readonly Expr[], at: readonly Expr[]): Expr {
  let inside = b.exprs.constant(true, 'bool');
  for (const size of sizes) if (b.exprs.valueOf(size) === null) inside = b.exprs.and(inside, b.exprs.lt(b.exprs.int(0), size));
  return b.exprs.select(inside, b.load(buffer, at), b.exprs.constant(0, buffer.dtype));
}
