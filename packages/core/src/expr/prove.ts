import type { Expr, Proof, Scope } from '@tenon/plugin';
import { visitExprs } from '../ir/visit.ts';
import { factsOf } from './bounds.ts';
import type { Exprs } from './exprs.ts';

/** Decides a condition for all values that the scope allows. */
export function proveCondition(exprs: Exprs, condition: Expr, scope: Scope): Proof {
  const plain = prove(exprs, condition, scope);
  if (plain !== 'unknown') return plain;
  const scaled = scaleMultiples(exprs, condition, scope);
  return scaled === null ? plain : prove(exprs, scaled.condition, scaled.scope);
}

/**
 * The condition with every variable that is a multiple of m written as m times another one, so that divisions by its
 * divisors come out exactly; null where no such variable is divided.
 */
function scaleMultiples(exprs: Exprs, condition: Expr, scope: Scope): { condition: Expr; scope: Scope } | null {
  let divides = false;
  visitExprs(condition, (e) => void (divides ||= e.op === 'floordiv' || e.op === 'mod'));
  if (!divides) return null;
  const values = new Map<string, Expr>();
  const facts = new Map(scope);
  for (const name of exprs.variables(condition)) {
    const known = factsOf(exprs, scope, name);
    const m = known?.multipleOf ?? 1;
    if (m <= 1) continue;
    const part = `${name}/${m}`;
    values.set(name, exprs.mul(exprs.variable(part), m));
    const bounds = exprs.bounds(exprs.variable(name), scope);
    facts.set(part, { min: bounds.min === null ? null : Math.ceil(bounds.min / m), max: bounds.max === null ? null : Math.floor(bounds.max / m) });
  }
  return values.size === 0 ? null : { condition: exprs.substitute(condition, values), scope: facts };
}

function prove(exprs: Exprs, condition: Expr, scope: Scope): Proof {
  switch (condition.op) {
    case 'const':
      return condition.value === 0 ? 'no' : 'yes';
    case 'not':
      return opposite(prove(exprs, condition.args[0]!, scope));
    case 'and': {
      const a = prove(exprs, condition.args[0]!, scope);
      const b = prove(exprs, condition.args[1]!, scope);
      return a === 'no' || b === 'no' ? 'no' : a === 'yes' && b === 'yes' ? 'yes' : 'unknown';
    }
    case 'or': {
      const a = prove(exprs, condition.args[0]!, scope);
      const b = prove(exprs, condition.args[1]!, scope);
      return a === 'yes' || b === 'yes' ? 'yes' : a === 'no' && b === 'no' ? 'no' : 'unknown';
    }
    case 'eq': case 'ne': case 'lt': case 'le': {
      const [x, y] = condition.args as [Expr, Expr];
      if (x.dtype !== 'i64') return 'unknown';
      if (condition.op === 'lt') return nonNegative(exprs, exprs.sub(exprs.sub(y, x), 1), scope);
      if (condition.op === 'le') return nonNegative(exprs, exprs.sub(y, x), scope);
      const equal = isZero(exprs, exprs.sub(x, y), scope);
      return condition.op === 'eq' ? equal : opposite(equal);
    }
    default:
      return 'unknown';
  }
}

function opposite(proof: Proof): Proof {
  return proof === 'yes' ? 'no' : proof === 'no' ? 'yes' : 'unknown';
}

function isZero(exprs: Exprs, e: Expr, scope: Scope): Proof {
  if (e.op === 'const') return e.value === 0 ? 'yes' : 'no';
  const p = exprs.polynomial(e);
  // g divides every term but not the constant: never zero.
  const withoutConstant = exprs.fromPolynomial({ terms: p.terms, constant: 0 });
  const g = exprs.divisor(withoutConstant, scope);
  if (g > 1 && Number(p.constant) % g !== 0) return 'no';
  const atLeast = nonNegative(exprs, e, scope);
  const atMost = nonNegative(exprs, exprs.neg(e), scope);
  if (atLeast === 'yes' && atMost === 'yes') return 'yes';
  if (atLeast === 'no' || atMost === 'no') return 'no';
  return 'unknown';
}

/** Whether e ≥ 0. */
function nonNegative(exprs: Exprs, e: Expr, scope: Scope): Proof {
  const lowest = extreme(exprs, e, scope, 'min');
  if (lowest !== null && lowest >= 0) return 'yes';
  const highest = extreme(exprs, e, scope, 'max');
  if (highest !== null && highest < 0) return 'no';
  return 'unknown';
}

/**
 * A bound of e. Variables whose bounds are expressions (a loop variable under a symbolic extent) are replaced by the
 * bound that their coefficient's sign calls for, the innermost first, so that `i ≤ n − 1` cancels against `n`.
 */
function extreme(exprs: Exprs, e: Expr, scope: Scope, side: 'min' | 'max'): number | null {
  let current = e;
  let best: number | null = exprs.bounds(current, scope)[side];
  const names = [...scope.keys()].reverse();
  for (const name of names) {
    const facts = scope.get(name)!;
    if (typeof facts.min !== 'object' && typeof facts.max !== 'object') continue;
    const variable = exprs.variable(name);
    const p = exprs.polynomial(current);
    let coefficient = exprs.zero;
    let linear = true;
    for (const term of p.terms) {
      const count = term.factors.filter((f) => f === variable).length;
      if (count === 0) {
        if (term.factors.some((f) => f !== variable && exprs.variables(f).includes(name))) linear = false;
        continue;
      }
      if (count > 1 || term.factors.some((f) => f !== variable && exprs.variables(f).includes(name))) linear = false;
      const others = [...term.factors];
      others.splice(others.indexOf(variable), 1);
      coefficient = exprs.add(coefficient, exprs.mul(exprs.product(others), exprs.int(term.coefficient)));
    }
    if (!linear || coefficient === exprs.zero) continue;
    const sign = exprs.bounds(coefficient, scope);
    const rising = sign.min !== null && sign.min >= 0;
    const falling = sign.max !== null && sign.max <= 0;
    if (!rising && !falling) continue;
    const bound = rising === (side === 'min') ? facts.min : facts.max;
    if (bound === null) continue;
    current = exprs.substitute(current, new Map([[name, typeof bound === 'number' ? exprs.int(bound) : bound]]));
    const now = exprs.bounds(current, scope)[side];
    if (now !== null && (best === null || (side === 'min' ? now > best : now < best))) best = now;
  }
  return best;
}
