import type { Expr, Scope } from '@tenon/plugin';
import type { Exprs } from './exprs.ts';
import { floordivInts, gcd, modInts, type Int } from './integers.ts';
import { addPolynomials, divideFactors, type Polynomial, type Term } from './polynomial.ts';

/**
 * Splits `p = q · divisor + r`, moving every term that the divisor divides for sure into q. The divisor must be a
 * single monomial `c · Π factors` with c > 0; null otherwise.
 */
function split(p: Polynomial, divisor: Polynomial): { quotient: Polynomial; rest: Polynomial } | null {
  const monomial = asMonomial(divisor);
  if (monomial === null) return null;
  const c = monomial.coefficient;
  const quotient: Term[] = [];
  const rest: Term[] = [];
  for (const term of p.terms) {
    const left = divideFactors(term.factors, monomial.factors);
    if (left !== null && left.length > 0 && modInts(term.coefficient, c) == 0) {
      quotient.push({ coefficient: floordivInts(term.coefficient, c), factors: left });
    } else rest.push(term);
  }
  // A term that is an exact multiple of the whole divisor leaves a plain integer.
  let constant: Int = 0;
  const remaining: Term[] = [];
  for (const term of rest) {
    const left = divideFactors(term.factors, monomial.factors);
    if (left !== null && left.length === 0 && monomial.factors.length > 0) {
      const whole = floordivInts(term.coefficient, c);
      constant = addInt(constant, whole);
      const over = modInts(term.coefficient, c);
      if (over != 0) remaining.push({ coefficient: over, factors: term.factors });
    } else remaining.push(term);
  }
  let restConstant: Int = p.constant;
  if (monomial.factors.length === 0) {
    constant = addInt(constant, floordivInts(p.constant, c));
    restConstant = modInts(p.constant, c);
  }
  return { quotient: { terms: quotient, constant }, rest: { terms: remaining, constant: restConstant } };
}

const addInt = (a: Int, b: Int): Int => (typeof a === 'number' && typeof b === 'number' ? a + b : BigInt(a) + BigInt(b));

function asMonomial(p: Polynomial): Term | null {
  if (p.terms.length === 0) return p.constant > 0 ? { coefficient: p.constant, factors: [] } : null;
  if (p.terms.length > 1 || p.constant != 0) return null;
  const term = p.terms[0]!;
  return term.coefficient > 0 ? term : null;
}

function isZero(p: Polynomial): boolean {
  return p.terms.length === 0 && p.constant == 0;
}

/** Divides numerator and divisor by the integers common to all coefficients. */
function reduce(x: Polynomial, y: Polynomial): { x: Polynomial; y: Polynomial } {
  const monomial = asMonomial(y);
  if (monomial === null || typeof monomial.coefficient !== 'number') return { x, y };
  let g: number = monomial.coefficient;
  for (const term of x.terms) {
    if (typeof term.coefficient !== 'number') return { x, y };
    g = gcd(g, term.coefficient);
  }
  if (g <= 1) return { x, y };
  const scaled = (p: Polynomial): Polynomial => ({
    terms: p.terms.map((t) => ({ coefficient: (t.coefficient as number) / g, factors: t.factors })),
    constant: floordivInts(p.constant, g),
  });
  return { x: scaled(x), y: scaled(y) };
}

/** floordiv(x, y) with everything exact taken out; with a scope (not null), what is known of variables is used too. */
export function floordivPolynomial(exprs: Exprs, x: Expr, y: Expr, scope: Scope | null): Expr {
  const divisor = exprs.polynomial(y);
  const parts = split(exprs.polynomial(x), divisor);
  if (parts === null) {
    if (scope !== null && x === y && (exprs.bounds(y, scope).min ?? 0) >= 1) return exprs.one;
    return exprs.make('floordiv', 'i64', [x, y], null);
  }
  const quotient = exprs.fromPolynomial(parts.quotient);
  if (isZero(parts.rest)) return quotient;
  const small = reduce(parts.rest, divisor);
  const rest = exprs.fromPolynomial(small.x);
  const by = exprs.fromPolynomial(small.y);
  return exprs.add(quotient, floordivRest(exprs, rest, by, scope));
}

