import { isFloat } from '@tenon/core';
import type { Expr, ExprBuilder, Stmt } from '@tenon/plugin';
import { lanesOf, readsMemory } from './vectorize.ts';

/** Cost of one evaluation by node, about in cycles of a scalar machine. */
const weights: { readonly [op: string]: number } = { div: 6, truncdiv: 10, floordiv: 10, mod: 10, truncmod: 10, call: 20, const: 0, var: 0 };
/** Assumed iterations of loops whose extent is not known before they run. */
const unknownTrips = 16;

export interface Work {
  /** About nanoseconds, times 3. */
  readonly cost: Expr;
  /** Floating-point operations. */
  readonly flops: Expr;
}

/** An estimate of the work of a statement, as a formula in the variables that are free in it. */
export function workOf(exprs: ExprBuilder, s: Stmt, vectorBytes: number): Work {
  const none: Work = { cost: exprs.int(0), flops: exprs.int(0) };
  const plus = (a: Work, b: Work): Work => ({ cost: exprs.add(a.cost, b.cost), flops: exprs.add(a.flops, b.flops) });
  const visit = (stmt: Stmt, outer: ReadonlyMap<string, Expr>): Work => {
    switch (stmt.kind) {
      case 'seq':
        return stmt.body.map((child) => visit(child, outer)).reduce(plus, none);
      case 'store':
        return valueWork(exprs, stmt.value, 1);
      case 'let': {
        const known = readsMemory(stmt.value) || stmt.value.dtype !== 'i64' ? exprs.int(unknownTrips) : exprs.substitute(stmt.value, outer);
        return plus(valueWork(exprs, stmt.value, 0), visit(stmt.body, new Map([...outer, [stmt.variable, known]])));
      }
      case 'if': {
        const both = [stmt.then, ...(stmt.otherwise === null ? [] : [stmt.otherwise])].map((side) => visit(side, outer)).reduce(plus, none);
        return plus(valueWork(exprs, stmt.condition, 0), both);
      }
      case 'alloc':
        return visit(stmt.body, outer);
      case 'evaluate':
        return valueWork(exprs, stmt.value, 0);
      case 'while': {
        const once = visit(stmt.body, outer);
        return { cost: exprs.mul(once.cost, unknownTrips), flops: exprs.mul(once.flops, unknownTrips) };
      }
      case 'block':
        return none;
      case 'for': {
        const extent = readsMemory(stmt.extent) ? exprs.int(unknownTrips) : exprs.substitute(stmt.extent, outer);
        // Inner extents that depend on this variable are taken at its middle.
        const body = visit(stmt.body, new Map([...outer, [stmt.variable, exprs.floordiv(extent, 2)]]));
        const trips = stmt.loop === 'vectorized' ? exprs.ceildiv(extent, lanesOf(stmt.body, vectorBytes)) : extent;
        return { cost: exprs.mul(trips, exprs.add(body.cost, 1)), flops: exprs.mul(extent, body.flops) };
      }
    }
  };
  return visit(s, new Map());
}

function valueWork(exprs: ExprBuilder, value: Expr, stores: number): Work {
  let cost = stores;
  let flops = 0;
  const seen = new Set<Expr>();
  const visit = (e: Expr): void => {
    if (seen.has(e)) return;
    seen.add(e);
    cost += weights[e.op] ?? 1;
    if (isFloat(e.dtype) && e.op !== 'load' && e.op !== 'const' && e.op !== 'var' && e.op !== 'select' && e.op !== 'cast') flops++;
    if (e.op !== 'load') e.args.forEach(visit);
  };
  visit(value);
  return { cost: exprs.int(cost), flops: exprs.int(flops) };
}
