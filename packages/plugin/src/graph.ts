import type { Expr } from './expr.ts';
import type { Attrs, Location, Type } from './types.ts';

/**
 * A value of a graph function: a parameter, a result of a binding, or a reference to a module constant.
 * Values are compared by identity within a function; a rewritten binding may keep the values it defines, so that its
 * users need no change.
 */
export interface Value {
  /** Unique within the function for parameters and results; the constant's name where `constant`. */
  readonly name: string;
  readonly type: Type;
  readonly constant: boolean;
}

export type BindingKind =
  | 'op' // callee: an operator; semantics by its facets
  | 'kernel' // callee: a tensor function of the module, called destination-passing: inputs, then results
  | 'extern' // callee: a symbol that a library resolves; attrs: source (the graph function that it computes)
  | 'region' // callee: a graph function with `attrs.target`, compiled as a unit for that target
  | 'if' // args: condition, captures; attrs: then, else (graph function names)
  | 'loop'; // args: trip count, condition, carried, captures; attrs: body (graph function name)

export interface Effects {
  /** Indices of arguments that the call changes. */
  readonly mutates: readonly number[];
  /** `[result, argument]`: the result is the argument's memory. */
  readonly aliases: readonly (readonly [number, number])[];
}

/** One step of a graph function in A-normal form. It defines one or more values. One object shape for all kinds. */
export interface Binding {
  readonly kind: BindingKind;
  readonly callee: string;
  /** null: an optional argument that is left out. */
  readonly args: readonly (Value | null)[];
  /** Scalar arguments of kernels and externs, beyond the dims that follow from the arguments' shapes. */
  readonly scalars: readonly Expr[];
  readonly attrs: Attrs;
  readonly results: readonly Value[];
  readonly effects: Effects | null;
  readonly loc: Location | null;
}

export interface GraphFunction {
  readonly kind: 'graph';
  readonly name: string;
  readonly params: readonly Value[];
  readonly bindings: readonly Binding[];
  readonly results: readonly Value[];
  /** The names that users see for `results`, e.g. an ONNX model's output names. */
  readonly resultNames: readonly string[];
  readonly attrs: Attrs;
}