function floordivRest(exprs: Exprs, rest: Expr, by: Expr, scope: Scope | null): Expr {
  const byValue = exprs.valueOf(by);
  if (byValue === 1) return rest;
  if (rest === exprs.zero) return rest;
  const restValue = exprs.valueOf(rest);
  if (byValue !== null && restValue !== null) return exprs.int(floordivInts(restValue, byValue));
  // floordiv(floordiv(a, b), c) = floordiv(a, b·c) for positive b and c
  if (rest.op === 'floordiv' && byValue !== null && byValue > 0) {
    const inner = exprs.valueOf(rest.args[1]!);
    if (inner !== null && inner > 0) return floordivPolynomial(exprs, rest.args[0]!, exprs.int(inner * byValue), scope);
  }
  if (rest.op === 'mod' && byValue !== null && byValue > 0) {
    // floordiv(a % (b·c), c) keeps its form; a % b with b ≤ c is 0.
    const modulus = exprs.valueOf(rest.args[1]!);
    if (modulus !== null && modulus > 0 && modulus <= byValue) return exprs.zero;
  }
  if (scope !== null) {
    if (byValue !== null && byValue > 0) {
      const { exact, other } = divisibleTerms(exprs, rest, byValue, scope);
      if (exact !== null && other !== exprs.zero) {
        return exprs.add(exprs.make('floordiv', 'i64', [exact, by], null), floordivPolynomial(exprs, other, by, scope));
      }
      const { min, max } = exprs.bounds(rest, scope);
      if (min !== null && max !== null && Math.floor(min / byValue) === Math.floor(max / byValue)) return exprs.int(Math.floor(min / byValue));
      // floordiv(g·u + s, g·c) = floordiv(u, c) where 0 ≤ s < g
      const coarse = inSteps(exprs, rest, byValue, scope);
      if (coarse !== null) return floordivPolynomial(exprs, coarse.steps, exprs.int(byValue / coarse.size), scope);
    } else if (exprs.prove(exprs.ge(rest, 0), scope) === 'yes' && exprs.prove(exprs.lt(rest, by), scope) === 'yes') return exprs.zero;
  }
  return exprs.make('floordiv', 'i64', [rest, by], null);
}

