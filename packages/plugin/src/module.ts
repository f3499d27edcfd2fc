import type { GraphFunction } from './graph.ts';
import type { TensorFunction } from './tensor.ts';
import type { Attrs, TensorType } from './types.ts';

/**
 * When a dim gets its value: while compiling; once per load (page-pool size, rank, world size); at each call, from the
 * arguments; or while running (the output size of NonZero).
 */
export type BindingTime = 'compile' | 'load' | 'call' | 'run';

export interface DimDecl {
  readonly name: string;
  readonly min: number;
  readonly max: number | null;
  readonly multipleOf: number;
  readonly binding: BindingTime;
  /** A typical value, for estimates only. */
  readonly hint: number | null;
}

/** A file or byte string that constants are read from by range. Identified once, not per constant. */
export interface SourceDecl {
  readonly name: string;
  /** What a host opens: a path or URL relative to the model; `memory:` for bytes that the session keeps. */
  readonly uri: string;
  /** Identity of the contents (a hash, or size and time stamp of a large file). */
  readonly id: string;
  readonly bytes: number;
}

export type ConstantData =
  | { readonly kind: 'inline'; readonly values: readonly (number | bigint)[] } // row-major; bool as 0 and 1
  | { readonly kind: 'range'; readonly source: string; readonly offset: number; readonly bytes: number };

/** Bytes are little-endian and row-major. Trainable weights are parameters or state, never constants. */
export interface ConstantDecl {
  readonly name: string;
  readonly type: TensorType;
  readonly data: ConstantData;
  /** How the tensor lies in its range where that is not row-major and dense: element strides, for instance. */
  readonly view: Attrs | null;
}

export type IRFunction = GraphFunction | TensorFunction;

/** Immutable. Functions that a pass does not change keep their identity. */
export interface IRModule {
  readonly dims: ReadonlyMap<string, DimDecl>;
  readonly sources: ReadonlyMap<string, SourceDecl>;
  readonly constants: ReadonlyMap<string, ConstantDecl>;
  readonly functions: ReadonlyMap<string, IRFunction>;
}

/** The graph function that a model's users call. */
export const entryFunction = 'main';
