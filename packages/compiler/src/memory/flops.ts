import type { Context, Expr, ExprBuilder, GraphFunction, Stmt, TensorFunction, Type } from '@tenon/plugin';
import { childrenOf, expressionsOf, isFloat, visitExprs } from '@tenon/core';
import { declaredVariables } from '@tenon/schedule';

const arithmetic = new Set(['add', 'sub', 'mul', 'div', 'min', 'max', 'truncmod', 'call']);

/**
 * Floating-point operations of a function, as noted in its attribute `flops`, else counted, as a formula in dims: every arithmetic operation and intrinsic counts
 * one, a fused multiply-add two. Where a branch decides, its first side counts (full tiles before their edges); a loop over
 * what is left of a fixed number counts as that many.
 */
export function flopsOf(fn: TensorFunction, exprs: ExprBuilder): Expr {
  if (typeof fn.attrs['flops'] === 'number') return exprs.int(fn.attrs['flops']);
  const inner = new Set(declaredVariables(fn.body));
  /** An extent that depends on loop variables or data cannot leave its loop. */
  const dependent = (extent: Expr): boolean => {
    let found = false;
    visitExprs(extent, (e) => void ((e.op === 'load' || (e.op === 'var' && inner.has(e.value as string))) && (found = true)));
    return found;
  };
  const count = (stmt: Stmt): Expr => {
    let own = 0;
    const seen = new Set<Expr>();
    for (const e of expressionsOf(stmt)) visitExprs(e, (x) => void (arithmetic.has(x.op) && isFloat(x.dtype) && own++), seen);
    const here = exprs.int(own);
    switch (stmt.kind) {
      case 'for': {
        const most = stmt.extent.op === 'min' ? stmt.extent.args.find((e) => e.op === 'const') : undefined;
        if (!dependent(stmt.extent)) return exprs.mul(stmt.extent, count(stmt.body));
        return most === undefined ? count(stmt.body) : exprs.mul(most, count(stmt.body));
      }
      case 'if': return exprs.add(here, count(stmt.then));
      default: return childrenOf(stmt).map(count).reduce((a, b) => exprs.add(a, b), here);
    }
  };
  return count(fn.body);
}

/** Operations of the operators of a graph function, by their `cost` facets; one for each element of a result where there is none. */
export function flopsOfOperators(fn: GraphFunction, ctx: Context): Expr {
  const { exprs } = ctx;
  const elements = (type: Type): Expr => (type.kind === 'tensor' ? exprs.product(type.shape) : exprs.int(0));
  return fn.bindings
    .flatMap((b) => ctx.cost(b.callee, b.args.map((a) => a?.type ?? null), b.attrs)?.flops ?? b.results.map((r) => elements(r.type)))
    .reduce((sum, flops) => exprs.add(sum, flops), exprs.int(0));
}
