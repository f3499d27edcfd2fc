import type { Expr, ReductionOp, Stmt, Store } from '@tenon/plugin';
import { visitExprs, type Exprs } from '@tenon/core';

/** `out[…] = op(out[…], value)` with an associative and commutative op. */
export interface Combination {
  readonly op: ReductionOp;
  readonly store: Store;
  readonly value: Expr;
}

/** How the body of a reduction block combines; null where it is not of this form. */
export function combinationOf(store: Stmt): Combination | null {
  if (store.kind !== 'store') return null;
  const { op, args } = store.value;
  if (op !== 'add' && op !== 'mul' && op !== 'min' && op !== 'max' && op !== 'and' && op !== 'or') return null;
  const isAccumulator = (e: Expr): boolean => e.op === 'load' && e.value === store.buffer && e.args.every((a, i) => a === store.indices[i]);
  const [a, b] = args as [Expr, Expr];
  const value = isAccumulator(a) ? b : isAccumulator(b) ? a : null;
  if (value === null) return null;
  let again = false;
  for (const e of [value, ...store.indices]) visitExprs(e, (x) => void (x.op === 'load' && x.value === store.buffer && (again = true)));
  return again ? null : { op, store, value };
}

const integerRange: { readonly [dtype: string]: readonly [bigint, bigint] } = {
  i8: [-128n, 127n], i16: [-32768n, 32767n], i32: [-(2n ** 31n), 2n ** 31n - 1n], i64: [-(2n ** 63n), 2n ** 63n - 1n],
  u8: [0n, 255n], u16: [0n, 65535n], u32: [0n, 2n ** 32n - 1n], u64: [0n, 2n ** 64n - 1n],
};

/** What changes nothing when combined; null for a dtype without. */
export function identityOf(exprs: Exprs, op: ReductionOp, dtype: string): Expr | null {
  switch (op) {
    case 'add':
      return exprs.constant(0, dtype);
    case 'mul':
      return exprs.constant(1, dtype);
    case 'and':
      return exprs.constant(true, dtype);
    case 'or':
      return exprs.constant(false, dtype);
    case 'min':
    case 'max': {
      if (/^(f|bf)\d/.test(dtype)) return dtype.startsWith('f8') ? null : exprs.constant(op === 'min' ? Infinity : -Infinity, dtype);
      const range = integerRange[dtype];
      return range === undefined ? null : exprs.constant(op === 'min' ? range[1] : range[0], dtype);
    }
  }
}

export function combine(exprs: Exprs, op: ReductionOp, a: Expr, b: Expr): Expr {
  return exprs[op](a, b);
}
