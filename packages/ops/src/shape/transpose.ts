import type { AttrValue, InferCall, Operator } from '@tenon/plugin';
import { axisOf, normalizeAxes } from '../common/axes.ts';
import { tensorOf } from '../common/errors.ts';
import { allocate, forEachIndex, strides } from '../common/host-tensor.ts';
import { arg, sample } from '../common/samples.ts';
import { tensorType } from './attributes.ts';
import { flatten, knownArgument, movedContents } from './movement.ts';

/** The permutation that inference has accepted; null reverses. */
export const permutationOf = (perm: AttrValue, rank: number): number[] =>
  perm === null ? Array.from({ length: rank }, (_, i) => rank - 1 - i) : (perm as readonly number[]).map((a) => axisOf(a, rank));

function permutation(call: InferCall): number[] {
  const rank = call.tensor(0).shape.length;
  const perm = call.attrs['perm'] ?? null;
  if (perm === null) return permutationOf(perm, rank);
  const axes = normalizeAxes(call, perm, rank);
  if (axes.length !== rank) call.fail('attribute', `perm must name each of the ${rank} axes once, not [${axes.join(', ')}]`);
  return axes;
}

export const transpose: Operator = {
  name: 'shape.transpose',
  doc: 'Permutes axes: axis i of the result is axis `perm[i]` of x. Without `perm` the axes are reversed.',
  signature: { params: ['x'], attrs: { perm: null }, results: ['y'] },
  facets: {
    infer: (call) => {
      const x = tensorOf(call, 0);
      return [tensorType(x.dtype, permutation(call).map((a) => x.shape[a]!))];
    },
    reference: ({ args, attrs, results }) => {
      const x = args[0]!;
      const perm = permutationOf(attrs['perm']!, x.shape.length);
      const steps = strides(x.shape);
      // Weights of millions of elements are transposed while compiling: whole rows at a time.
      const out = allocate(x.dtype, results[0]!.shape);
      const from = x.data as Float64Array;
      const to = out.data as Float64Array;
      const row = results[0]!.shape.at(-1) ?? 1;
      const step = perm.length === 0 ? 0 : steps[perm.at(-1)!]!;
      let position = 0;
      if (to.length === 0) return [out];
      forEachIndex(results[0]!.shape.slice(0, -1), (index) => {
        let at = 0;
        for (let axis = 0; axis < index.length; axis++) at += index[axis]! * steps[perm[axis]!]!;
        for (let i = 0; i < row; i++, at += step) to[position++] = from[at]!;
      });
      return [out];
    },
    define: ({ args, attrs, results }, b) => {
      const x = args[0]!;
      const perm = permutationOf(attrs['perm']!, x.shape.length);
      b.compute(results[0]!, (i) => b.load(x, x.shape.map((_, axis) => i[perm.indexOf(axis)]!)));
    },
    cost: ({ exprs }) => ({ flops: exprs.int(0) }),
    shapeValue: (call) => {
      const x = knownArgument(call, 0);
      if (x === null) return [null];
      const perm = permutation(call);
      return movedContents(call, perm.map((a) => call.exprs.int(x.shape[a]!)), (index) =>
        x.elements[flatten(x.shape.map((_, axis) => index[perm.indexOf(axis)]!), x.shape)]!);
    },
    samples: () => [
      ...(['f32', 'i64', 'u8', 'bool'] as const).map((dtype) => sample([arg([2, 3, 5], dtype)], { perm: [2, 0, 1] })),
      sample([arg([3, 5])]),
      sample([arg([2, 3, 1, 4])], { perm: [0, -1, 1, -2] }),
      sample([arg([])], { perm: [] }),
      sample([arg([3, 0, 2])], { perm: [1, 2, 0] }),
    ],
  },
};
