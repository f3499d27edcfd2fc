import type { GraphBuilder, TensorBuilder } from './build.ts';
import type { DType } from './dtype.ts';
import type { Expr, ExprBuilder } from './expr.ts';
import type { Effects, Value } from './graph.ts';
import type { Buffer } from './tensor.ts';
import type { Attrs, AttrValue, TensorType, Type } from './types.ts';

/**
 * A tensor in host memory, dense and row-major. bool: Uint8Array of 0 and 1; f16 and bf16: their bits in a Uint16Array;
 * string: an array of strings.
 */
export interface HostTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: TypedArray | readonly string[];
}
export type TypedArray =
  | Float64Array | Float32Array | BigInt64Array | Int32Array | Int16Array | Int8Array
  | BigUint64Array | Uint32Array | Uint16Array | Uint8Array;

/** An operator call as type inference sees it. */
export interface InferCall {
  readonly op: string;
  readonly args: readonly (Type | null)[];
  readonly attrs: Attrs;
  readonly exprs: ExprBuilder;
  /** The tensor type of argument i; refuses (with a diagnostic) where it is left out or no tensor. */
  tensor(i: number): TensorType;
  /** The elements of integer argument i, flattened, where they are known as dims; null where they are not. */
  contents(i: number): readonly Expr[] | null;
  /** An element type by name: sizes of block formats, for instance. Refuses unknown names. */
  dtype(name: string): DType;
  /** Refuses the call: throws a diagnostic that names the operator. `code` is lower-case with dashes. */
  fail(code: string, message: string, hint?: string): never;
}

/** A call with concrete arguments: attribute dims are numbers here. */
export interface EvaluateCall {
  readonly op: string;
  readonly args: readonly (HostTensor | null)[];
  readonly attrs: Attrs;
  /** The inferred result types with concrete shapes. */
  readonly results: readonly { readonly dtype: string; readonly shape: readonly number[] }[];
}

export interface DefineCall {
  readonly op: string;
  readonly args: readonly (Buffer | null)[];
  readonly attrs: Attrs;
  readonly results: readonly Buffer[];
  contents(i: number): readonly Expr[] | null;
}

export interface DecomposeCall {
  readonly op: string;
  readonly args: readonly (Value | null)[];
  readonly attrs: Attrs;
  readonly results: readonly Type[];
}

/** In scalar operations and bytes moved, as dims; bytes default to the sizes of arguments and results. */
export interface Cost {
  readonly flops: Expr;
  readonly bytes?: Expr;
}

/** One generated test call of an operator. */
export interface OperatorSample {
  readonly args: readonly (SampleArgument | null)[];
  readonly attrs?: Attrs;
  /** Allowed deviation of the tensor-level definition from the reference, relative to the largest result; 0: exact. */
  readonly tolerance?: number;
}
export interface SampleArgument {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Given elements; otherwise drawn uniformly from `range` (floats default to −2 … 2, integers to −4 … 4). */
  readonly values?: readonly (number | bigint)[];
  readonly range?: readonly [number, number];
}

/**
 * What an operator means, by aspect. Any package may add a facet to an operator that it does not own; facets of names
 * not listed here are allowed (their contract is between the packages concerned).
 */
export interface Facets {
  /** Result types from argument types. */
  readonly infer?: (call: InferCall) => readonly Type[];
  /** The meaning: floating point accumulates in float64 and rounds once, integers are exact. */
  readonly reference?: (call: EvaluateCall) => readonly HostTensor[];
  /** The tensor-level definition, writing every result once. */
  readonly define?: (call: DefineCall, b: TensorBuilder) => void;
  readonly cost?: (call: InferCall) => Cost;
  /** Contents of integer results as dims, from contents of arguments; per result null where unknown. */
  readonly shapeValue?: (call: InferCall) => readonly (readonly Expr[] | null)[];
  /** One step into other operators; null where this call cannot be decomposed. */
  readonly decompose?: (call: DecomposeCall, b: GraphBuilder) => readonly Value[] | null;
  /** Result 0 has the bytes of argument 0 in the same order: a change of type or shape only. */
  readonly view?: true;
  /** Which arguments a call changes, and which results are an argument's memory; null or absent: none. */
  readonly effects?: (call: InferCall) => Effects | null;
  /** Calls with equal arguments may differ (random numbers), or have effects: never merged, folded or dropped. */
  readonly impure?: true;
  /** Calls for the generated differential tests: zero-sized, scalar, broadcast, negative axes, odd sizes, each dtype. */
  readonly samples?: () => readonly OperatorSample[];
}
export type FacetName = keyof Facets | (string & {});

export interface OperatorSignature {
  /** `name`, `name?` for optional, `name*` for any number (last only). */
  readonly params: readonly string[];
  /** Attribute defaults; `undefined` is not a value: a required attribute has the default null and says so in `doc`. */
  readonly attrs: { readonly [name: string]: AttrValue };
  readonly results: readonly string[];
}

export interface Operator {
  /** `namespace.name`, e.g. `nn.conv`. */
  readonly name: string;
  /** The meaning in a sentence or two, with formula, attributes and source. */
  readonly doc: string;
  readonly signature: OperatorSignature;
  readonly facets: Facets;
}

/** Facets that a package adds to an operator of another package. */
export interface FacetExtension {
  readonly op: string;
  readonly facets: Facets & { readonly [name: string]: unknown };
}
