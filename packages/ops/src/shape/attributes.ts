import type { AttrValue, Expr, ExprBuilder, InferCall, TensorType } from '@tenon/plugin';

/** An attribute that is a dim: a number, or an expression over dims. */
export function dimOf(exprs: ExprBuilder, value: AttrValue): Expr {
  return typeof value === 'number' || typeof value === 'bigint' ? exprs.int(value) : exprs.intern(value as Expr);
}

/** An attribute that is a list of dims. */
export function dimsOf(exprs: ExprBuilder, value: AttrValue): Expr[] {
  return (value as readonly AttrValue[]).map((v) => dimOf(exprs, v));
}

/** As {@link dimsOf}, for `infer`: refuses what is no list of dims, of another length than `length`, or negative. */
export function dimsAttr(call: InferCall, name: string, length: number | null = null, signed = false): Expr[] {
  const value = call.attrs[name];
  const isDim = (v: AttrValue): boolean => Number.isInteger(v) || typeof v === 'bigint' || (typeof v === 'object' && (v as Expr | null)?.tag === 'expr');
  if (!Array.isArray(value) || !value.every(isDim)) call.fail('attribute', `${name} must be a list of dims`);
  const dims = dimsOf(call.exprs, value);
  if (length !== null && dims.length !== length) call.fail('attribute', `${name} must have ${length} elements, not ${dims.length}`);
  dims.forEach((d, i) => {
    if (!signed && call.exprs.prove(call.exprs.lt(d, 0)) === 'yes') call.fail('size', `${name}[${i}] is negative: ${call.exprs.valueOf(d) ?? 'by its expression'}`);
  });
  return dims;
}

/** The one of `choices` that an attribute names. */
export function choiceAttr<C extends string>(call: InferCall, name: string, choices: readonly C[]): C {
  const value = call.attrs[name];
  return choices.find((c) => c === value) ?? call.fail('attribute', `${name} must be ${choices.join(' or ')}, not ${String(value)}`);
}

/** A shape as numbers where all of it is constant. */
export function staticShape(exprs: ExprBuilder, type: TensorType): number[] | null {
  const shape: number[] = [];
  for (const dim of type.shape) {
    const size = exprs.valueOf(dim);
    if (size === null) return null;
    shape.push(size);
  }
  return shape;
}

export const tensorType = (dtype: string, shape: readonly Expr[]): TensorType => ({ kind: 'tensor', dtype, shape, annotations: {} });
