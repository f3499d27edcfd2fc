import type { Expr, Scope } from '@tenon/plugin';
import type { Exprs } from '@tenon/core';

/**
 * Proves a condition. Beyond what the prover knows: `x − c < c · floordiv(x, c) ≤ x` for constant c, which shows that
 * rounded-up tiles cover an extent, and what `min` and `max` are bounded by.
 */
export function proves(exprs: Exprs, condition: Expr, scope: Scope): boolean {
  if (exprs.prove(condition, scope) === 'yes') return true;
  if (condition.op === 'and') return condition.args.every((c) => proves(exprs, c, scope));
  const [x, y] = condition.args as [Expr, Expr];
  if (condition.op === 'eq' && x.dtype === 'i64') return proves(exprs, exprs.le(x, y), scope) && proves(exprs, exprs.le(y, x), scope);
  if ((condition.op !== 'lt' && condition.op !== 'le') || x.dtype !== 'i64') return false;
  const sides = (a: Expr, b: Expr): Expr => (condition.op === 'lt' ? exprs.lt(a, b) : exprs.le(a, b));
  if (x.op === 'max') return x.args.every((a) => proves(exprs, sides(a, y), scope));
  if (y.op === 'min') return y.args.every((b) => proves(exprs, sides(x, b), scope));
  if (x.op === 'min' && x.args.some((a) => proves(exprs, sides(a, y), scope))) return true;
  if (y.op === 'max' && y.args.some((b) => proves(exprs, sides(x, b), scope))) return true;
  const slack = condition.op === 'lt' ? exprs.sub(exprs.sub(y, x), 1) : exprs.sub(y, x);
  return nonNegative(exprs, slack, scope);
}

function nonNegative(exprs: Exprs, slack: Expr, scope: Scope): boolean {
  const without = (e: Expr): boolean => {
    const least = withoutDivisions(exprs, e);
    return least !== null && exprs.prove(exprs.ge(least, 0), scope) === 'yes';
  };
  if (without(slack)) return true;
  // Loop variables give way to their bounds, the innermost first: these may hold divisions.
  let current = slack;
  for (const [name, facts] of [...scope].reverse()) {
    const variable = exprs.variable(name);
    const own = exprs.polynomial(current).terms.filter((t) => t.factors.some((f) => f === variable || exprs.variables(f).includes(name)));
    const [term] = own;
    if (own.length !== 1 || term!.factors.length !== 1 || term!.factors[0] !== variable) continue;
    const bound = Number(term!.coefficient) > 0 ? facts.min : facts.max;
    if (bound === null || typeof bound === 'number') continue;
    current = exprs.substitute(current, new Map([[name, bound]]));
    if (without(current)) return true;
  }
  return false;
}

/** A lower bound of a sum in which no division by a constant is left; null where there was none. */
function withoutDivisions(exprs: Exprs, e: Expr): Expr | null {
  const p = exprs.polynomial(e);
  let sum: Expr = exprs.int(p.constant);
  let found = false;
  const divisor = (factors: readonly Expr[]): number | null => (factors.length === 1 && factors[0]!.op === 'floordiv' ? exprs.valueOf(factors[0]!.args[1]!) : null);
  const terms = [...p.terms];
  // floordiv(y, c) − floordiv(x, c) ≥ floordiv(y − x, c), where that is a constant.
  for (const plus of p.terms) {
    const by = divisor(plus.factors);
    if (by === null || by <= 0 || Number(plus.coefficient) <= 0) continue;
    const minus = terms.find((t) => divisor(t.factors) === by && Number(t.coefficient) === -Number(plus.coefficient)
      && exprs.valueOf(exprs.sub(plus.factors[0]!.args[0]!, t.factors[0]!.args[0]!)) !== null);
    if (minus === undefined || !terms.includes(plus)) continue;
    found = true;
    const difference = exprs.valueOf(exprs.sub(plus.factors[0]!.args[0]!, minus.factors[0]!.args[0]!))!;
    sum = exprs.add(sum, Number(plus.coefficient) * Math.floor(difference / by));
    terms.splice(terms.indexOf(plus), 1);
    terms.splice(terms.indexOf(minus), 1);
  }
  for (const term of terms) {
    const [factor] = term.factors;
    const by = divisor(term.factors);
    const coefficient = Number(term.coefficient);
    if (by !== null && by > 0 && coefficient % by === 0) {
      found = true;
      const times = coefficient / by;
      const x = factor!.args[0]!;
      sum = exprs.add(sum, exprs.mul(times > 0 ? exprs.sub(x, by - 1) : x, times));
    } else sum = exprs.add(sum, exprs.mul(exprs.product(term.factors), exprs.int(term.coefficient)));
  }
  return found ? sum : null;
}

/** The smaller or larger of two integers, one of them alone where it is known which. */
export function extreme(exprs: Exprs, op: 'min' | 'max', a: Expr, b: Expr, scope: Scope): Expr {
  if (proves(exprs, exprs.le(a, b), scope)) return op === 'min' ? a : b;
  if (proves(exprs, exprs.le(b, a), scope)) return op === 'min' ? b : a;
  return exprs.simplify(exprs[op](a, b), scope);
}
