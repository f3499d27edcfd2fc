import type { Expr, ExprBuilder, Stmt } from '@tenon/plugin';
import { lanesOf, readsMemory } from './vectorize.ts';

/** Cost of one evaluation by node, about in cycles of a scalar machine. */
const weights: { readonly [op: string]: number } = { div: 6, truncdiv: 10, floordiv: 10, mod: 10, truncmod: 10, call: 20, const: 0, var: 0 };
/** Assumed iterations of loops whose extent is not known before they run. */
const unknownTrips = 16;

/** An estimate of the work of a statement, about in thirds of nanoseconds: a formula in the variables that are free in it. */
export function costOf(exprs: ExprBuilder, s: Stmt, vectorBytes: number): Expr {
  const sum = (costs: readonly Expr[]): Expr => costs.reduce((a, b) => exprs.add(a, b), exprs.int(0));
  const visit = (stmt: Stmt, outer: ReadonlyMap<string, Expr>): Expr => {
    switch (stmt.kind) {
      case 'seq':
        return sum(stmt.body.map((child) => visit(child, outer)));
      case 'store':
        return exprs.int(1 + costOfValue(stmt.value));
      case 'let': {
        const known = readsMemory(stmt.value) || stmt.value.dtype !== 'i64' ? exprs.int(unknownTrips) : exprs.substitute(stmt.value, outer);
        return exprs.add(costOfValue(stmt.value), visit(stmt.body, new Map([...outer, [stmt.variable, known]])));
      }
      case 'if':
        return exprs.add(costOfValue(stmt.condition), sum([stmt.then, ...(stmt.otherwise === null ? [] : [stmt.otherwise])].map((side) => visit(side, outer))));
      case 'alloc':
        return visit(stmt.body, outer);
      case 'evaluate':
        return exprs.int(costOfValue(stmt.value));
      case 'while':
        return exprs.mul(visit(stmt.body, outer), unknownTrips);
      case 'block':
        return exprs.int(0);
      case 'for': {
        const extent = readsMemory(stmt.extent) ? exprs.int(unknownTrips) : exprs.substitute(stmt.extent, outer);
        // Inner extents that depend on this variable are taken at its middle.
        const body = visit(stmt.body, new Map([...outer, [stmt.variable, exprs.floordiv(extent, 2)]]));
        const trips = stmt.loop === 'vectorized' ? exprs.ceildiv(extent, lanesOf(stmt.body, vectorBytes)) : extent;
        return exprs.mul(trips, exprs.add(body, 1));
      }
    }
  };
  return visit(s, new Map());
}

function costOfValue(value: Expr): number {
  let cost = 0;
  const seen = new Set<Expr>();
  const visit = (e: Expr): void => {
    if (seen.has(e)) return;
    seen.add(e);
    cost += weights[e.op] ?? 1;
    if (e.op !== 'load') e.args.forEach(visit);
  };
  visit(value);
  return cost;
}
