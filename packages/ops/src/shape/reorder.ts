import type { Expr, InferCall, Operator } from '@tenon/plugin';
import { axesOf, axisOf, normalizeAxes, normalizeAxis } from '../common/axes.ts';
import { tensorOf } from '../common/errors.ts';
import { reader, strides } from '../common/host-tensor.ts';
import { arg, given, sample } from '../common/samples.ts';
import { choiceAttr, dimOf, tensorType } from './attributes.ts';
import { rearrange } from './movement.ts';

export const trilu: Operator = {
  name: 'shape.trilu',
  doc: 'Keeps a triangle of each matrix in the last two axes of x and sets the rest to 0: where `upper` (default true) elements with column − row ≥ `k` (a dim, default 0), else those with column − row ≤ `k`.',
  signature: { params: ['x'], attrs: { upper: true, k: 0 }, results: ['y'] },
  facets: {
    infer: (call) => {
      const x = tensorOf(call, 0);
      if (x.shape.length < 2) call.fail('rank', `a matrix is needed, not a tensor of rank ${x.shape.length}`);
      return [tensorType(x.dtype, x.shape)];
    },
    reference: ({ args, attrs, results }) => {
      const k = Number(attrs['k']);
      const rank = args[0]!.shape.length;
      return [rearrange(args[0]!, results[0]!.shape, (index, position) => {
        const diagonal = index[rank - 1]! - index[rank - 2]!;
        return (attrs['upper'] ? diagonal >= k : diagonal <= k) ? position : -1;
      })];
    },
    define: ({ args, attrs, results }, b) => {
      const { exprs } = b;
      const y = results[0]!;
      const k = dimOf(exprs, attrs['k']!);
      b.compute(y, (i) => {
        const diagonal = exprs.sub(i.at(-1)!, i.at(-2)!);
        return exprs.select(attrs['upper'] ? exprs.le(k, diagonal) : exprs.le(diagonal, k), b.load(args[0]!, i), exprs.constant(0, y.dtype));
      });
    },
    cost: ({ exprs }) => ({ flops: exprs.int(0) }),
    samples: () => [
      ...(['f32', 'i64', 'bool'] as const).map((dtype) => sample([arg([4, 5], dtype)])),
      sample([arg([4, 5])], { upper: false }),
      sample([arg([2, 3, 3])], { k: -1 }),
      sample([arg([3, 4])], { upper: false, k: 2 }),
      sample([arg([3, 3])], { k: 9 }),
      sample([arg([3, 0])]),
    ],
  },
};

export const reverse: Operator = {
  name: 'shape.reverse',
  doc: 'Reverses the order of elements along each of `axes` (required): y[i] = x[size − 1 − i].',
  signature: { params: ['x'], attrs: { axes: null }, results: ['y'] },
  facets: {
    infer: (call) => {
      const x = tensorOf(call, 0);
      if (call.attrs['axes'] === null) call.fail('attribute', 'axes is required');
      normalizeAxes(call, call.attrs['axes']!, x.shape.length);
      return [tensorType(x.dtype, x.shape)];
    },
    reference: ({ args, attrs, results }) => {
      const x = args[0]!;
      const axes = new Set(axesOf(attrs['axes']!, x.shape.length));
      const stride = strides(x.shape);
      return [rearrange(x, results[0]!.shape, (index) => index.reduce((at, i, axis) => at + (axes.has(axis) ? x.shape[axis]! - 1 - i : i) * stride[axis]!, 0))];
    },
    define: ({ args, attrs, results }, b) => {
      const x = args[0]!;
      const axes = new Set(axesOf(attrs['axes']!, x.shape.length));
      b.compute(results[0]!, (indices) => b.load(x, indices.map((i, axis) => (axes.has(axis) ? b.exprs.sub(b.exprs.sub(x.shape[axis]!, 1), i) : i))));
    },
    cost: ({ exprs }) => ({ flops: exprs.int(0) }),
    samples: () => [
      ...(['f32', 'i64', 'bool'] as const).map((dtype) => sample([arg([3, 4], dtype)], { axes: [0] })),
      sample([arg([3, 4, 2])], { axes: [-1, 0] }),
      sample([arg([0, 4])], { axes: [0] }),
      sample([arg([])], { axes: [] }),
    ],
  },
};

