import type { Dim, Expr } from './expr.ts';

/** Attributes are data only. Dims may occur anywhere in them. */
export type AttrValue =
  | null | boolean | number | bigint | string | Expr
  | readonly AttrValue[]
  | { readonly [name: string]: AttrValue };
export type Attrs = { readonly [name: string]: AttrValue };

export interface TensorType {
  readonly kind: 'tensor';
  readonly dtype: string;
  readonly shape: readonly Dim[];
  /**
   * Open annotations such as `layout` or `mem`. `contents` on a parameter of the entry function names the dims that
   * its elements bind at call time (an integer tensor that decides shapes).
   */
  readonly annotations: Attrs;
}
export interface SequenceType {
  readonly kind: 'sequence';
  readonly element: Type;
}
export interface OptionalType {
  readonly kind: 'optional';
  readonly element: Type;
}
/** Storage that outlives a run: a KV cache, recurrent state, optimiser moments. Passed like any argument. */
export interface StateType {
  readonly kind: 'state';
  readonly content: TensorType;
}
/** Orders effects that have no data between them. */
export interface TokenType {
  readonly kind: 'token';
}
export type Type = TensorType | SequenceType | OptionalType | StateType | TokenType;

/** Where something came from in the user's model: a path such as `encoder/layer.0/MatMul`, for diagnostics. */
export type Location = string;
