import type { Expr, InferCall, Operator } from '@tenon/plugin';
import { tensorOf } from '../common/errors.ts';
import { broadcastOffsets } from '../common/broadcast.ts';
import { strides } from '../common/host-tensor.ts';
import { arg, sample } from '../common/samples.ts';
import { dimsAttr, tensorType } from './attributes.ts';
import { flatten, knownArgument, movedContents, rearrange } from './movement.ts';

function inferExpand(call: InferCall): readonly ReturnType<typeof tensorType>[] {
  const { exprs } = call;
  const x = tensorOf(call, 0);
  const shape = dimsAttr(call, 'shape');
  const offset = shape.length - x.shape.length;
  if (offset < 0) call.fail('rank', `a tensor of rank ${x.shape.length} cannot be expanded to rank ${shape.length}`);
  x.shape.forEach((d, axis) => {
    const to = shape[axis + offset]!;
    if (exprs.prove(exprs.eq(d, 1)) === 'no' && exprs.prove(exprs.eq(d, to)) === 'no') {
      call.fail('broadcast', `axis ${axis} of size ${exprs.valueOf(d) ?? '?'} cannot be expanded to ${exprs.valueOf(to) ?? '?'}`);
    }
  });
  return [tensorType(x.dtype, shape)];
}

export const expand: Operator = {
  name: 'shape.expand',
  doc: 'Repeats x along its axes of size 1, and along new leading axes, to `shape` (a list of dims, required), as numpy broadcasts.',
  signature: { params: ['x'], attrs: { shape: null }, results: ['y'] },
  facets: {
    infer: inferExpand,
    reference: ({ args, results }) => {
      const [x, { shape }] = [args[0]!, results[0]!];
      const from = broadcastOffsets(x.shape, shape);
      return [rearrange(x, shape, (_, position) => from[position]!)];
    },
    define: ({ args, results }, b) => {
      const { exprs } = b;
      const [x, y] = [args[0]!, results[0]!];
      const offset = y.shape.length - x.shape.length;
      b.compute(y, (indices) => b.load(x, x.shape.map((d, axis) => {
        const i = indices[axis + offset]!;
        if (d === y.shape[axis + offset]) return i;
        const one = exprs.eq(d, 1);
        const proof = exprs.prove(one);
        return proof === 'yes' ? exprs.int(0) : proof === 'no' ? i : exprs.select(one, 0, i);
      })));
    },
    cost: ({ exprs }) => ({ flops: exprs.int(0) }),
    shapeValue: (call) => {
      const x = knownArgument(call, 0);
      if (x === null) return [null];
      const [type] = inferExpand(call);
      const offset = type!.shape.length - x.shape.length;
      return movedContents(call, type!.shape, (index) => x.elements[flatten(x.shape.map((d, axis) => (d === 1 ? 0 : index[axis + offset]!)), x.shape)]!);
    },
    samples: () => [
      ...(['f32', 'i32', 'bool'] as const).map((dtype) => sample([arg([3, 1], dtype)], { shape: [2, 3, 4] })),
      sample([arg([])], { shape: [2, 3] }),
      sample([arg([1, 5])], { shape: [0, 5] }),
      sample([arg([2, 0])], { shape: [2, 0] }),
      sample([arg([3])], { shape: [3] }),
    ],
  },
};

function repeatsOf(call: InferCall): Expr[] {
  return dimsAttr(call, 'repeats', call.tensor(0).shape.length);
}

export const tile: Operator = {
  name: 'shape.tile',
  doc: 'Repeats all of x `repeats[i]` times along axis i: y[j] = x[j mod size]. `repeats` is a required list of dims, one per axis.',
  signature: { params: ['x'], attrs: { repeats: null }, results: ['y'] },
  facets: {
    infer: (call) => {
      const x = tensorOf(call, 0);
      return [tensorType(x.dtype, repeatsOf(call).map((r, axis) => call.exprs.mul(x.shape[axis]!, r)))];
    },
    reference: ({ args, results }) => {
      const x = args[0]!;
      const stride = strides(x.shape);
      return [rearrange(x, results[0]!.shape, (index) => index.reduce((at, i, axis) => at + (i % x.shape[axis]!) * stride[axis]!, 0))];
    },
    define: ({ args, results }, b) => {
      const { exprs } = b;
      const [x, y] = [args[0]!, results[0]!];
      b.compute(y, (indices) => b.load(x, indices.map((i, axis) => {
        const size = x.shape[axis]!;
        return size === y.shape[axis] ? i : exprs.valueOf(size) === 1 ? exprs.int(0) : exprs.mod(i, size);
      })));
    },
    cost: ({ exprs }) => ({ flops: exprs.int(0) }),
    shapeValue: (call) => {
      const x = knownArgument(call, 0);
      if (x === null) return [null];
      const shape = repeatsOf(call).map((r, axis) => call.exprs.mul(r, x.shape[axis]!));
      return movedContents(call, shape, (index) => x.elements[flatten(index.map((i, axis) => i % x.shape[axis]!), x.shape)]!);
    },
    samples: () => [
      ...(['f32', 'i64', 'bool'] as const).map((dtype) => sample([arg([2, 3], dtype)], { repeats: [3, 2] })),
      sample([arg([1, 4, 2])], { repeats: [3, 1, 2] }),
      sample([arg([3])], { repeats: [0] }),
      sample([arg([0, 2])], { repeats: [2, 2] }),
      sample([arg([])], { repeats: [] }),
    ],
  },
};
