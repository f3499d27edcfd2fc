import type { Bounds, Expr, Scope, VarFacts } from '@tenon/plugin';
import type { Exprs } from './exprs.ts';
import { gcd } from './integers.ts';

const unbounded: Bounds = { min: null, max: null };

/** Interval arithmetic over the normal form. Bounds of variables that are expressions are followed. */
export function boundsOf(exprs: Exprs, a: Expr, scope: Scope): Bounds {
  const known = new Map<number, Bounds>();
  const visit = (e: Expr): Bounds => {
    let result = known.get(e.id);
    if (result === undefined) {
      known.set(e.id, unbounded);
      result = compute(e);
      known.set(e.id, result);
    }
    return result;
  };
  const compute = (e: Expr): Bounds => {
    switch (e.op) {
      case 'const': {
        const value = Number(e.value);
        return Number.isSafeInteger(value) ? { min: value, max: value } : unbounded;
      }
      case 'var': {
        const facts = factsOf(exprs, scope, e.value as string);
        if (facts === undefined) return e.dtype === 'bool' ? { min: 0, max: 1 } : unbounded;
        return { min: limit(facts.min, 'min', visit), max: limit(facts.max, 'max', visit) };
      }
      case 'add': case 'sub': case 'mul': {
        if (e.dtype !== 'i64') return unbounded;
        const p = exprs.polynomial(e);
        let sum: Bounds = { min: Number(p.constant), max: Number(p.constant) };
        for (const term of p.terms) {
          let product: Bounds = { min: Number(term.coefficient), max: Number(term.coefficient) };
          for (const factor of term.factors) product = multiply(product, factor === e ? unbounded : visit(factor));
          sum = { min: plus(sum.min, product.min), max: plus(sum.max, product.max) };
        }
        if (p.terms.length === 1 && p.terms[0]!.factors[0] === e) return multiply(visit(e.args[0]!), visit(e.args[1]!));
        return sum;
      }
      case 'floordiv': {
        const x = visit(e.args[0]!);
        const y = visit(e.args[1]!);
        if (y.min !== null && y.min >= 1) {
          const candidates = (v: number | null, side: 'min' | 'max'): number | null => {
            if (v === null) return null;
            const ends = [Math.floor(v / y.min!), y.max === null ? (v < 0 ? -1 : 0) : Math.floor(v / y.max)];
            return side === 'min' ? Math.min(...ends) : Math.max(...ends);
          };
          return { min: candidates(x.min, 'min'), max: candidates(x.max, 'max') };
        }
        return unbounded;
      }
      case 'mod': {
        const x = visit(e.args[0]!);
        const y = visit(e.args[1]!);
        if (y.min !== null && y.min >= 1) {
          const top = y.max === null ? null : y.max - 1;
          const nonnegative = x.min !== null && x.min >= 0;
          if (nonnegative && x.max !== null && x.max < y.min) return x;
          return { min: 0, max: nonnegative && x.max !== null && (top === null || x.max < top) ? x.max : top };
        }
        // A divisor of 0 gives 0; a negative one gives a non-positive remainder.
        if (y.min !== null && y.min >= 0) return { min: 0, max: y.max === null ? null : Math.max(0, y.max - 1) };
        return unbounded;
      }
      case 'truncdiv': {
        const x = visit(e.args[0]!);
        const y = exprs.valueOf(e.args[1]!);
        if (y !== null && y > 0) return { min: x.min === null ? null : Math.trunc(x.min / y) + 0, max: x.max === null ? null : Math.trunc(x.max / y) + 0 };
        return unbounded;
      }
      case 'truncmod': {
        const x = visit(e.args[0]!);
        const y = exprs.valueOf(e.args[1]!);
        if (y !== null && y > 0) return { min: x.min !== null && x.min >= 0 ? 0 : 1 - y, max: x.max !== null && x.max <= 0 ? 0 : y - 1 };
        return unbounded;
      }
      case 'min': {
        const x = visit(e.args[0]!);
        const y = visit(e.args[1]!);
        return {
          min: x.min === null || y.min === null ? null : Math.min(x.min, y.min),
          max: x.max === null ? y.max : y.max === null ? x.max : Math.min(x.max, y.max),
        };
      }
      case 'max': {
        const x = visit(e.args[0]!);
        const y = visit(e.args[1]!);
        return {
          min: x.min === null ? y.min : y.min === null ? x.min : Math.max(x.min, y.min),
          max: x.max === null || y.max === null ? null : Math.max(x.max, y.max),
        };
      }
      case 'select': {
        const x = visit(e.args[1]!);
        const y = visit(e.args[2]!);
        return {
          min: x.min === null || y.min === null ? null : Math.min(x.min, y.min),
          max: x.max === null || y.max === null ? null : Math.max(x.max, y.max),
        };
      }
      case 'eq': case 'ne': case 'lt': case 'le': case 'and': case 'or': case 'not':
        return { min: 0, max: 1 };
      case 'cast':
        return e.args[0]!.dtype === 'bool' ? { min: 0, max: 1 } : unbounded;
      default:
        return unbounded;
    }
  };
  return visit(a);
}

