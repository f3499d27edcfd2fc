import type { Expr, ExprBuilder, InferCall, Operator, TensorType } from '@tenon/plugin';
import { optionalTensor, rankBetween, sameDType, tensorOf } from '../common/errors.ts';
import { allocate, forEachIndex } from '../common/host-tensor.ts';
import { arg, sample } from '../common/samples.ts';
import { sumOfProducts } from './products.ts';
import { checkWindow, concreteWindow, forEachTap, padded, paddedSizes, windowOf, windowSizes } from './window.ts';

/** A weight tensor's axes by their meaning. */
interface Weight<Size> {
  readonly out: Size;
  /** Input channels per group. */
  readonly inner: Size;
  readonly kernel: readonly Size[];
}

const weightOf = <Size>(shape: readonly Size[]): Weight<Size> => ({ out: shape[0]!, inner: shape[1]!, kernel: shape.slice(2) });

/** Refuses a number of groups that does not divide the channels. Returns it. */
export function groupsOf(call: InferCall, channels: readonly Expr[]): number {
  const groups = call.attrs['groups'];
  if (typeof groups !== 'number' || !Number.isInteger(groups) || groups < 1) call.fail('groups', 'groups must be a positive integer');
  for (const c of channels) {
    if (call.exprs.divisor(c) % groups !== 0) call.fail('groups', `groups ${groups} must divide the ${call.exprs.valueOf(c) ?? 'symbolic'} channels`);
  }
  return groups;
}

/** Refuses a bias that is not one number per output channel. */
export function checkBias(call: InferCall, i: number, channels: Expr): void {
  const bias = optionalTensor(call, i);
  if (bias === null) return;
  rankBetween(call, i, 1);
  if (call.exprs.prove(call.exprs.eq(bias.shape[0]!, channels)) !== 'yes') call.fail('shape', 'bias must have one element per output channel');
}

function flops(exprs: ExprBuilder, out: readonly Expr[], weight: Weight<Expr>, bias: boolean): Expr {
  const each = exprs.mul(exprs.mul(weight.inner, exprs.product(weight.kernel)), 2);
  return exprs.mul(exprs.product(out), bias ? exprs.add(each, 1) : each);
}

function resultType(call: InferCall): TensorType {
  const { exprs } = call;
  const dtype = sameDType(call, [0, 1, 2]);
  tensorOf(call, 0, 'numeric');
  const x = rankBetween(call, 0, 3, 5);
  const spatial = x.length - 2;
  const weight = weightOf(rankBetween(call, 1, x.length));
  checkWindow(call, spatial);
  const groups = groupsOf(call, [x[1]!, weight.out]);
  if (exprs.prove(exprs.eq(x[1]!, exprs.mul(weight.inner, groups))) !== 'yes') {
    const show = (d: Expr): string => String(exprs.valueOf(d) ?? 'a symbolic number of');
    call.fail('channels', `the input has ${show(x[1]!)} channels, the weights are for ${show(weight.inner)} in each of ${groups} groups`);
  }
  checkBias(call, 2, weight.out);
  return { kind: 'tensor', dtype, shape: [x[0]!, weight.out, ...windowSizes(call, x.slice(2), weight.kernel)], annotations: {} };
}