export const reverseSequence: Operator = {
  name: 'shape.reverse_sequence',
  doc:
    'Reverses the first `lengths[b]` elements of x along `time_axis` (default 0) for each b along `batch_axis` (default 1) and copies the rest. ' +
    'lengths is an integer vector with one element per b; lengths outside 0 … size are clamped.',
  signature: { params: ['x', 'lengths'], attrs: { time_axis: 0, batch_axis: 1 }, results: ['y'] },
  facets: {
    infer: (call) => {
      const x = tensorOf(call, 0);
      const lengths = tensorOf(call, 1, 'integer');
      const time = normalizeAxis(call, call.attrs['time_axis']!, x.shape.length);
      const batch = normalizeAxis(call, call.attrs['batch_axis']!, x.shape.length);
      if (time === batch) call.fail('axis', 'time_axis and batch_axis must differ');
      const { exprs } = call;
      if (lengths.shape.length !== 1 || exprs.prove(exprs.eq(lengths.shape[0]!, x.shape[batch]!)) === 'no') call.fail('shape', 'lengths must have one element per batch');
      return [tensorType(x.dtype, x.shape)];
    },
    reference: ({ args, attrs, results }) => {
      const x = args[0]!;
      const time = axisOf(attrs['time_axis']!, x.shape.length);
      const batch = axisOf(attrs['batch_axis']!, x.shape.length);
      const stride = strides(x.shape);
      const length = reader(args[1]!);
      return [rearrange(x, results[0]!.shape, (index, position) => {
        const n = Math.min(length(index[batch]!), x.shape[time]!);
        const t = index[time]!;
        return t < n ? position + (n - 1 - 2 * t) * stride[time]! : position;
      })];
    },
    define: ({ args, attrs, results }, b) => {
      const { exprs } = b;
      const [x, lengths] = args as [NonNullable<(typeof args)[number]>, NonNullable<(typeof args)[number]>];
      const time = axisOf(attrs['time_axis']!, x.shape.length);
      const batch = axisOf(attrs['batch_axis']!, x.shape.length);
      b.compute(results[0]!, (i) => {
        const n = exprs.min(exprs.cast(b.load(lengths, [i[batch]!]), 'i64'), x.shape[time]!);
        const t = i[time]!;
        const from = exprs.select(exprs.lt(t, n), exprs.sub(exprs.sub(n, 1), t), t);
        return b.load(x, i.map((index, axis) => (axis === time ? from : index)));
      });
    },
    cost: ({ exprs }) => ({ flops: exprs.int(0) }),
    samples: () => [
      ...(['f32', 'i64', 'bool'] as const).map((dtype) => sample([arg([4, 3], dtype), given([4, 0, 2], 'i64')])),
      sample([arg([3, 5, 2]), given([1, 9, 3], 'i32')], { time_axis: 1, batch_axis: 0 }),
      sample([arg([0, 2]), given([0, 0], 'i64')]),
    ],
  },
};

interface Blocks {
  readonly n: Expr;
  readonly c: Expr;
  readonly h: Expr;
  readonly w: Expr;
  readonly block: number;
}
function blocksOf(call: InferCall): Blocks {
  const x = tensorOf(call, 0);
  const block = call.attrs['block'];
  if (typeof block !== 'number' || !Number.isInteger(block) || block < 1) call.fail('attribute', 'block must be a positive integer');
  if (x.shape.length !== 4) call.fail('rank', `x must have rank 4 (N, C, H, W), not ${x.shape.length}`);
  const [n, c, h, w] = x.shape as [Expr, Expr, Expr, Expr];
  return { n, c, h, w, block };
}
function divided(call: InferCall, dim: Expr, by: number, what: string): Expr {
  const { exprs } = call;
  const rest = exprs.valueOf(exprs.mod(dim, by));
  if (rest !== 0) {
    call.fail('size', `${what} must be divisible by ${by}`, rest === null ? `Fix the dims ${exprs.variables(dim).join(', ')}: whether their sizes are divisible must be known when the model is compiled.` : undefined);
  }
  return exprs.floordiv(dim, by);
}
const depthModes = ['DCR', 'CRD'] as const;

