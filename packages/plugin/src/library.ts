import type { Expr } from './expr.ts';
import type { Context } from './context.ts';
import type { Constraint, Match, Pattern, Verdict } from './pattern.ts';
import type { TargetContext } from './target.ts';
import type { Attrs } from './types.ts';

/**
 * Routines that may take the place of generated kernels of one target. Compiled into the target's code: what is found on
 * the machine at run time (a vendor's BLAS opened by name) is not this.
 */
export interface Library {
  /** Unique in a session, as a package name is: `acme-blas`. */
  readonly name: string;
  /** Whose kernels it can replace: a target of the form `kernels`, which may be somebody else's. */
  readonly target: string;
  readonly entries: readonly LibraryEntry[];
  /** The code that defines the symbols. All of it is linked where one entry is used. */
  readonly provides: readonly LibraryUnit[];
  readonly doc: string;
}

/**
 * One way to compute some operators of a fused kernel: all of them, or a part around which the rest is fused again. Operators
 * are those that the target compiles: canonicalized, and decomposed as far as it asked for.
 */
export interface LibraryEntry {
  /** Unique in its library. Reports call it `LIBRARY/ID`. */
  readonly id: string;
  /** The result of its root is what the routine writes. Inner results may have no other use. */
  readonly pattern: Pattern;
  /** What cannot be proved for all values of symbolic dims is a refusal: a kernel has no guards. */
  readonly require: readonly Constraint[];
  readonly check?: (match: Match, ctx: Context) => Verdict;
  /** Seconds on the device, the start of the call included, as a formula in dims. */
  readonly cost?: (match: Match, ctx: TargetContext) => Expr;
  /**
   * Where there is neither a measurement nor `cost`: how many times as fast as the generated kernel it is declared to be.
   * 1 by default, which is enough to replace a whole kernel and not enough to cut one in two.
   */
  readonly benefit?: number;
  /** The call that computes a match. */
  readonly call: (match: Match, ctx: TargetContext) => LibraryCall;
  readonly doc: string;
}

/** A call of a routine, as data. */
export interface LibraryCall {
  /** One of the symbols that the library provides. */
  readonly symbol: string;
  /** Names of the pattern: the tensors that it reads, in order, dense and row-major. The results of the match follow them. */
  readonly operands: readonly string[];
  /** Integers that it is passed: sizes, axes, strides, as formulas in dims. */
  readonly scalars: readonly Expr[];
  /** Bytes of memory that it needs for itself, aligned to 64, as a formula in dims; null for none. */
  readonly workspace: Expr | null;
  /** What else the code generator of the target wants to know, e.g. a launch grid. */
  readonly attrs: Attrs;
}

/**
 * Code in a format of the target's. `cpu-c` links two: `c-source`, a translation unit of C11 in `text`, compiled with the
 * flags of generated code, and `object`, an object file in `bytes`, for the machine that `requires` states
 * (`{ arch: 'x64', platform: 'linux', features: ['avx2'] }`: the first two as Node names them). Every symbol is
 *
 *     int32_t SYMBOL(void *const *operands, const int64_t *scalars, void *workspace);
 *
 * with pointers to operands and then results in the order of the {@link LibraryCall}, aligned to their elements; `workspace`
 * is NULL where none was asked for. Results overlap neither operands nor each other. It may be called from several threads at
 * once, must write every element of every result, sizes may be 0, and it returns 0; any other number ends the run with `cpu-c/library-failed`.
 */
export interface LibraryUnit {
  readonly format: string;
  /** What it defines for entries to call. Of all libraries of a target only one may define a symbol. */
  readonly symbols: readonly string[];
  readonly text?: string;
  readonly bytes?: Uint8Array;
  /** What the code needs of the machine, in terms of the target. */
  readonly requires?: Attrs;
}

/** What a target of the form `kernels` can do with libraries. */
export interface LibrarySupport {
  /** Formats of {@link LibraryUnit}s that its code generator links. */
  readonly formats: readonly string[];
  /**
   * Whether these libraries can be linked into one blob: the one that is about to be used, last, with those in use already. A
   * refusal, or an error thrown, leaves that library out.
   */
  link(libraries: readonly Library[], ctx: TargetContext): Verdict | Promise<Verdict>;
}
