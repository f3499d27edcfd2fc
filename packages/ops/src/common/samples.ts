import type { Attrs, OperatorSample, SampleArgument } from '@tenon/plugin';

/** An argument of random elements; `range` is inclusive for integers. */
export function arg(shape: readonly number[], dtype: string = 'f32', range?: readonly [number, number]): SampleArgument {
  return range === undefined ? { dtype, shape } : { dtype, shape, range };
}

/** An argument with given elements, row-major. */
export function given(values: readonly (number | bigint)[], dtype: string = 'f32', shape: readonly number[] = [values.length]): SampleArgument {
  return { dtype, shape, values };
}

export function sample(args: readonly (SampleArgument | null)[], attrs?: Attrs, tolerance?: number): OperatorSample {
  return { args, ...(attrs && { attrs }), ...(tolerance !== undefined && { tolerance }) };
}

/** Shapes that elementwise operators must get right: a scalar, an empty tensor, odd sizes. */
export const oddShapes: readonly (readonly number[])[] = [[], [0], [3, 0, 2], [7], [3, 5], [2, 1, 3, 3]];

/** Pairs of shapes that broadcast. */
export const broadcastPairs: readonly (readonly [readonly number[], readonly number[]])[] = [
  [[], []], [[3], []], [[2, 3], [3]], [[2, 3], [2, 1]], [[4, 1, 3], [5, 1]], [[1, 3], [0, 1]], [[2, 0], [1]], [[3, 5], [3, 5]],
];
