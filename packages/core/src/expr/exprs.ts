import type { Bounds, Expr, ExprBuilder, ExprLike, ExprOp, Intrinsic, Proof, Scope, VarFacts } from '@tenon/plugin';
import { boundsOf, divisorOf } from './bounds.ts';
import { divideExact, floordivPolynomial, modPolynomial } from './division.ts';
import { floordivInts, modInts, truncdivInts, truncmodInts, wrapInt, type Int } from './integers.ts';
import { Interner } from './intern.ts';
import {
  addPolynomials, atomPolynomial, constantPolynomial, mulPolynomials, scalePolynomial, type Polynomial, type Term,
} from './polynomial.ts';
import { proveCondition } from './prove.ts';

/** Products of sums are multiplied out up to this many terms. */
const expandLimit = 24;
const noScope: Scope = new Map();
const noNames: readonly string[] = [];
const always = (): boolean => true;

/**
 * The session's expression builder. Integer expressions of dtype `i64` are kept as normal forms: sums of monomials,
 * divisions with everything exact taken out. Dims and indices are taken to stay within 64 bits.
 */
export class Exprs implements ExprBuilder {
  readonly #nodes = new Interner();
  readonly #polynomials = new Map<number, Polynomial>();
  readonly #variables = new Map<Expr, readonly string[]>();
  /**
   * What the session knows of its dims, for every question asked of it. A scope given with a question goes before it.
   * Expressions are built without it, so that what was built stays valid where facts change.
   */
  readonly facts = new Map<string, VarFacts>();
  readonly zero = this.#nodes.make('const', 'i64', [], 0);
  readonly one = this.#nodes.make('const', 'i64', [], 1);
  readonly true = this.#nodes.make('const', 'bool', [], 1);
  readonly false = this.#nodes.make('const', 'bool', [], 0);

  make(op: ExprOp, dtype: string, args: readonly Expr[], value: number | bigint | string | null): Expr {
    return this.#nodes.make(op, dtype, args, value);
  }

  intern(expr: Expr): Expr {
    if (this.#nodes.owns(expr)) return expr;
    const known = new Map<Expr, Expr>();
    const visit = (e: Expr): Expr => {
      let mine = known.get(e);
      if (mine === undefined) {
        mine = this.make(e.op, e.dtype, e.args.map(visit), e.value);
        known.set(e, mine);
      }
      return mine;
    };
    return visit(expr);
  }

  int(value: number | bigint): Expr {
    return this.constant(value, 'i64');
  }

  constant(value: number | bigint | boolean, dtype: string): Expr {
    if (dtype === 'bool') return value ? this.true : this.false;
    if (typeof value === 'boolean') return this.make('const', dtype, [], value ? 1 : 0);
    if (isFloat(dtype)) {
      const real = Number(value);
      return this.make('const', dtype, [], dtype === 'f32' ? Math.fround(real) : real);
    }
    const integer: Int = typeof value === 'number' && !Number.isSafeInteger(value) ? BigInt(Math.trunc(value)) : value;
    const wrapped = wrapInt(integer, dtype);
    return this.make('const', dtype, [], typeof wrapped === 'bigint' && Number.isSafeInteger(Number(wrapped)) ? Number(wrapped) : typeof wrapped === 'number' ? wrapped + 0 : wrapped);
  }

  variable(name: string, dtype = 'i64'): Expr {
    return this.make('var', dtype, [], name);
  }

  /** An operand: a number takes the other operand's dtype. */
  #operand(a: ExprLike, other: ExprLike): Expr {
    if (typeof a !== 'number') return a;
    return this.constant(a, typeof other === 'number' ? 'i64' : other.dtype);
  }

