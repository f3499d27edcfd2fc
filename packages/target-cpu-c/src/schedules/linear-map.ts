import type { Expr, ExprBuilder } from '@tenon/plugin';
import type { Matrix } from './winograd/cook-toom.ts';

/**
 * `matrix · x` as straight-line sums. Columns that differ in signs alone are added and subtracted first, and rows
 * that differ in signs alone share their sums: that is how the transforms of points ±p are built.
 */
export interface LinearMap {
  /** What sums are made of: an element of x, or the sum and the difference of two. */
  readonly terms: readonly ({ readonly of: number; readonly plus?: number; readonly minus?: number })[];
  /** Results: a sum of terms, or two that are the sum and the difference of two sums. */
  readonly sums: readonly ({ readonly row: number; readonly factors: readonly number[] } | { readonly rows: readonly [number, number]; readonly same: readonly number[]; readonly opposite: readonly number[] })[];
}

export function linearMap(matrix: Matrix): LinearMap {
  const terms: LinearMap['terms'][number][] = [];
  const kept: (readonly number[])[] = [];
  const columns = matrix[0]!.map((_, k) => matrix.map((row) => row[k]!));
  for (const { at, partner } of pairs(columns)) {
    if (partner === null) {
      terms.push({ of: at });
      kept.push(columns[at]!);
      continue;
    }
    const { same, opposite } = parts(columns[at]!, columns[partner]!);
    terms.push({ of: at, plus: partner }, { of: at, minus: partner });
    kept.push(same, opposite);
  }
  const rows = matrix.map((_, i) => kept.map((column) => column[i]!));
  const sums = pairs(rows).map(({ at, partner }): LinearMap['sums'][number] =>
    (partner === null ? { row: at, factors: rows[at]! } : { rows: [at, partner], ...parts(rows[at]!, rows[partner]!) }));
  return { terms, sums };
}

/** Each vector once, with another that differs from it in some signs, but not in all, where there is one. */
function pairs(vectors: readonly (readonly number[])[]): { at: number; partner: number | null }[] {
  const taken = new Set<number>();
  const found: { at: number; partner: number | null }[] = [];
  vectors.forEach((a, at) => {
    if (taken.has(at)) return;
    const partner = vectors.findIndex((b, k) => {
      const equal = b.map((v, i) => v === a[i]);
      return k > at && !taken.has(k) && b.every((v, i) => Math.abs(v) === Math.abs(a[i]!)) && equal.includes(false) && b.some((v, i) => v !== 0 && equal[i]);
    });
    if (partner >= 0) taken.add(partner);
    found.push({ at, partner: partner < 0 ? null : partner });
  });
  return found;
}

function parts(a: readonly number[], b: readonly number[]): { same: number[]; opposite: number[] } {
  return { same: a.map((v, i) => (v === b[i] ? v : 0)), opposite: a.map((v, i) => (v === b[i] ? 0 : v)) };
}

/** Applies a map to x. `name` gives a value that is used more than once a name. */
export function applyMap(exprs: ExprBuilder, map: LinearMap, x: readonly Expr[], name: (value: Expr) => Expr): Expr[] {
  const terms = map.terms.map(({ of, plus, minus }) => {
    if (plus !== undefined) return name(exprs.add(x[of]!, x[plus]!));
    return minus === undefined ? x[of]! : name(exprs.sub(x[of]!, x[minus]!));
  });
  const sum = (factors: readonly number[]): Expr => {
    // What needs no multiplication comes first: the rest are fused multiply-adds onto it.
    const order = factors.map((factor, k) => ({ factor, term: terms[k]! })).filter(({ factor }) => factor !== 0).sort((a, b) => Number(b.factor === 1) - Number(a.factor === 1));
    const scaled = ({ factor, term }: { factor: number; term: Expr }): Expr => (factor === 1 ? term : exprs.mul(term, exprs.constant(factor, term.dtype)));
    return order.slice(1).reduce((left, next) => exprs.add(left, scaled(next)), scaled(order[0]!));
  };
  const out: Expr[] = [];
  for (const s of map.sums) {
    if ('row' in s) {
      out[s.row] = sum(s.factors);
      continue;
    }
    const [same, opposite] = [name(sum(s.same)), name(sum(s.opposite))];
    out[s.rows[0]] = exprs.add(same, opposite);
    out[s.rows[1]] = exprs.sub(same, opposite);
  }
  return out;
}

/** Operations of a map, a fused multiply-add counting one. */
export function operationsOf({ terms, sums }: LinearMap): number {
  const sum = (factors: readonly number[]): number => Math.max(0, factors.filter((f) => f !== 0).length - Number(factors.includes(1)));
  return sums.reduce((n, s) => n + ('row' in s ? sum(s.factors) : sum(s.same) + sum(s.opposite) + 2), terms.filter((t) => t.plus !== undefined || t.minus !== undefined).length);
}
