import type { Expr } from './expr.ts';
import type { Attrs } from './types.ts';

/** Where a buffer lives. `global`: device memory; `local`: private to one iteration of the parallel loop. */
export type BufferScope = string;

export interface Buffer {
  /** Unique within the function. Loads and stores refer to it by name. Row-major. */
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly Expr[];
  readonly scope: BufferScope;
}

export type LoopKind = 'serial' | 'parallel' | 'vectorized' | 'unrolled' | { readonly thread: string };

export interface For {
  readonly kind: 'for';
  readonly variable: string;
  /** The loop runs over 0 … extent − 1. */
  readonly extent: Expr;
  readonly loop: LoopKind;
  readonly annotations: Attrs;
  readonly body: Stmt;
}

export interface IterVar {
  readonly name: string;
  readonly type: 'spatial' | 'reduce';
  /** The domain is 0 … extent − 1. */
  readonly extent: Expr;
  /** Its value in terms of the loops around the block. */
  readonly binding: Expr;
}

/** A box of a buffer: per axis, start and extent in terms of the block's iteration variables. */
export interface BufferRegion {
  readonly buffer: string;
  readonly start: readonly Expr[];
  readonly extent: readonly Expr[];
}

/** The unit that a schedule moves and that `tensorize` replaces. */
export interface Block {
  readonly kind: 'block';
  readonly name: string;
  readonly iters: readonly IterVar[];
  readonly reads: readonly BufferRegion[];
  readonly writes: readonly BufferRegion[];
  /** Run only where true; in terms of the loops around the block. null: always. */
  readonly predicate: Expr | null;
  /** Run in place of nothing, before `body`, where all reduction variables are 0. */
  readonly init: Stmt | null;
  readonly body: Stmt;
  /** `apart`: nothing else in the function touches the elements that this block does, so that it may run before, after or beside all of it. */
  readonly annotations: Attrs;
}

export interface Store {
  readonly kind: 'store';
  readonly buffer: string;
  readonly indices: readonly Expr[];
  readonly value: Expr;
}
export interface Seq {
  readonly kind: 'seq';
  readonly body: readonly Stmt[];
}
/** A buffer that exists while `body` runs. */
export interface Alloc {
  readonly kind: 'alloc';
  readonly buffer: Buffer;
  readonly body: Stmt;
}
export interface Let {
  readonly kind: 'let';
  readonly variable: string;
  readonly value: Expr;
  readonly body: Stmt;
}
export interface If {
  readonly kind: 'if';
  readonly condition: Expr;
  readonly then: Stmt;
  readonly otherwise: Stmt | null;
}
export interface While {
  readonly kind: 'while';
  readonly condition: Expr;
  readonly body: Stmt;
}
/** A call for its effect: a barrier, a target's intrinsic; `prefetch(b[…])` fetches an element's cache line, which changes no result. */
export interface Evaluate {
  readonly kind: 'evaluate';
  readonly value: Expr;
}
export type Stmt = For | Block | Store | Seq | Alloc | Let | If | While | Evaluate;

/**
 * A loop nest over buffers. Dims of buffer shapes are free variables of the function, bound from the arguments' shapes;
 * `scalars` are further i64 parameters.
 */
export interface TensorFunction {
  readonly kind: 'tensor';
  readonly name: string;
  readonly inputs: readonly Buffer[];
  /** Destination passing: the caller supplies the memory. What the function does not write of it, stays. */
  readonly outputs: readonly Buffer[];
  readonly scalars: readonly string[];
  readonly body: Stmt;
  readonly attrs: Attrs;
}

/** An instruction, or a piece of code, that does what a small loop nest does. Reached by the schedule primitive `tensorize`. */
export interface TensorIntrinsic {
  /** `namespace.name`, e.g. `acme.dot4`. */
  readonly name: string;
  /** The target whose code generator knows it. */
  readonly target: string;
  /** What it computes: the text of one tensor function over its operands, of static shapes, reductions without `init`. */
  readonly description: string;
  /**
   * What stands in its place: a call of `symbol`, or text in the target's language, in which `{A}` is the address of
   * operand A's first element and `{A.stride0}` the stride of its axis 0 in elements.
   */
  readonly implementation:
    | { readonly kind: 'call'; readonly symbol: string }
    | { readonly kind: 'text'; readonly text: string };
  /** Features of the device that it needs, by name and value (`DeviceModel.features`). */
  readonly requires: Attrs;
  readonly doc: string;
}
