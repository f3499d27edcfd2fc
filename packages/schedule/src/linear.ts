import type { Expr, ExprBuilder } from '@tenon/plugin';
import { visitExprs } from '@tenon/core';

/** How an index depends on a variable: not at all (0), linearly with a constant coefficient, or otherwise (null). */
export type Linear = number | null;

/** The coefficient of a variable in an index; null where it is not a constant. */
export function linearIn(exprs: ExprBuilder, index: Expr, variable: string): Linear {
  if (!mentions(index, variable)) return 0;
  const at = (value: number): Expr => exprs.substitute(index, new Map([[variable, exprs.int(value)]]));
  const step = exprs.sub(exprs.substitute(index, new Map([[variable, exprs.add(exprs.variable(variable), 1)]])), index);
  const coefficient = exprs.valueOf(step);
  if (coefficient === null) return null;
  // The difference must hold everywhere, not only where a division happens to cancel.
  return exprs.sub(index, exprs.mul(exprs.variable(variable), coefficient)) === at(0) ? coefficient : null;
}

function mentions(e: Expr, variable: string): boolean {
  let found = false;
  visitExprs(e, (x) => void (x.op === 'var' && x.value === variable && (found = true)));
  return found;
}