/** What is known of a variable: in the scope of the question, else for the whole session. */
export function factsOf(exprs: Exprs, scope: Scope, name: string): VarFacts | undefined {
  return scope.get(name) ?? exprs.facts.get(name);
}

function limit(value: VarFacts['min'], side: 'min' | 'max', visit: (e: Expr) => Bounds): number | null {
  return value === null || typeof value === 'number' ? value : visit(value)[side];
}

function plus(a: number | null, b: number | null): number | null {
  if (a === null || b === null) return null;
  const sum = a + b;
  return Number.isSafeInteger(sum) ? sum : null;
}

function multiply(a: Bounds, b: Bounds): Bounds {
  if ((a.min === 0 && a.max === 0) || (b.min === 0 && b.max === 0)) return { min: 0, max: 0 };
  const times = (x: number | null, y: number | null, xInfinite: 1 | -1, yInfinite: 1 | -1): number => {
    const p = x ?? xInfinite * Infinity;
    const q = y ?? yInfinite * Infinity;
    return p === 0 || q === 0 ? 0 : p * q;
  };
  const products = [times(a.min, b.min, -1, -1), times(a.min, b.max, -1, 1), times(a.max, b.min, 1, -1), times(a.max, b.max, 1, 1)];
  const min = Math.min(...products);
  const max = Math.max(...products);
  return { min: Number.isSafeInteger(min) ? min + 0 : null, max: Number.isSafeInteger(max) ? max + 0 : null };
}

/** The largest known integer that divides the expression; 0 for the constant 0. */
export function divisorOf(exprs: Exprs, a: Expr, scope: Scope): number {
  const visit = (e: Expr): number => {
    switch (e.op) {
      case 'const': {
        const value = Number(e.value);
        return Number.isSafeInteger(value) ? Math.abs(value) : 1;
      }
      case 'var':
        return factsOf(exprs, scope, e.value as string)?.multipleOf ?? 1;
      case 'add': case 'sub': case 'mul': {
        if (e.dtype !== 'i64') return 1;
        const p = exprs.polynomial(e);
        if (p.terms.length === 1 && p.terms[0]!.factors[0] === e) return Math.min(visit(e.args[0]!) * visit(e.args[1]!), 2 ** 53) || 0;
        let all = Math.abs(Number(p.constant));
        for (const term of p.terms) {
          let product = Math.abs(Number(term.coefficient));
          for (const factor of term.factors) product *= visit(factor);
          all = gcd(all, Number.isSafeInteger(product) ? product : Math.abs(Number(term.coefficient)));
        }
        return Number.isSafeInteger(all) ? all : 1;
      }
      case 'floordiv': {
        const by = exprs.valueOf(e.args[1]!);
        const x = visit(e.args[0]!);
        return by !== null && by > 0 && x % by === 0 ? x / by : 1;
      }
      case 'mod':
        return gcd(visit(e.args[0]!), visit(e.args[1]!));
      case 'min': case 'max':
        return gcd(visit(e.args[0]!), visit(e.args[1]!));
      case 'select':
        return gcd(visit(e.args[1]!), visit(e.args[2]!));
      default:
        return 1;
    }
  };
  return visit(a);
}
