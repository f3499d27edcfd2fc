/** The C types of a helper function: scalars for one lane, vectors otherwise. */
export interface HelperType {
  /** The scalar element type: `f32`, `i64`, … */
  readonly element: string;
  readonly lanes: number;
  /** `f32` or `f32x16`: the type, and the ending of the helper's name. */
  readonly type: string;
  /** The signed integer type of the same shape, for masks and bits. */
  readonly mask: string;
}

/** What a snippet may ask for: types and further helpers, which then stand before it. */
export interface HelperScope {
  vector(element: string, lanes: number): string;
  use(helper: string, element: string, lanes: number): string;
}

/**
 * A helper function as C text. Scalars and vectors are written by one snippet, so that both compute the same bits:
 * GCC's vector types take the operators of C, also with a scalar operand.
 */
export type Snippet = (name: string, t: HelperType, s: HelperScope) => string;

export const inline = 'static inline __attribute__((always_inline))';
export const outOfLine = 'static __attribute__((noinline))';

/** Bytes of a scalar C type of ours: `f32` → 4. */
export const widthOf = (element: string): number => Number(element.slice(1)) / 8;