export const depthToSpace: Operator = {
  name: 'shape.depth_to_space',
  doc:
    'Moves channels of x [N, C·block², H, W] into blocks of pixels: y [N, C, H·block, W·block]. With `mode` `DCR` (default) channel index = (by·block + bx)·C + c, ' +
    'with `CRD` it is c·block² + by·block + bx, for y[n, c, h·block + by, w·block + bx]. `block` is required. ONNX DepthToSpace.',
  signature: { params: ['x'], attrs: { block: null, mode: 'DCR' }, results: ['y'] },
  facets: {
    infer: (call) => {
      const { n, c, h, w, block } = blocksOf(call);
      choiceAttr(call, 'mode', depthModes);
      return [tensorType(call.tensor(0).dtype, [n, divided(call, c, block * block, 'the number of channels'), call.exprs.mul(h, block), call.exprs.mul(w, block)])];
    },
    reference: ({ args, attrs, results }) => {
      const x = args[0]!;
      const block = attrs['block'] as number;
      const stride = strides(x.shape);
      const channels = results[0]!.shape[1]!;
      return [rearrange(x, results[0]!.shape, (index) => {
        const [n, c, h, w] = index as [number, number, number, number];
        const inBlock = (h % block) * block + (w % block);
        const channel = attrs['mode'] === 'DCR' ? inBlock * channels + c : c * block * block + inBlock;
        return n * stride[0]! + channel * stride[1]! + Math.floor(h / block) * stride[2]! + Math.floor(w / block);
      })];
    },
    define: ({ args, attrs, results }, b) => {
      const { exprs } = b;
      const block = attrs['block'] as number;
      const y = results[0]!;
      b.compute(y, (index) => {
        const [n, c, h, w] = index as [Expr, Expr, Expr, Expr];
        const inBlock = exprs.add(exprs.mul(exprs.mod(h, block), block), exprs.mod(w, block));
        const channel = attrs['mode'] === 'DCR' ? exprs.add(exprs.mul(inBlock, y.shape[1]!), c) : exprs.add(exprs.mul(c, block * block), inBlock);
        return b.load(args[0]!, [n, channel, exprs.floordiv(h, block), exprs.floordiv(w, block)]);
      });
    },
    decompose: ({ args, attrs }, b) => {
      const x = args[0]!;
      if (x.type.kind !== 'tensor') return null;
      const block = attrs['block'] as number;
      const [n, c, h, w] = x.type.shape as [Expr, Expr, Expr, Expr];
      const channels = b.exprs.floordiv(c, block * block);
      const deep = attrs['mode'] === 'DCR';
      const split = b.call('shape.reshape', [x], { shape: deep ? [n, block, block, channels, h, w] : [n, channels, block, block, h, w] });
      const moved = b.call('shape.transpose', [split], { perm: deep ? [0, 3, 4, 1, 5, 2] : [0, 1, 4, 2, 5, 3] });
      return [b.call('shape.reshape', [moved], { shape: [n, channels, b.exprs.mul(h, block), b.exprs.mul(w, block)] })];
    },
    cost: ({ exprs }) => ({ flops: exprs.int(0) }),
    samples: () => [
      ...(['f32', 'i64'] as const).map((dtype) => sample([arg([2, 8, 3, 2], dtype)], { block: 2 })),
      sample([arg([1, 18, 2, 3])], { block: 3, mode: 'CRD' }),
      sample([arg([1, 12, 1, 1])], { block: 2, mode: 'CRD' }),
      sample([arg([1, 4, 0, 2])], { block: 2 }),
    ],
  },
};

export const spaceToDepth: Operator = {
  name: 'shape.space_to_depth',
  doc:
    'Moves blocks of pixels of x [N, C, H·block, W·block] into channels: y [N, block²·C, H, W] with y[n, (by·block + bx)·C + c, h, w] = x[n, c, h·block + by, w·block + bx]. ' +
    '`block` is required. ONNX SpaceToDepth; the inverse of depth_to_space with mode DCR.',
  signature: { params: ['x'], attrs: { block: null }, results: ['y'] },
  facets: {
    infer: (call) => {
      const { n, c, h, w, block } = blocksOf(call);
      return [tensorType(call.tensor(0).dtype, [n, call.exprs.mul(c, block * block), divided(call, h, block, 'the height'), divided(call, w, block, 'the width')])];
    },
    reference: ({ args, attrs, results }) => {
      const x = args[0]!;
      const block = attrs['block'] as number;
      const stride = strides(x.shape);
      const channels = x.shape[1]!;
      return [rearrange(x, results[0]!.shape, (index) => {
        const [n, channel, h, w] = index as [number, number, number, number];
        const inBlock = Math.floor(channel / channels);
        return n * stride[0]! + (channel % channels) * stride[1]! + (h * block + Math.floor(inBlock / block)) * stride[2]! + w * block + (inBlock % block);
      })];
    },
    define: ({ args, attrs, results }, b) => {
      const { exprs } = b;
      const block = attrs['block'] as number;
      const channels = args[0]!.shape[1]!;
      b.compute(results[0]!, (index) => {
        const [n, channel, h, w] = index as [Expr, Expr, Expr, Expr];
        const inBlock = exprs.floordiv(channel, channels);
        return b.load(args[0]!, [
          n, exprs.mod(channel, channels),
          exprs.add(exprs.mul(h, block), exprs.floordiv(inBlock, block)), exprs.add(exprs.mul(w, block), exprs.mod(inBlock, block)),
        ]);
      });
    },
    decompose: ({ args, attrs }, b) => {
      const x = args[0]!;
      if (x.type.kind !== 'tensor') return null;
      const block = attrs['block'] as number;
      const [n, c, height, width] = x.type.shape as [Expr, Expr, Expr, Expr];
      const [h, w] = [b.exprs.floordiv(height, block), b.exprs.floordiv(width, block)];
      const split = b.call('shape.reshape', [x], { shape: [n, c, h, block, w, block] });
      const moved = b.call('shape.transpose', [split], { perm: [0, 3, 5, 1, 2, 4] });
      return [b.call('shape.reshape', [moved], { shape: [n, b.exprs.mul(c, block * block), h, w] })];
    },
    cost: ({ exprs }) => ({ flops: exprs.int(0) }),
    samples: () => [
      ...(['f32', 'i64'] as const).map((dtype) => sample([arg([2, 3, 4, 6], dtype)], { block: 2 })),
      sample([arg([1, 2, 3, 9])], { block: 3 }),
      sample([arg([1, 2, 0, 4])], { block: 2 }),
    ],
  },
};