/** x mod y without the multiples of y; with a scope (not null), x itself where 0 ≤ x < y. */
export function modPolynomial(exprs: Exprs, x: Expr, y: Expr, scope: Scope | null): Expr {
  const divisor = exprs.polynomial(y);
  const parts = split(exprs.polynomial(x), divisor);
  if (parts === null) return exprs.make('mod', 'i64', [x, y], null);
  if (isZero(parts.rest)) return exprs.zero;
  const rest = exprs.fromPolynomial(parts.rest);
  const byValue = exprs.valueOf(y);
  if (byValue === 1) return exprs.zero;
  const restValue = exprs.valueOf(rest);
  if (byValue !== null && restValue !== null) return exprs.int(modInts(restValue, byValue));
  if (rest.op === 'mod' && byValue !== null) {
    const inner = exprs.valueOf(rest.args[1]!);
    if (inner !== null && inner > 0 && inner % byValue === 0) return modPolynomial(exprs, rest.args[0]!, y, scope);
    if (inner !== null && inner > 0 && inner <= byValue) return rest;
  }
  if (byValue !== null && byValue > 0 && parts.rest.terms.every((t) => typeof t.coefficient === 'number')) {
    // (g·u + k) % (g·c) = g·((u + floordiv(k, g)) % c) + k % g
    let g = byValue;
    for (const term of parts.rest.terms) g = gcd(g, term.coefficient as number);
    if (g > 1 && g < byValue) {
      const u: Polynomial = {
        terms: parts.rest.terms.map((t) => ({ coefficient: (t.coefficient as number) / g, factors: t.factors })),
        constant: floordivInts(parts.rest.constant, g),
      };
      const inner = modPolynomial(exprs, exprs.fromPolynomial(u), exprs.int(byValue / g), scope);
      return exprs.add(exprs.mul(inner, g), exprs.int(modInts(parts.rest.constant, g)));
    }
  }
  if (scope !== null) {
    if (byValue !== null && byValue > 0) {
      const { exact, other } = divisibleTerms(exprs, rest, byValue, scope);
      if (exact !== null) return modPolynomial(exprs, other, y, scope);
      const { min, max } = exprs.bounds(rest, scope);
      if (min !== null && max !== null && Math.floor(min / byValue) === Math.floor(max / byValue)) {
        return exprs.sub(rest, Math.floor(min / byValue) * byValue);
      }
      const coarse = inSteps(exprs, rest, byValue, scope);
      if (coarse !== null) return exprs.add(exprs.mul(modPolynomial(exprs, coarse.steps, exprs.int(byValue / coarse.size), scope), coarse.size), coarse.within);
    } else if (exprs.prove(exprs.ge(rest, 0), scope) === 'yes' && exprs.prove(exprs.lt(rest, y), scope) === 'yes') return rest;
  }
  return exprs.make('mod', 'i64', [rest, y], null);
}

/** a / b where every term of a is a multiple of the monomial b; null otherwise. */
export function divideExact(exprs: Exprs, a: Expr, b: Expr): Expr | null {
  const parts = split(exprs.polynomial(a), exprs.polynomial(b));
  return parts !== null && isZero(parts.rest) ? exprs.fromPolynomial(addPolynomials(parts.quotient, { terms: [], constant: 0 })) : null;
}

/**
 * A sum as `size · steps + within`, where size divides `by` and 0 ≤ within < size by what is known of variables: a place in a row of
 * vectors is the vector's and the place in it. null where it is no such sum.
 */
function inSteps(exprs: Exprs, e: Expr, by: number, scope: Scope): { readonly size: number; readonly steps: Expr; readonly within: Expr } | null {
  const p = exprs.polynomial(e);
  const common = (t: Term): number => (typeof t.coefficient === 'number' ? gcd(by, t.coefficient) : 1);
  const coarse = p.terms.filter((t) => common(t) > 1);
  if (coarse.length === 0 || coarse.length === p.terms.length) return null;
  const size = coarse.reduce((g, t) => gcd(g, common(t)), by);
  if (size <= 1 || size >= by) return null;
  const within = exprs.fromPolynomial({ terms: p.terms.filter((t) => !coarse.includes(t)), constant: modInts(p.constant, size) });
  const { min, max } = exprs.bounds(within, scope);
  if (min === null || max === null || min < 0 || max >= size) return null;
  const steps = exprs.fromPolynomial({ terms: coarse.map((t) => ({ coefficient: (t.coefficient as number) / size, factors: t.factors })), constant: floordivInts(p.constant, size) });
  return { size, steps, within };
}

/** The terms of a sum that facts about variables make multiples of an integer (null for none), and the rest. */
function divisibleTerms(exprs: Exprs, e: Expr, by: number, scope: Scope): { exact: Expr | null; other: Expr } {
  const p = exprs.polynomial(e);
  const exact: Term[] = [];
  const other: Term[] = [];
  for (const term of p.terms) {
    const divisor = exprs.divisor(exprs.fromPolynomial({ terms: [term], constant: 0 }), scope);
    (divisor % by === 0 ? exact : other).push(term);
  }
  if (exact.length === 0) return { exact: null, other: e };
  return { exact: exprs.fromPolynomial({ terms: exact, constant: 0 }), other: exprs.fromPolynomial({ terms: other, constant: p.constant }) };
}
