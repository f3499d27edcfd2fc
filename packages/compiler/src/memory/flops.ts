import type { Expr, ExprBuilder, Stmt, TensorFunction } from '@tenon/plugin';
import { expressionsOf, isFloat, visitExprs } from '@tenon/core';

const arithmetic = new Set(['add', 'sub', 'mul', 'div', 'min', 'max', 'truncmod', 'call']);

/**
 * Floating-point operations of a lowered function, as a formula in dims: every arithmetic operation and intrinsic counts
 * one, a fused multiply-add two. Where a branch decides, its first side counts (full tiles before their edges).
 */
export function flopsOf(fn: TensorFunction, exprs: ExprBuilder): Expr {
  const count = (stmt: Stmt): Expr => {
    let own = 0;
    const seen = new Set<Expr>();
    for (const e of expressionsOf(stmt)) visitExprs(e, (x) => void (arithmetic.has(x.op) && isFloat(x.dtype) && own++), seen);
    const here = exprs.int(own);
    switch (stmt.kind) {
      case 'for': return dependent(stmt.extent) ? exprs.add(here, count(stmt.body)) : exprs.mul(stmt.extent, count(stmt.body));
      case 'seq': return stmt.body.map(count).reduce((a, b) => exprs.add(a, b), exprs.int(0));
      case 'if': return exprs.add(here, count(stmt.then));
      case 'alloc': case 'let': case 'while': return exprs.add(here, count(stmt.body));
      case 'block': return exprs.add(here, count(stmt.body));
      case 'store': case 'evaluate': return here;
    }
  };
  // An extent that depends on loop variables or data cannot leave its loop.
  const dependent = (extent: Expr): boolean => {
    let found = false;
    visitExprs(extent, (e) => void ((e.op === 'load' || (e.op === 'var' && /^[a-z]_\d+$/.test(e.value as string))) && (found = true)));
    return found;
  };
  return count(fn.body);
}
