import type { Expr } from '@tenon/plugin';
import { compareExprs } from './intern.ts';
import { addInts, mulInts, type Int } from './integers.ts';

/**
 * An integer expression as a sum of monomials with integer coefficients: `constant + Σ coefficient · Π factors`.
 * Factors are atoms: anything that is not itself a sum, a difference or a product. The normal form behind equality,
 * cancellation and division of dims.
 */
export interface Term {
  readonly coefficient: Int;
  /** Sorted by structure; repeated for powers. */
  readonly factors: readonly Expr[];
}
export interface Polynomial {
  /** Sorted by structure of the factors, no two alike, no zero coefficients. */
  readonly terms: readonly Term[];
  readonly constant: Int;
}

export const constantPolynomial = (constant: Int): Polynomial => ({ terms: [], constant });
export const atomPolynomial = (atom: Expr): Polynomial => ({ terms: [{ coefficient: 1, factors: [atom] }], constant: 0 });

/** Longer monomials first, so that `2*n*m + n + 1` prints in the order people write. */
function compareFactors(a: readonly Expr[], b: readonly Expr[]): number {
  if (a.length !== b.length) return b.length - a.length;
  for (let i = 0; i < a.length; i++) {
    const order = compareExprs(a[i]!, b[i]!);
    if (order !== 0) return order;
  }
  return 0;
}

export function addPolynomials(a: Polynomial, b: Polynomial, scale: Int = 1): Polynomial {
  if (b.terms.length === 0) return { terms: a.terms, constant: addInts(a.constant, mulInts(b.constant, scale)) };
  const terms: Term[] = [];
  let i = 0;
  let j = 0;
  while (i < a.terms.length || j < b.terms.length) {
    const x = a.terms[i];
    const y = b.terms[j];
    const order = x === undefined ? 1 : y === undefined ? -1 : compareFactors(x.factors, y.factors);
    if (order < 0) {
      terms.push(x!);
      i++;
    } else if (order > 0) {
      const coefficient = mulInts(y!.coefficient, scale);
      if (coefficient != 0) terms.push({ coefficient, factors: y!.factors });
      j++;
    } else {
      const coefficient = addInts(x!.coefficient, mulInts(y!.coefficient, scale));
      if (coefficient != 0) terms.push({ coefficient, factors: x!.factors });
      i++;
      j++;
    }
  }
  return { terms, constant: addInts(a.constant, mulInts(b.constant, scale)) };
}

export function scalePolynomial(a: Polynomial, scale: Int): Polynomial {
  if (scale == 0) return constantPolynomial(0);
  if (scale === 1) return a;
  return addPolynomials(constantPolynomial(0), a, scale);
}

function mergeFactors(a: readonly Expr[], b: readonly Expr[]): Expr[] {
  return [...a, ...b].sort(compareExprs);
}

export function mulPolynomials(a: Polynomial, b: Polynomial): Polynomial {
  let sum = scalePolynomial(b, a.constant);
  for (const x of a.terms) {
    const products = b.terms.map((y): Term => ({ coefficient: mulInts(x.coefficient, y.coefficient), factors: mergeFactors(x.factors, y.factors) }));
    if (b.constant != 0) products.push({ coefficient: mulInts(x.coefficient, b.constant), factors: x.factors });
    products.sort((p, q) => compareFactors(p.factors, q.factors));
    sum = addPolynomials(sum, { terms: products, constant: 0 });
  }
  return sum;
}

/** The factors left when `divisor`'s factors are taken out of `factors`, or null where they are not all there. */
export function divideFactors(factors: readonly Expr[], divisor: readonly Expr[]): readonly Expr[] | null {
  const left = [...factors];
  for (const factor of divisor) {
    const at = left.indexOf(factor);
    if (at < 0) return null;
    left.splice(at, 1);
  }
  return left;
}
