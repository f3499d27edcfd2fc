/**
 * Scalar expressions. Dims are their integer subset (`dtype: 'i64'` over named dims); tensor functions use all of it.
 *
 * Nodes are made and interned by a session's {@link ExprBuilder}: within one session structurally equal expressions
 * are `===`. Expressions from elsewhere (text, a worker, another copy of core) enter through `intern`.
 */
export type ExprOp =
  | 'const' // value: number, or bigint where a 64-bit integer is not a safe integer; bool is 0 or 1
  | 'var' // value: the name of a dim, a loop variable, an iteration variable or a `let`
  | 'add' | 'sub' | 'mul' // integers wrap at their width; floats round once
  | 'div' // floating-point division
  | 'floordiv' | 'mod' // integers, rounding to minus infinity; the sign of `mod` is the divisor's
  | 'truncdiv' | 'truncmod' // integers, rounding to zero (C's / and %); `truncmod` on floats is C's fmod
  | 'min' | 'max' // on floats: NaN if either is NaN
  | 'eq' | 'ne' | 'lt' | 'le' // → bool
  | 'and' | 'or' | 'not' // bool
  | 'select' // [condition, then, otherwise]; only the chosen side is evaluated
  | 'cast' // to dtype; float → integer truncates and saturates, NaN → 0; integer → integer wraps
  | 'load' // value: the buffer's name; args: one i64 index per axis
  | 'call'; // value: an intrinsic's name, see `intrinsics`

export interface Expr {
  readonly tag: 'expr';
  readonly op: ExprOp;
  readonly dtype: string;
  readonly args: readonly Expr[];
  readonly value: number | bigint | string | null;
  /** Session-local, for maps and ordering within a session. Never serialised. */
  readonly id: number;
}

/** A dim: an integer expression over named dims. */
export type Dim = Expr;
export type ExprLike = Expr | number;

/** Answers of a proof. Unknown never means yes. */
export type Proof = 'yes' | 'no' | 'unknown';

/** What is known of a variable: `min ≤ v ≤ max` (bounds may mention outer variables), and `v % multipleOf = 0`. */
export interface VarFacts {
  readonly min: Expr | number | null;
  readonly max: Expr | number | null;
  readonly multipleOf?: number;
}
export type Scope = ReadonlyMap<string, VarFacts>;

/** Inclusive; null where unbounded or unknown. */
export interface Bounds {
  readonly min: number | null;
  readonly max: number | null;
}

/**
 * Intrinsics callable from scalar expressions. Float functions take and give their argument's dtype.
 * `round` is half to even; `erf` is the Gauss error function; `bitcast` keeps the bits.
 */
export const intrinsics = [
  'exp', 'log', 'sqrt', 'rsqrt', 'tanh', 'erf', 'sin', 'cos', 'tan', 'asin', 'acos', 'atan',
  'sinh', 'cosh', 'asinh', 'acosh', 'atanh', 'pow', 'abs', 'floor', 'ceil', 'round', 'trunc', 'sign',
  'isnan', 'isinf', 'bitand', 'bitor', 'bitxor', 'bitnot', 'shl', 'shr', 'bitcast', 'popcount',
] as const;
export type Intrinsic = (typeof intrinsics)[number];

/** Makes, simplifies and reasons about scalar expressions. Integer results are simplified as they are made. */
export interface ExprBuilder {
  int(value: number | bigint): Expr;
  constant(value: number | bigint | boolean, dtype: string): Expr;
  variable(name: string, dtype?: string): Expr;
  /** The general constructor, without simplification. */
  make(op: ExprOp, dtype: string, args: readonly Expr[], value: number | bigint | string | null): Expr;
  /** Brings an expression of another session or copy of core into this one. */
  intern(expr: Expr): Expr;

  add(a: ExprLike, b: ExprLike): Expr;
  sub(a: ExprLike, b: ExprLike): Expr;
  mul(a: ExprLike, b: ExprLike): Expr;
  div(a: ExprLike, b: ExprLike): Expr;
  floordiv(a: ExprLike, b: ExprLike): Expr;
  /** `floordiv(a + b - 1, b)` for positive b. */
  ceildiv(a: ExprLike, b: ExprLike): Expr;
  mod(a: ExprLike, b: ExprLike): Expr;
  truncdiv(a: ExprLike, b: ExprLike): Expr;
  truncmod(a: ExprLike, b: ExprLike): Expr;
  min(a: ExprLike, b: ExprLike): Expr;
  max(a: ExprLike, b: ExprLike): Expr;
  neg(a: ExprLike): Expr;
  eq(a: ExprLike, b: ExprLike): Expr;
  ne(a: ExprLike, b: ExprLike): Expr;
  lt(a: ExprLike, b: ExprLike): Expr;
  le(a: ExprLike, b: ExprLike): Expr;
  gt(a: ExprLike, b: ExprLike): Expr;
  ge(a: ExprLike, b: ExprLike): Expr;
  and(a: Expr, b: Expr): Expr;
  or(a: Expr, b: Expr): Expr;
  not(a: Expr): Expr;
  select(condition: Expr, then: ExprLike, otherwise: ExprLike): Expr;
  cast(a: ExprLike, dtype: string): Expr;
  load(buffer: { readonly name: string; readonly dtype: string }, indices: readonly ExprLike[]): Expr;
  call(name: Intrinsic, args: readonly Expr[], dtype?: string): Expr;
  /** The product of integer expressions; 1 for none. */
  product(factors: readonly ExprLike[]): Expr;

  /** The integer value of a constant, else null. */
  valueOf(a: Expr): number | null;
  simplify(a: Expr, scope?: Scope): Expr;
  substitute(a: Expr, values: ReadonlyMap<string, Expr>): Expr;
  /** Free variables by name, in order of first occurrence. */
  variables(a: Expr): readonly string[];
  bounds(a: Expr, scope?: Scope): Bounds;
  /** The largest known integer dividing the expression (0 for the constant 0). */
  divisor(a: Expr, scope?: Scope): number;
  prove(condition: Expr, scope?: Scope): Proof;
}
