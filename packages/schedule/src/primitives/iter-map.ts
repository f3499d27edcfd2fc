import type { Expr, Scope } from '@tenon/plugin';
import type { Exprs } from '@tenon/core';
import { proves } from './proofs.ts';

/**
 * Part of a variable: `mod(floordiv(variable, lower), extent)`. `lower` and `extent` are integers or products of dims.
 */
export interface Digit {
  readonly variable: string;
  readonly lower: Expr;
  readonly extent: Expr;
}
interface Term {
  readonly scale: Expr;
  readonly digit: Digit;
}
/** `offset + Σ scale · digit`, the terms by growing scale. `offset` holds none of the variables. */
export interface DigitSum {
  readonly offset: Expr;
  readonly terms: readonly Term[];
}

/**
 * Index expressions as sums of digits of loop variables: what split, fuse and reorder make of indices. Answers whether a
 * map is injective, whether a box is filled, and gives inverses. What has another form gives null: nothing is known.
 */
export class IterMap {
  readonly #exprs: Exprs;
  readonly #scope: Scope;
  /** Variables with their extents. */
  readonly #extents: ReadonlyMap<string, Expr>;

  constructor(exprs: Exprs, scope: Scope, extents: ReadonlyMap<string, Expr>) {
    this.#exprs = exprs;
    this.#scope = scope;
    this.#extents = extents;
  }

