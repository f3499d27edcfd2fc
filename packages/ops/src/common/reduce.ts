import type { Buffer, Expr, ExprLike, TensorBuilder } from '@tenon/plugin';

/** `b.reduce`, also over a domain that is known to be empty, where no point of the domain would write `init`. */
export function reduceOver(
  b: TensorBuilder, out: Buffer, domain: readonly ExprLike[], init: Expr,
  step: (accumulator: Expr, indices: readonly Expr[], r: readonly Expr[]) => Expr,
): void {
  if (domain.some((d) => d === 0 || (typeof d !== 'number' && b.exprs.valueOf(d) === 0))) b.compute(out, () => init);
  else b.reduce(out, domain, init, step);
}
