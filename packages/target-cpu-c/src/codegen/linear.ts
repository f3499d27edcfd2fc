import type { Expr, ExprBuilder } from '@tenon/plugin';

/** The coefficient of a variable in an integer expression that is linear in it; null where it is not, or does not show. */
export function coefficientOf(exprs: ExprBuilder, e: Expr, variable: string): Expr | null {
  const mentions = new Map<Expr, boolean>();
  const has = (x: Expr): boolean => {
    let known = mentions.get(x);
    if (known === undefined) {
      known = x.op === 'var' ? x.value === variable : x.args.some(has);
      mentions.set(x, known);
    }
    return known;
  };
  const visit = (x: Expr): Expr | null => {
    if (!has(x)) return exprs.int(0);
    const [a, b] = x.args as [Expr, Expr];
    switch (x.op) {
      case 'var':
        return exprs.int(1);
      case 'add':
      case 'sub': {
        const left = visit(a);
        const right = visit(b);
        if (left === null || right === null) return null;
        return x.op === 'add' ? exprs.add(left, right) : exprs.sub(left, right);
      }
      case 'mul': {
        if (has(a) && has(b)) return null;
        const [factor, rest] = has(a) ? [visit(a), b] : [visit(b), a];
        return factor === null ? null : exprs.mul(factor, rest);
      }
      default:
        return null;
    }
  };
  return visit(e);
}