export const conv: Operator = {
  name: 'nn.conv',
  doc:
    'Convolution (cross-correlation) over 1 to 3 spatial axes, input [N, C, spatial…]: '
    + '`out[n, o, p…] = bias[o] + Σ_{c, k…} x[n, g·C/groups + c, p·stride − begin + k·dilation …] · weight[o, c, k…]` '
    + 'with g = ⌊o / (O/groups)⌋ and zeros outside the input. Weights lie as [O, C/groups, k…]. '
    + '`pads`: beginnings, then ends, as dims. Strides, dilations and pads of null are 1, 1 and 0. '
    + 'Output size per axis: ⌊(size + begin + end − (k−1)·dilation − 1) / stride⌋ + 1. Source: ONNX Conv-22.',
  signature: {
    params: ['x', 'weight', 'bias?'],
    attrs: { strides: null, dilations: null, pads: null, groups: 1 },
    results: ['out'],
  },
  facets: {
    infer: (call) => [resultType(call)],
    reference({ args, attrs, results }) {
      const [x, w, bias] = [args[0]!, args[1]!, args[2] ?? null];
      const spatial = x.shape.length - 2;
      const window = concreteWindow(attrs, spatial);
      const weight = weightOf(w.shape);
      const perGroup = weight.out / (attrs['groups'] as number);
      const sizes = x.shape.slice(2);
      const area = sizes.reduce((n, d) => n * d, 1);
      const taps = weight.kernel.reduce((n, d) => n * d, 1);
      const out = allocate(results[0]!.dtype, results[0]!.shape);
      const outArea = out.shape.slice(2).reduce((n, d) => n * d, 1);
      const positions: number[][] = [];
      forEachIndex(out.shape.slice(2), (index) => positions.push([...index]));
      sumOfProducts(out, x, w, (p, add) => {
        const o = Math.floor(p / outArea) % weight.out;
        const n = Math.floor(p / (outArea * weight.out));
        const channel = n * x.shape[1]! + Math.floor(o / perGroup) * weight.inner;
        forEachTap(window, weight.kernel, sizes, positions[p % outArea]!, (tap, position) => {
          for (let c = 0; c < weight.inner; c++) add((channel + c) * area + position, (o * weight.inner + c) * taps + tap);
        });
      }, bias && { tensor: bias, index: (p) => Math.floor(p / outArea) % weight.out });
      return [out];
    },
    define({ args, attrs, results }, b) {
      const { exprs } = b;
      const [x, w, bias] = [args[0]!, args[1]!, args[2] ?? null];
      const out = results[0]!;
      const spatial = x.shape.length - 2;
      const window = windowOf(exprs, attrs, spatial);
      const weight = weightOf(w.shape);
      const groups = attrs['groups'] as number;
      const zero = exprs.constant(0, out.dtype);
      const source = padded(b, x, window.begin, paddedSizes(exprs, x.shape.slice(2), window), zero);
      const sum = bias === null ? out : b.alloc('sum', out.dtype, out.shape);
      // A depthwise convolution has no channels to sum over.
      const single = exprs.valueOf(weight.inner) === 1;
      b.reduce(sum, [...(single ? [] : [weight.inner]), ...weight.kernel], zero, (acc, [n, o, ...p], r) => {
        const c = single ? exprs.int(0) : r[0]!;
        const k = single ? r : r.slice(1);
        const group = exprs.floordiv(o!, exprs.floordiv(weight.out, groups));
        const channel = groups === 1 ? c : exprs.add(exprs.mul(group, weight.inner), c);
        const at = p.map((index, i) => exprs.add(exprs.mul(index, window.strides[i]!), exprs.mul(k[i]!, window.dilations[i]!)));
        const factor = b.load(w, [o!, c, ...k]);
        return exprs.add(acc, exprs.mul(b.load(source, [n!, channel, ...at]), factor));
      });
      if (bias !== null) b.compute(out, (index) => exprs.add(b.load(sum, index), b.load(bias, [index[1]!])));
    },
    cost(call) {
      const { shape } = resultType(call);
      return { flops: flops(call.exprs, shape, weightOf(call.tensor(1).shape), call.args[2] != null) };
    },
    samples: () => [
      sample([arg([2, 3, 7]), arg([4, 3, 3])]),
      sample([arg([1, 3, 7, 6]), arg([4, 3, 3, 2]), arg([4])], { pads: [1, 0, 2, 1] }),
      sample([arg([2, 4, 9, 8]), arg([6, 2, 3, 3]), arg([6])], { strides: [2, 3], pads: [1, 1, 1, 1], groups: 2 }),
      sample([arg([1, 5, 9, 8]), arg([5, 1, 3, 3])], { groups: 5, dilations: [2, 1], pads: [2, 1, 2, 1] }),
      sample([arg([1, 4, 5, 5]), arg([8, 1, 1, 1]), arg([8])], { groups: 4 }),
      sample([arg([1, 2, 5, 4, 6]), arg([3, 2, 2, 3, 2])], { strides: [2, 1, 2], pads: [0, 1, 1, 0, 1, 1] }),
      sample([arg([2, 4, 6]), arg([4, 1, 3])], { groups: 4, strides: [2] }),
      sample([arg([0, 3, 5, 5]), arg([2, 3, 3, 3])]),
      sample([arg([1, 3, 4, 4]), arg([0, 3, 1, 1])]),
      sample([arg([1, 2, 6], 'i32'), arg([3, 2, 3], 'i32')], { pads: [1, 1] }),
      sample([arg([1, 2, 6], 'f64'), arg([3, 2, 3], 'f64'), arg([3], 'f64')]),
    ],
  },
};
