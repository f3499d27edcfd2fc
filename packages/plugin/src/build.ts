import type { Expr, ExprBuilder, ExprLike } from './expr.ts';
import type { Value } from './graph.ts';
import type { Buffer, LoopKind } from './tensor.ts';
import type { Attrs, Location, TensorType, Type } from './types.ts';

/** Appends bindings to a graph function; result types come from the operators' inference. */
export interface GraphBuilder {
  readonly exprs: ExprBuilder;
  /** Location given to bindings that are made without one. */
  loc: Location | null;
  /** Calls an operator and returns all its results. Throws a diagnostic where inference refuses. */
  op(name: string, args: readonly (Value | null)[], attrs?: Attrs): readonly Value[];
  /** Calls an operator with a single result. */
  call(name: string, args: readonly (Value | null)[], attrs?: Attrs): Value;
  /** A module constant with inline data, row-major. Shape [] for a scalar. */
  constant(values: readonly (number | bigint)[], dtype: string, shape: readonly number[]): Value;
  /** The integer elements of a value, where they are known as dims (a constant, or computed from shapes). */
  contents(value: Value): readonly Expr[] | null;
  /** An i64 tensor with these dims as elements; its contents are known. */
  dims(values: readonly ExprLike[], shape?: readonly number[]): Value;
}

/**
 * Writes the body of a tensor function as a sequence of loop nests. `compute` and `reduce` make nests that passes
 * understand best (they fuse, inline and tile them); `block` is for everything else.
 */
export interface TensorBuilder {
  readonly exprs: ExprBuilder;
  /** A temporary that lives during the whole function. */
  alloc(name: string, dtype: string, shape: readonly ExprLike[]): Buffer;
  load(buffer: Buffer, indices: readonly ExprLike[]): Expr;
  /** `out[i…] = value(i…)` over the whole of `out`. */
  compute(out: Buffer, value: (indices: readonly Expr[]) => Expr): void;
  /**
   * `out[i…] = init`, then for every point r of the reduction domain `out[i…] = step(out[i…], i, r)`.
   * The domain runs row-major; `step` must be associative in its accumulator for schedules to reorder it.
   */
  reduce(
    out: Buffer,
    domain: readonly ExprLike[],
    init: Expr,
    step: (accumulator: Expr, indices: readonly Expr[], r: readonly Expr[]) => Expr,
  ): void;
  /**
   * An opaque block over a spatial domain: iterations are independent of each other, `body` emits statements. All reads
   * and writes inside are found from the statements.
   */
  block(name: string, domain: readonly ExprLike[], body: (indices: readonly Expr[]) => void): void;

  // Inside `block` only:
  /** A temporary private to the block's iteration. */
  local(name: string, dtype: string, shape: readonly ExprLike[]): Buffer;
  loop(extent: ExprLike, body: (index: Expr) => void, kind?: LoopKind): void;
  store(buffer: Buffer, indices: readonly ExprLike[], value: Expr): void;
  /** Evaluates once; the result may be used in the rest of the enclosing scope. */
  let(value: Expr, name?: string): Expr;
  if(condition: Expr, then: () => void, otherwise?: () => void): void;
  while(condition: () => Expr, body: () => void): void;
}

export interface TypeBuilder {
  tensor(dtype: string, shape: readonly ExprLike[], annotations?: Attrs): TensorType;
  isTensor(type: Type | null | undefined): type is TensorType;
}
