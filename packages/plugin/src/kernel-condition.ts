/**
 * Conditions on the tensor function that a kernel is, as data: the compiler checks them, and what is not met explains itself.
 *
 * They speak of stages, the loop nests around one block that fusion makes of operators, and of the kernel's one reduction, where it has
 * one: the stage that sums or otherwise combines over axes which its result does not have.
 */
export type KernelCondition =
  /** The function is a sequence of stages. */
  | { readonly kind: 'stages' }
  /** So many stages reduce. */
  | { readonly kind: 'reductions'; readonly min: number; readonly max: number }
  /** The one reduction combines by this operation; `product`: what it combines are products of two loads. */
  | { readonly kind: 'combines'; readonly op: ReductionOp; readonly of: 'product' | 'anything' }
  /** At most so many stages follow the one reduction, each in place: it reads the result only at the point that it writes. */
  | { readonly kind: 'epilogue'; readonly most: number }
  /** The element type of the one reduction's result. */
  | { readonly kind: 'dtype'; readonly in: readonly string[] }
  /** The one reduction has so many axes of this type. */
  | { readonly kind: 'axes'; readonly of: 'spatial' | 'reduce'; readonly min: number; readonly max: number | null }
  /** All axes of the one reduction have known extents. */
  | { readonly kind: 'static' };

export type ReductionOp = 'add' | 'mul' | 'min' | 'max' | 'and' | 'or';

/** Builders for conditions on kernels. */
export const condition = {
  stages: (): KernelCondition => ({ kind: 'stages' }),
  reductions: (min: number, max: number = min): KernelCondition => ({ kind: 'reductions', min, max }),
  combines: (op: ReductionOp, of: 'product' | 'anything' = 'anything'): KernelCondition => ({ kind: 'combines', op, of }),
  epilogue: (most: number): KernelCondition => ({ kind: 'epilogue', most }),
  dtype: (...dtypes: string[]): KernelCondition => ({ kind: 'dtype', in: dtypes }),
  axes: (of: 'spatial' | 'reduce', min: number, max: number | null = null): KernelCondition => ({ kind: 'axes', of, min, max }),
  static: (): KernelCondition => ({ kind: 'static' }),
} as const;