  #holds(condition: Expr): boolean {
    return proves(this.#exprs, condition, this.#scope);
  }
  #same(a: Expr, b: Expr): boolean {
    return a === b || this.#holds(this.#exprs.eq(a, b));
  }
  #mentions(e: Expr): boolean {
    return this.#exprs.variables(e).some((v) => this.#extents.has(v));
  }

  parse(e: Expr): DigitSum | null {
    const exprs = this.#exprs;
    if (e.dtype !== 'i64') return null;
    const p = exprs.polynomial(e);
    let offset: Expr = exprs.int(p.constant);
    const terms: Term[] = [];
    for (const term of p.terms) {
      const inner = term.factors.filter((f) => this.#mentions(f));
      const rest = exprs.mul(exprs.product(term.factors.filter((f) => !inner.includes(f))), exprs.int(term.coefficient));
      if (inner.length === 0) {
        offset = exprs.add(offset, rest);
        continue;
      }
      if (inner.length > 1) return null;
      const sum = this.#atom(inner[0]!);
      if (sum === null) return null;
      offset = exprs.add(offset, exprs.mul(sum.offset, rest));
      for (const t of sum.terms) terms.push({ scale: exprs.mul(t.scale, rest), digit: t.digit });
    }
    return this.#sorted(offset, terms);
  }

  /** Terms by growing scale; null where scales are not positive or cannot be ordered. */
  #sorted(offset: Expr, terms: readonly Term[]): DigitSum | null {
    const exprs = this.#exprs;
    const sorted: Term[] = [];
    for (const term of terms) {
      if (this.#same(term.digit.extent, exprs.one)) continue;
      if (!this.#holds(exprs.ge(term.scale, 1))) return null;
      let at = sorted.length;
      while (at > 0 && this.#holds(exprs.le(term.scale, sorted[at - 1]!.scale))) at--;
      if (at > 0 && !this.#holds(exprs.le(sorted[at - 1]!.scale, term.scale))) return null;
      sorted.splice(at, 0, term);
    }
    return { offset, terms: sorted };
  }

  #atom(e: Expr): DigitSum | null {
    const exprs = this.#exprs;
    if (e.op === 'var') {
      const extent = this.#extents.get(e.value as string)!;
      return { offset: exprs.zero, terms: [{ scale: exprs.one, digit: { variable: e.value as string, lower: exprs.one, extent } }] };
    }
    if (e.op !== 'floordiv' && e.op !== 'mod') return null;
    const [x, by] = e.args as [Expr, Expr];
    if (this.#mentions(by)) return null;
    const sum = this.parse(x);
    if (sum === null || sum.offset !== exprs.zero || !this.#contiguous(sum)) return null;
    return this.#divided(sum, by, e.op);
  }

  /** Whether the sum takes every value from its offset on, each once: a number in mixed radix. */
  #contiguous(sum: DigitSum): boolean {
    let next: Expr = this.#exprs.one;
    for (const { scale, digit } of sum.terms) {
      if (!this.#same(scale, next)) return false;
      next = this.#exprs.mul(scale, digit.extent);
    }
    return true;
  }

  /** floordiv or mod of a number in mixed radix: its upper or lower digits, one of them cut where need be. */
  #divided(sum: DigitSum, by: Expr, op: 'floordiv' | 'mod'): DigitSum | null {
    const exprs = this.#exprs;
    const lower: Term[] = [];
    const upper: Term[] = [];
    for (const [i, { scale, digit }] of sum.terms.entries()) {
      const end = exprs.mul(scale, digit.extent);
      const last = i === sum.terms.length - 1;
      if (this.#holds(exprs.le(end, by))) lower.push({ scale, digit });
      else if (this.#holds(exprs.ge(scale, by))) {
        const q = exprs.divideExact(scale, by);
        if (q === null) return null;
        upper.push({ scale: q, digit });
      } else {
        // by = scale · q cuts this digit into [0, q) and [q, extent).
        const q = exprs.divideExact(by, scale);
        if (q === null) return null;
        const parts = exprs.divideExact(digit.extent, q);
        if (parts === null && !last) return null;
        lower.push({ scale, digit: { ...digit, extent: q } });
        upper.push({ scale: exprs.one, digit: { variable: digit.variable, lower: exprs.mul(digit.lower, q), extent: parts ?? exprs.ceildiv(digit.extent, q) } });
      }
    }
    return this.#sorted(exprs.zero, op === 'floordiv' ? upper : lower);
  }

  /** Whether the digits of every one of these variables are all there. */
  #determines(digits: readonly Digit[], variables: Iterable<string>): boolean {
    const exprs = this.#exprs;
    for (const variable of variables) {
      const extent = this.#extents.get(variable)!;
      if (this.#same(extent, exprs.one)) continue;
      let next: Expr = exprs.one;
      const mine = digits.filter((d) => d.variable === variable);
      for (;;) {
        if (this.#holds(exprs.ge(next, extent))) break;
        const digit = mine.find((d) => this.#same(d.lower, next));
        if (digit === undefined) return false;
        next = exprs.mul(next, digit.extent);
      }
    }
    return true;
  }

  /**
   * Whether the tuple of values tells the values of `variables` apart, whatever the other variables are. Entries that
   * have another form are left out: what the others tell is enough.
   */
  separates(values: readonly Expr[], variables: readonly string[]): boolean {
    const exprs = this.#exprs;
    const digits: Digit[] = [];
    for (const value of values) {
      const sum = this.parse(value);
      if (sum === null) continue;
      let next: Expr | null = null;
      const found: Digit[] = [];
      for (const { scale, digit } of sum.terms) {
        if (next !== null && !this.#holds(exprs.ge(scale, next))) {
          next = null;
          break;
        }
        found.push(digit);
        next = exprs.mul(scale, digit.extent);
      }
      if (next !== null || sum.terms.length === 0) digits.push(...found);
    }
    return this.#determines(digits, variables);
  }

  /**
   * The variables in terms of the values: `inverse(outputs)[variable]`. null where the map is not one to one or not of
   * this form. Offsets must be zero.
   */
  inverse(values: readonly Expr[], outputs: readonly Expr[]): ReadonlyMap<string, Expr> | null {
    const exprs = this.#exprs;
    const parts = new Map<string, { lower: Expr; extent: Expr; value: Expr }[]>();
    const digits: Digit[] = [];
    for (const [j, value] of values.entries()) {
      const sum = this.parse(value);
      if (sum === null || sum.offset !== exprs.zero) return null;
      let next: Expr = exprs.one;
      for (const [k, { scale, digit }] of sum.terms.entries()) {
        if (!this.#holds(exprs.ge(scale, next))) return null;
        const above = exprs.floordiv(outputs[j]!, scale);
        const last = k === sum.terms.length - 1;
        // Between two digits there may be a gap, which no value falls in.
        const list = parts.get(digit.variable) ?? [];
        const following = sum.terms[k + 1]?.scale;
        const radix = following === undefined ? digit.extent : exprs.divideExact(following, scale);
        if (radix === null) return null;
        list.push({ lower: digit.lower, extent: digit.extent, value: last ? above : exprs.mod(above, radix) });
        parts.set(digit.variable, list);
        digits.push(digit);
        next = exprs.mul(scale, digit.extent);
      }
    }
    if (!this.#determines(digits, this.#extents.keys())) return null;
    const result = new Map<string, Expr>();
    for (const variable of this.#extents.keys()) {
      const mine = parts.get(variable) ?? [];
      let sum: Expr = exprs.zero;
      const seen: Expr[] = [];
      for (const part of mine) {
        if (seen.includes(part.lower)) continue;
        seen.push(part.lower);
        sum = exprs.add(sum, exprs.mul(part.value, part.lower));
      }
      result.set(variable, sum);
    }
    return result;
  }

  /** Whether running through the values in order, the last fastest, runs through the variables in that order, too. */
  keepsOrder(values: readonly Expr[], variables: readonly string[]): boolean {
    const digits: Digit[] = [];
    for (const value of values) {
      const sum = this.parse(value);
      if (sum === null) return false;
      digits.push(...[...sum.terms].reverse().map((t) => t.digit));
    }
    return digits.every((d, k) => {
      const before = digits[k - 1];
      if (before === undefined) return true;
      const [x, y] = [variables.indexOf(before.variable), variables.indexOf(d.variable)];
      return x < y || (x === y && this.#holds(this.#exprs.lt(d.lower, before.lower)));
    });
  }

  /** Whether the value takes every integer from 0 to `extent` − 1, perhaps several times, and perhaps others. */
  covers(value: Expr, extent: Expr): boolean {
    const exprs = this.#exprs;
    const sum = this.parse(value);
    if (sum === null || !this.#holds(exprs.le(sum.offset, 0))) return false;
    let next: Expr = exprs.one;
    for (const { scale, digit } of sum.terms) {
      if (!this.#holds(exprs.le(scale, next))) return false;
      next = exprs.add(next, exprs.mul(scale, exprs.sub(digit.extent, 1)));
    }
    return this.#holds(exprs.ge(exprs.add(sum.offset, next), extent));
  }

  /** The number of values of a contiguous sum without offset; null for anything else. */
  size(value: Expr): Expr | null {
    const sum = this.parse(value);
    if (sum === null || sum.offset !== this.#exprs.zero || !this.#contiguous(sum)) return null;
    return this.#exprs.product(sum.terms.map((t) => t.digit.extent));
  }
}
