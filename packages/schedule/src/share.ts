import type { Expr, ExprBuilder, Stmt } from '@tenon/plugin';
import { mapChildren, type Exprs } from '@tenon/core';
import type { Names } from './rename.ts';

/**
 * Gives names to what a stored value computes more than once. Inlining makes values that share parts; printed as trees
 * they could grow exponentially. Only what is evaluated in any case is named: the sides of a `select` stay where they are.
 */
export function shareSubexpressions(stmt: Stmt, exprs: ExprBuilder, names: Names): Stmt {
  const visit = (s: Stmt): Stmt => (s.kind === 'store' ? shareInStore(s, exprs as Exprs, names) : mapChildren(s, visit));
  return visit(stmt);
}

function shareInStore(store: Stmt & { kind: 'store' }, exprs: Exprs, names: Names): Stmt {
  const uses = new Map<Expr, number>();
  const order: Expr[] = [];
  const count = (e: Expr): void => {
    const before = uses.get(e) ?? 0;
    uses.set(e, before + 1);
    if (before > 0) return;
    // Indices are left to the code generator, which knows about addresses.
    const parts = e.op === 'load' ? [] : e.op === 'select' ? e.args.slice(0, 1) : e.args;
    parts.forEach(count);
    order.push(e);
  };
  count(store.value);
  const shared = order.filter((e) => uses.get(e)! > 1 && worthNaming(e));
  if (shared.length === 0) return store;
  const variables = new Map<Expr, Expr>();
  const rewrite = (e: Expr, known: Map<Expr, Expr>): Expr => {
    const done = known.get(e);
    if (done !== undefined) return done;
    const named = variables.get(e);
    const result = named ?? (e.op === 'load' || e.args.length === 0 ? e : rebuilt(exprs, e, e.args.map((a) => rewrite(a, known))));
    known.set(e, result);
    return result;
  };
  const lets: { variable: string; value: Expr }[] = [];
  for (const e of shared) {
    // Parts come before what they are part of: by now they have names.
    const value = rebuilt(exprs, e, e.args.map((a) => rewrite(a, new Map())));
    const variable = names.fresh('t');
    lets.push({ variable, value });
    variables.set(e, exprs.variable(variable, e.dtype));
  }
  const inner: Stmt = { ...store, value: rewrite(store.value, new Map()) };
  return lets.reduceRight<Stmt>((body, { variable, value }) => ({ kind: 'let', variable, value, body }), inner);
}

function rebuilt(exprs: Exprs, e: Expr, args: readonly Expr[]): Expr {
  return args.every((a, i) => a === e.args[i]) ? e : exprs.make(e.op, e.dtype, args, e.value);
}

function worthNaming(e: Expr): boolean {
  return e.args.length > 0 && e.op !== 'load' && e.dtype !== 'i64' && e.dtype !== 'bool';
}
