import type { GraphBuilder } from './build.ts';
import type { Dim } from './expr.ts';
import type { GraphFunction, Value } from './graph.ts';
import type { ByteSource } from './host.ts';
import type { ConstantData, DimDecl, IRFunction, IRModule, SourceDecl } from './module.ts';
import type { Attrs, TensorType, Type } from './types.ts';

export interface ModuleBuilder {
  /** The dims declared so far, by name. */
  readonly dims: ReadonlyMap<string, DimDecl>;
  /** Declares a dim, or narrows one of the same name. Unknown ranges default to 0 … unbounded, bound at call. */
  dim(decl: { readonly name: string } & Partial<DimDecl>): Dim;
  /** A name that no dim of the module has, made from `prefix`. */
  freshDim(prefix: string, decl?: Partial<DimDecl>): Dim;
  source(decl: SourceDecl): void;
  addSource(name: string, source: ByteSource): SourceDecl;
  /** Declares a constant; a taken name gets a number appended. */
  constant(name: string, type: TensorType, data: ConstantData): Value;
  /** Starts a graph function. */
  graph(name: string, params: readonly { readonly name: string; readonly type: Type }[], attrs?: Attrs): FunctionBuilder;
  /** Adds or replaces a function. */
  add(fn: IRFunction): void;
  remove(name: string): void;
  finish(): IRModule;
}

export interface FunctionBuilder extends GraphBuilder {
  readonly params: readonly Value[];
  /** Ends the function and adds it to the module. */
  finish(results: readonly Value[], resultNames?: readonly string[]): GraphFunction;
}