  #binary(op: ExprOp, a: Expr, b: Expr, dtype = a.dtype): Expr {
    if (a.dtype !== b.dtype) throw new TypeError(`${op} of ${a.dtype} and ${b.dtype}: operands must have one dtype`);
    return this.make(op, dtype, [a, b], null);
  }

  /** The normal form of an i64 expression. */
  polynomial(a: Expr): Polynomial {
    let p = this.#polynomials.get(a.id);
    if (p !== undefined) return p;
    if (a.op === 'const') p = constantPolynomial(a.value as Int);
    else if (a.op === 'add') p = addPolynomials(this.polynomial(a.args[0]!), this.polynomial(a.args[1]!));
    else if (a.op === 'sub') p = addPolynomials(this.polynomial(a.args[0]!), this.polynomial(a.args[1]!), -1);
    else if (a.op === 'mul') {
      const x = this.polynomial(a.args[0]!);
      const y = this.polynomial(a.args[1]!);
      p = size(x) * size(y) <= expandLimit ? mulPolynomials(x, y) : atomPolynomial(a);
    } else p = atomPolynomial(a);
    this.#polynomials.set(a.id, p);
    return p;
  }

  /** The expression of a normal form. */
  fromPolynomial(p: Polynomial): Expr {
    const positive = p.terms.filter((t) => t.coefficient > 0);
    const negative = p.terms.filter((t) => t.coefficient < 0);
    let sum: Expr | null = null;
    for (const term of positive) {
      const product = this.#product(term, term.coefficient);
      sum = sum === null ? product : this.make('add', 'i64', [sum, product], null);
    }
    if (sum === null && negative.length > 0) {
      if (p.constant != 0) sum = this.int(p.constant);
      else {
        const [first, ...rest] = negative as [Term, ...Term[]];
        sum = this.#product(first, first.coefficient);
        for (const term of rest) sum = this.make('sub', 'i64', [sum, this.#product(term, negate(term.coefficient))], null);
        return this.#remember(sum, p);
      }
      for (const term of negative) sum = this.make('sub', 'i64', [sum, this.#product(term, negate(term.coefficient))], null);
      return this.#remember(sum, p);
    }
    if (sum === null) return this.int(p.constant);
    for (const term of negative) sum = this.make('sub', 'i64', [sum, this.#product(term, negate(term.coefficient))], null);
    if (p.constant > 0) sum = this.make('add', 'i64', [sum, this.int(p.constant)], null);
    else if (p.constant < 0) sum = this.make('sub', 'i64', [sum, this.int(negate(p.constant))], null);
    return this.#remember(sum, p);
  }

  #remember(e: Expr, p: Polynomial): Expr {
    if (!this.#polynomials.has(e.id)) this.#polynomials.set(e.id, p);
    return e;
  }

  #product(term: Term, coefficient: Int): Expr {
    let product: Expr | null = null;
    for (const factor of term.factors) product = product === null ? factor : this.make('mul', 'i64', [product, factor], null);
    if (product === null) return this.int(coefficient);
    return coefficient == 1 ? product : this.make('mul', 'i64', [product, this.int(coefficient)], null);
  }

  add(a: ExprLike, b: ExprLike): Expr {
    const x = this.#operand(a, b);
    const y = this.#operand(b, a);
    if (x.dtype !== 'i64' || y.dtype !== 'i64') return this.#folded('add', x, y);
    if (x.op === 'const' && x.value === 0) return y;
    if (y.op === 'const' && y.value === 0) return x;
    return this.#recombined(addPolynomials(this.polynomial(x), this.polynomial(y)));
  }

  sub(a: ExprLike, b: ExprLike): Expr {
    const x = this.#operand(a, b);
    const y = this.#operand(b, a);
    if (x.dtype !== 'i64' || y.dtype !== 'i64') return this.#folded('sub', x, y);
    if (y.op === 'const' && y.value === 0) return x;
    return this.#recombined(addPolynomials(this.polynomial(x), this.polynomial(y), -1));
  }

  mul(a: ExprLike, b: ExprLike): Expr {
    const x = this.#operand(a, b);
    const y = this.#operand(b, a);
    if (x.dtype !== 'i64' || y.dtype !== 'i64') return this.#folded('mul', x, y);
    const p = this.polynomial(x);
    const q = this.polynomial(y);
    if (p.terms.length === 0) return this.fromPolynomial(scalePolynomial(q, p.constant));
    if (q.terms.length === 0) return this.fromPolynomial(scalePolynomial(p, q.constant));
    if (size(p) * size(q) > expandLimit) return this.make('mul', 'i64', [x, y], null);
    return this.#recombined(mulPolynomials(p, q));
  }

  /** Applies `floordiv(x, c) * c + x % c = x` (times any common factor) before building the sum. */
  #recombined(p: Polynomial): Expr {
    for (const term of p.terms) {
      for (const factor of term.factors) {
        if (factor.op !== 'mod') continue;
        const [x, c] = factor.args as [Expr, Expr];
        const others = [...term.factors];
        others.splice(others.indexOf(factor), 1);
        const common = this.fromPolynomial({ terms: [{ coefficient: term.coefficient, factors: others }], constant: 0 });
        const scaled = others.length === 0 ? this.int(term.coefficient) : common;
        const quotient = addPolynomials(
          this.polynomial(this.mul(this.mul(this.floordiv(x, c), c), scaled)),
          constantPolynomial(0),
        );
        const present = quotient.terms.every((q) =>
          p.terms.some((t) => t.coefficient == q.coefficient && t.factors.length === q.factors.length && t.factors.every((f, i) => f === q.factors[i])),
        );
        if (!present || quotient.terms.length === 0) continue;
        const rest = addPolynomials(addPolynomials(p, quotient, -1), { terms: [term], constant: 0 }, -1);
        return this.#recombined(addPolynomials(rest, this.polynomial(this.mul(x, scaled))));
      }
    }
    return this.fromPolynomial(p);
  }

  /** Arithmetic on dtypes other than i64: only constants of integers are folded; floats are left as written. */
  #folded(op: 'add' | 'sub' | 'mul', x: Expr, y: Expr): Expr {
    if (x.op === 'const' && y.op === 'const' && isInteger(x.dtype) && x.dtype === y.dtype) {
      const a = BigInt(x.value as Int);
      const b = BigInt(y.value as Int);
      return this.constant(op === 'add' ? a + b : op === 'sub' ? a - b : a * b, x.dtype);
    }
    return this.#binary(op, x, y);
  }

  div(a: ExprLike, b: ExprLike): Expr {
    return this.#binary('div', this.#operand(a, b), this.#operand(b, a));
  }

  floordiv(a: ExprLike, b: ExprLike): Expr {
    const x = this.#operand(a, b);
    const y = this.#operand(b, a);
    if (x.dtype !== 'i64' || y.dtype !== 'i64') return this.#binary('floordiv', x, y);
    if (x.op === 'const' && y.op === 'const') return this.int(floordivInts(x.value as Int, y.value as Int));
    return floordivPolynomial(this, x, y, null);
  }

  ceildiv(a: ExprLike, b: ExprLike): Expr {
    return this.floordiv(this.sub(this.add(a, b), 1), b);
  }

  mod(a: ExprLike, b: ExprLike): Expr {
    const x = this.#operand(a, b);
    const y = this.#operand(b, a);
    if (x.dtype !== 'i64' || y.dtype !== 'i64') return this.#binary('mod', x, y);
    if (x.op === 'const' && y.op === 'const') return this.int(modInts(x.value as Int, y.value as Int));
    return modPolynomial(this, x, y, null);
  }

  truncdiv(a: ExprLike, b: ExprLike): Expr {
    const x = this.#operand(a, b);
    const y = this.#operand(b, a);
    if (x.dtype === 'i64' && x.op === 'const' && y.op === 'const') return this.int(truncdivInts(x.value as Int, y.value as Int));
    if (y.op === 'const' && y.value === 1 && isInteger(y.dtype)) return x;
    return this.#binary('truncdiv', x, y);
  }

  truncmod(a: ExprLike, b: ExprLike): Expr {
    const x = this.#operand(a, b);
    const y = this.#operand(b, a);
    if (x.dtype === 'i64' && x.op === 'const' && y.op === 'const') return this.int(truncmodInts(x.value as Int, y.value as Int));
    return this.#binary('truncmod', x, y);
  }

  min(a: ExprLike, b: ExprLike): Expr {
    return this.#extreme('min', this.#operand(a, b), this.#operand(b, a));
  }

  max(a: ExprLike, b: ExprLike): Expr {
    return this.#extreme('max', this.#operand(a, b), this.#operand(b, a));
  }

  #extreme(op: 'min' | 'max', x: Expr, y: Expr): Expr {
    if (x === y) return x;
    if (x.dtype === 'i64' && y.dtype === 'i64') {
      const difference = addPolynomials(this.polynomial(x), this.polynomial(y), -1);
      if (difference.terms.length === 0) return difference.constant < 0 === (op === 'min') ? x : y;
    }
    return this.#binary(op, x, y);
  }

  neg(a: ExprLike): Expr {
    const x = this.#operand(a, a);
    if (x.dtype === 'i64') return this.mul(x, -1);
    return isFloat(x.dtype) ? this.mul(x, this.constant(-1, x.dtype)) : this.sub(this.constant(0, x.dtype), x);
  }

  eq(a: ExprLike, b: ExprLike): Expr {
    return this.#compare('eq', this.#operand(a, b), this.#operand(b, a));
  }
  ne(a: ExprLike, b: ExprLike): Expr {
    return this.#compare('ne', this.#operand(a, b), this.#operand(b, a));
  }
  lt(a: ExprLike, b: ExprLike): Expr {
    return this.#compare('lt', this.#operand(a, b), this.#operand(b, a));
  }
  le(a: ExprLike, b: ExprLike): Expr {
    return this.#compare('le', this.#operand(a, b), this.#operand(b, a));
  }
  gt(a: ExprLike, b: ExprLike): Expr {
    return this.lt(this.#operand(b, a), this.#operand(a, b));
  }
  ge(a: ExprLike, b: ExprLike): Expr {
    return this.le(this.#operand(b, a), this.#operand(a, b));
  }

  #compare(op: 'eq' | 'ne' | 'lt' | 'le', x: Expr, y: Expr): Expr {
    if (x.dtype === 'i64' && y.dtype === 'i64') {
      const difference = addPolynomials(this.polynomial(x), this.polynomial(y), -1);
      if (difference.terms.length === 0) {
        const d = difference.constant;
        return this.constant(op === 'eq' ? d == 0 : op === 'ne' ? d != 0 : op === 'lt' ? d < 0 : d <= 0, 'bool');
      }
    } else if (x.op === 'const' && y.op === 'const' && x.dtype === y.dtype) {
      const a = x.value as Int;
      const b = y.value as Int;
      return this.constant(op === 'eq' ? a == b : op === 'ne' ? a != b : op === 'lt' ? a < b : a <= b, 'bool');
    }
    return this.#binary(op, x, y, 'bool');
  }

  and(a: Expr, b: Expr): Expr {
    if (a === this.true || b === this.false || a === b) return b;
    if (b === this.true || a === this.false) return a;
    return this.#binary('and', a, b);
  }

  or(a: Expr, b: Expr): Expr {
    if (a === this.false || b === this.true || a === b) return b;
    if (b === this.false || a === this.true) return a;
    return this.#binary('or', a, b);
  }

  not(a: Expr): Expr {
    if (a.op === 'not') return a.args[0]!;
    if (a.op === 'const') return a.value === 0 ? this.true : this.false;
    const [x, y] = a.args as [Expr, Expr];
    if (a.op === 'eq') return this.make('ne', 'bool', [x, y], null);
    if (a.op === 'ne') return this.make('eq', 'bool', [x, y], null);
    // Negating an order is only right where there is no NaN.
    if (a.op === 'lt' && isInteger(x.dtype)) return this.#compare('le', y, x);
    if (a.op === 'le' && isInteger(x.dtype)) return this.#compare('lt', y, x);
    return this.make('not', 'bool', [a], null);
  }

  select(condition: Expr, then: ExprLike, otherwise: ExprLike): Expr {
    const x = this.#operand(then, otherwise);
    const y = this.#operand(otherwise, then);
    if (condition.op === 'const') return condition.value === 0 ? y : x;
    if (x === y) return x;
    if (x.dtype !== y.dtype) throw new TypeError(`select of ${x.dtype} and ${y.dtype}: both sides must have one dtype`);
    return this.make('select', x.dtype, [condition, x, y], null);
  }

  cast(a: ExprLike, dtype: string): Expr {
    const x = this.#operand(a, a);
    if (x.dtype === dtype) return x;
    if (x.op === 'const' && dtype !== 'bool' && isInteger(x.dtype) && (isInteger(dtype) || dtype === 'f32' || dtype === 'f64')) {
      return this.constant(x.value as Int, dtype);
    }
    return this.make('cast', dtype, [x], null);
  }

  load(buffer: { readonly name: string; readonly dtype: string }, indices: readonly ExprLike[]): Expr {
    return this.make('load', buffer.dtype, indices.map((i) => (typeof i === 'number' ? this.int(i) : i)), buffer.name);
  }

  call(name: Intrinsic, args: readonly Expr[], dtype?: string): Expr {
    const result = dtype ?? (name === 'isnan' || name === 'isinf' ? 'bool' : args[0]!.dtype);
    return this.make('call', result, args, name);
  }

  product(factors: readonly ExprLike[]): Expr {
    let product = this.one;
    for (const factor of factors) product = this.mul(product, factor);
    return product;
  }

  valueOf(a: Expr): number | null {
    return a.op === 'const' ? Number(a.value) : null;
  }

  /** a / b where b divides a for every value of the variables; null where that does not show. */
  divideExact(a: Expr, b: Expr): Expr | null {
    return divideExact(this, a, b);
  }

  /** Makes the node again from (possibly new) arguments, simplifying. */
  rebuild(e: Expr, args: readonly Expr[]): Expr {
    const [a, b, c] = args as [Expr, Expr, Expr];
    switch (e.op) {
      case 'const':
      case 'var':
        return e;
      case 'add': return this.add(a, b);
      case 'sub': return this.sub(a, b);
      case 'mul': return this.mul(a, b);
      case 'div': return this.div(a, b);
      case 'floordiv': return this.floordiv(a, b);
      case 'mod': return this.mod(a, b);
      case 'truncdiv': return this.truncdiv(a, b);
      case 'truncmod': return this.truncmod(a, b);
      case 'min': return this.min(a, b);
      case 'max': return this.max(a, b);
      case 'eq': return this.eq(a, b);
      case 'ne': return this.ne(a, b);
      case 'lt': return this.lt(a, b);
      case 'le': return this.le(a, b);
      case 'and': return this.and(a, b);
      case 'or': return this.or(a, b);
      case 'not': return this.not(a);
      case 'select': return this.select(a, b, c);
      case 'cast': return this.cast(a, e.dtype);
      case 'load':
      case 'call':
        return this.make(e.op, e.dtype, args, e.value);
    }
  }

  /** Applies `fn` bottom-up; `fn` gets a node with rewritten arguments and may replace it. Nodes that `concerns` denies stay as they are. */
  transform(a: Expr, fn: (e: Expr) => Expr, concerns: (e: Expr) => boolean = always): Expr {
    const known = new Map<number, Expr>();
    const visit = (e: Expr): Expr => {
      if (!concerns(e)) return e;
      let result = known.get(e.id);
      if (result === undefined) {
        const args = e.args.map(visit);
        const made = args.every((arg, i) => arg === e.args[i]) ? e : this.rebuild(e, args);
        // What simplification leaves of a node may be one of its arguments, to which `fn` has been applied already.
        result = made.op === e.op ? fn(made) : made;
        known.set(e.id, result);
      }
      return result;
    };
    return visit(a);
  }

  simplify(a: Expr, scope: Scope = noScope): Expr {
    let current = a;
    // One rewrite may enable another; the limit only guards against a cycle.
    for (let round = 0; round < 8; round++) {
      let next = this.transform(current, (e) => this.rebuild(e, e.args));
      if (scope.size > 0 || this.facts.size > 0) next = this.transform(next, (e) => this.#simplifyInScope(e, scope));
      if (next === current) break;
      current = next;
    }
    return current;
  }

  #simplifyInScope(e: Expr, scope: Scope): Expr {
    switch (e.op) {
      case 'floordiv': {
        if (e.dtype !== 'i64') return e;
        const again = floordivPolynomial(this, e.args[0]!, e.args[1]!, scope);
        return again;
      }
      case 'mod':
        return e.dtype === 'i64' ? modPolynomial(this, e.args[0]!, e.args[1]!, scope) : e;
      case 'min':
      case 'max': {
        if (e.dtype !== 'i64') return e;
        const [x, y] = e.args as [Expr, Expr];
        const ordered = this.prove(this.le(x, y), scope);
        if (ordered === 'yes') return e.op === 'min' ? x : y;
        if (ordered === 'no') return e.op === 'min' ? y : x;
        const reversed = this.prove(this.le(y, x), scope);
        if (reversed === 'yes') return e.op === 'min' ? y : x;
        return e;
      }
      case 'eq': case 'ne': case 'lt': case 'le': {
        if (e.args[0]!.dtype !== 'i64') return e;
        const proof = this.prove(e, scope);
        return proof === 'yes' ? this.true : proof === 'no' ? this.false : e;
      }
      default:
        return e;
    }
  }

  substitute(a: Expr, values: ReadonlyMap<string, Expr>): Expr {
    if (values.size === 0) return a;
    return this.transform(a, (e) => (e.op === 'var' ? (values.get(e.value as string) ?? e) : e), (e) => this.variables(e).some((name) => values.has(name)));
  }

  variables(a: Expr): readonly string[] {
    let names = this.#variables.get(a);
    if (names === undefined) {
      if (a.op === 'var') names = [a.value as string];
      else {
        const of = a.args.map((arg) => this.variables(arg)).filter((v) => v.length > 0);
        names = of.length === 0 ? noNames : of.length === 1 ? of[0]! : [...new Set(of.flat())];
      }
      this.#variables.set(a, names);
    }
    return names;
  }

  bounds(a: Expr, scope: Scope = noScope): Bounds {
    return boundsOf(this, a, scope);
  }

  divisor(a: Expr, scope: Scope = noScope): number {
    return divisorOf(this, a, scope);
  }

  prove(condition: Expr, scope: Scope = noScope): Proof {
    return proveCondition(this, condition, scope);
  }
}

export function createExprs(): Exprs {
  return new Exprs();
}

export const isFloat = (dtype: string): boolean => /^(f|bf)\d/.test(dtype);
export const isInteger = (dtype: string): boolean => /^[iu]\d/.test(dtype);

const size = (p: Polynomial): number => p.terms.length + (p.constant == 0 ? 0 : 1);
const negate = (value: Int): Int => (typeof value === 'number' ? -value : -value);
