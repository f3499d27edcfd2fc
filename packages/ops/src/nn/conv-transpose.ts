import type { Attrs, DecomposeCall, Expr, ExprBuilder, GraphBuilder, InferCall, Operator, TensorType, Value } from '@tenon/plugin';
import { rankBetween, sameDType, tensorOf } from '../common/errors.ts';
import { allocate, forEachIndex } from '../common/host-tensor.ts';
import { arg, sample } from '../common/samples.ts';
import { checkBias, groupsOf } from './conv.ts';
import { sumOfProducts } from './products.ts';
import { checkWindow, concreteWindow, reach, windowOf } from './window.ts';

function resultType(call: InferCall): TensorType {
  const { exprs, attrs } = call;
  const dtype = sameDType(call, [0, 1, 2]);
  tensorOf(call, 0, 'numeric');
  const x = rankBetween(call, 0, 3, 5);
  const w = rankBetween(call, 1, x.length);
  const spatial = x.length - 2;
  checkWindow(call, spatial, true);
  const extra = attrs['output_padding'] ?? null;
  if (extra !== null && !(Array.isArray(extra) && extra.length === spatial && extra.every((e) => Number.isInteger(e) && (e as number) >= 0))) {
    call.fail('window', `output_padding must be ${spatial} integers from 0 on`);
  }
  if (w.slice(2).some((k) => exprs.valueOf(k) === null)) call.fail('symbolic', 'the kernel sizes must be constant');
  const groups = groupsOf(call, [x[1]!]);
  if (exprs.prove(exprs.eq(x[1]!, w[0]!)) !== 'yes') call.fail('channels', 'the weights are for another number of input channels');
  const channels = exprs.mul(w[1]!, groups);
  checkBias(call, 2, channels);
  const window = windowOf(exprs, attrs, spatial);
  const sizes = x.slice(2).map((size, i) => {
    const full = exprs.add(exprs.mul(exprs.sub(size, 1), window.strides[i]!), reach(exprs, w[i + 2]!, window.dilations[i]!));
    const cut = exprs.add(window.begin[i]!, window.end[i]!);
    const result = exprs.sub(exprs.add(full, extraOf(attrs, spatial)[i]!), cut);
    if (exprs.prove(exprs.lt(result, 0)) === 'yes') call.fail('window', `pads leave nothing of spatial axis ${i}`);
    return result;
  });
  return { kind: 'tensor', dtype, shape: [x[0]!, channels, ...sizes], annotations: {} };
}

const extraOf = (attrs: Attrs, spatial: number): readonly number[] =>
  (attrs['output_padding'] ?? new Array<number>(spatial).fill(0)) as readonly number[];

/** One spatial axis of the convolution that computes every phase of the output: the positions that are equal modulo the stride. */
interface PhaseAxis {
  readonly stride: number;
  /** Dilation of the convolution's taps. */
  readonly dilation: number;
  /** Taps of each phase. */
  readonly taps: number;
  /** Zeros around the input. */
  readonly begin: Expr;
  readonly end: Expr;
  /** Output positions of each phase. */
  readonly positions: Expr;
  /** Where the result begins in the phases put together. */
  readonly first: Expr;
}

/**
 * Position a · stride + r of the full output is `Σ_j x[a − j] · w[r + stride · j]`: phase r is a convolution with every
 * stride-th tap, from the last to the first. All phases are computed for the same range of a.
 */
function phaseAxis(exprs: ExprBuilder, size: Expr, kernel: number, stride: number, dilation: number, begin: Expr, output: Expr): PhaseAxis {
  const own = stride === 1 ? dilation : 1;
  const taps = stride === 1 ? kernel : Math.ceil(((kernel - 1) * dilation + 1) / stride);
  const before = (taps - 1) * own;
  const notNegative = (pad: Expr): Expr => (exprs.prove(exprs.ge(pad, 0)) === 'yes' ? pad : exprs.max(pad, 0));
  // Pads of a convolution are not negative: where less of x is needed than there is, more is computed and cut off.
  const padding = notNegative(exprs.sub(before, exprs.floordiv(begin, stride)));
  const from = exprs.sub(before, padding);
  const last = exprs.floordiv(exprs.sub(exprs.add(begin, output), 1), stride);
  const end = notNegative(exprs.sub(exprs.add(last, 1), size));
  return {
    stride, taps, dilation: own, begin: padding, end,
    positions: exprs.sub(exprs.add(size, end), from),
    first: exprs.sub(begin, exprs.mul(from, stride)),
  };
}

/** Weights [C, O/groups, k…] as those of a convolution, [groups · phases · O/groups, C/groups, taps…]. Computed from weights alone, so that it folds. */
function phaseWeights(b: GraphBuilder, weight: Value, groups: number, axes: readonly PhaseAxis[], dilations: readonly number[]): Value {
  const shape = (weight.type as TensorType).shape;
  const [channels, perGroup, ...kernel] = shape as readonly [Expr, Expr, ...Expr[]];
  const inner = b.exprs.floordiv(channels, groups);
  const pad = (x: Value, before: number, counts: readonly number[]): Value => {
    const rank = (x.type as TensorType).shape.length;
    const none = new Array<number>(rank).fill(0);
    return counts.every((n) => n === 0) ? x : b.call('shape.pad', [x], { pads: [...none, ...none.slice(0, before), ...counts] });
  };
  let w = weight;
  let sizes = kernel.map((k) => b.exprs.valueOf(k)!);
  const spread = axes.map((axis, i) => dilations[i]! / axis.dilation);
  if (spread.some((d) => d > 1)) {
    w = b.call('shape.reshape', [w], { shape: [channels, perGroup, ...sizes.flatMap((k) => [k, 1])] });
    w = pad(w, 2, spread.flatMap((d) => [0, d - 1]));
    sizes = sizes.map((k, i) => k * spread[i]!);
    w = b.call('shape.reshape', [w], { shape: [channels, perGroup, ...sizes] });
  }
  w = pad(w, 2, axes.map((axis, i) => axis.taps * axis.stride - sizes[i]!));
  // [groups, C/groups, O/groups, taps, stride, taps, stride …]
  w = b.call('shape.reshape', [w], { shape: [groups, inner, perGroup, ...axes.flatMap((axis) => [axis.taps, axis.stride])] });
  const tapAxes = axes.map((_, i) => 3 + 2 * i);
  w = b.call('shape.reverse', [w], { axes: tapAxes });
  w = b.call('shape.transpose', [w], { perm: [0, ...tapAxes.map((axis) => axis + 1), 2, 1, ...tapAxes] });
  const phases = axes.reduce((n, axis) => n * axis.stride, groups);
  return b.call('shape.reshape', [w], { shape: [b.exprs.mul(perGroup, phases), inner, ...axes.map((axis) => axis.taps)] });
}

/** All phases as channels of one convolution of stride 1, then phases interleaved and the result cut out. */
function decompose({ args, attrs, results }: DecomposeCall, b: GraphBuilder): readonly Value[] | null {
  const [x, weight, bias] = [args[0]!, args[1]!, args[2] ?? null];
  const out = results[0];
  if (x.type.kind !== 'tensor' || weight.type.kind !== 'tensor' || out?.kind !== 'tensor') return null;
  const { exprs } = b;
  const [batch, , ...sizes] = x.type.shape as readonly [Expr, Expr, ...Expr[]];
  const [, perGroup, ...kernel] = weight.type.shape as readonly [Expr, Expr, ...Expr[]];
  const groups = attrs['groups'] as number;
  const window = windowOf(exprs, attrs, sizes.length);
  const axes = sizes.map((size, i) =>
    phaseAxis(exprs, size, exprs.valueOf(kernel[i]!)!, window.strides[i]!, window.dilations[i]!, window.begin[i]!, out.shape[i + 2]!));
  const phases = axes.map((axis) => axis.stride);
  const count = phases.reduce((n, s) => n * s, 1);
  const repeated = (v: Value): Value => {
    const column = b.call('shape.reshape', [v], { shape: [groups, 1, perGroup] });
    return b.call('shape.reshape', [b.call('shape.expand', [column], { shape: [groups, count, perGroup] })], { shape: [exprs.mul(perGroup, groups * count)] });
  };
  let y = b.call('nn.conv', [x, phaseWeights(b, weight, groups, axes, window.dilations), bias && count > 1 ? repeated(bias) : bias], {
    groups, dilations: axes.map((axis) => axis.dilation), pads: [...axes.map((axis) => axis.begin), ...axes.map((axis) => axis.end)],
  });
  const channels = out.shape[1]!;
  if (count > 1) {
    // [N, groups, strides…, O/groups, positions…] to [N, groups, O/groups, position, stride, position, stride …]
    const rank = axes.length;
    y = b.call('shape.reshape', [y], { shape: [batch, groups, ...phases, perGroup, ...axes.map((axis) => axis.positions)] });
    y = b.call('shape.transpose', [y], { perm: [0, 1, rank + 2, ...axes.flatMap((_, i) => [rank + 3 + i, 2 + i])] });
    y = b.call('shape.reshape', [y], { shape: [batch, channels, ...axes.map((axis) => exprs.mul(axis.positions, axis.stride))] });
  }
  const whole = axes.every((axis, i) => exprs.valueOf(axis.first) === 0 && exprs.mul(axis.positions, axis.stride) === out.shape[i + 2]);
  if (whole) return [y];
  return [b.call('shape.slice', [y], { starts: axes.map((axis) => axis.first), sizes: out.shape.slice(2), axes: axes.map((_, i) => i + 2) })];
}

export const convTranspose: Operator = {
  name: 'nn.conv_transpose',
  doc:
    'Transposed convolution over 1 to 3 spatial axes, the gradient of nn.conv with respect to its input: input [N, C, '
    + 'spatial…], weight [C, O/groups, k…]: every input element x[n, c, i…] adds x · weight[c, o, k…] to output position '
    + '`i · stride + k · dilation − begin` of the channels o of its group; bias [O] is added. Output size per axis: '
    + '(size − 1) · stride + (k−1) · dilation + 1 + output_padding − begin − end. `pads`: beginnings, then ends, as dims; '
    + 'negative ones add. Lists of null are 1 for strides and dilations, 0 for others. Source: ONNX ConvTranspose-22.',
  signature: {
    params: ['x', 'weight', 'bias?'],
    attrs: { strides: null, dilations: null, pads: null, output_padding: null, groups: 1 },
    results: ['out'],
  },
  facets: {
    infer: (call) => [resultType(call)],
    reference({ args, attrs, results }) {
      const [x, w, bias] = [args[0]!, args[1]!, args[2] ?? null];
      const out = allocate(results[0]!.dtype, results[0]!.shape);
      const sizes = x.shape.slice(2);
      const kernel = w.shape.slice(2);
      const window = concreteWindow(attrs, sizes.length);
      const channels = out.shape[1]!;
      const perGroup = w.shape[1]!;
      const inner = x.shape[1]! / (attrs['groups'] as number);
      const area = sizes.reduce((n, d) => n * d, 1);
      const taps = kernel.reduce((n, d) => n * d, 1);
      const outArea = out.shape.slice(2).reduce((n, d) => n * d, 1);
      const positions: number[][] = [];
      forEachIndex(out.shape.slice(2), (index) => positions.push([...index]));
      sumOfProducts(out, x, w, (p, add) => {
        const o = Math.floor(p / outArea) % channels;
        const n = Math.floor(p / (outArea * channels));
        const first = Math.floor(o / perGroup) * inner;
        const at = positions[p % outArea]!;
        const visit = (axis: number, tap: number, position: number): void => {
          if (axis === kernel.length) {
            for (let c = first; c < first + inner; c++) add((n * x.shape[1]! + c) * area + position, (c * perGroup + (o % perGroup)) * taps + tap);
            return;
          }
          for (let k = 0; k < kernel[axis]!; k++) {
            const q = at[axis]! + window.begin[axis]! - k * window.dilations[axis]!;
            const i = q / window.strides[axis]!;
            if (Number.isInteger(i) && i >= 0 && i < sizes[axis]!) visit(axis + 1, tap * kernel[axis]! + k, position * sizes[axis]! + i);
          }
        };
        visit(0, 0, 0);
      }, bias && { tensor: bias, index: (p) => Math.floor(p / outArea) % channels });
      return [out];
    },
    decompose,
    cost(call) {
      const { exprs } = call;
      const x = call.tensor(0).shape;
      const inner = exprs.floordiv(x[1]!, call.attrs['groups'] as number);
      // Every element of x meets every tap of the output channels of its group.
      const each = exprs.mul(exprs.product(call.tensor(1).shape.slice(1)), inner);
      return { flops: exprs.mul(exprs.mul(exprs.product([x[0]!, ...x.slice(2)]), exprs.mul(each, call.attrs['groups'] as number)), 2) };
    },
    samples: () => [
      sample([arg([2, 3, 5]), arg([3, 4, 3])]),
      sample([arg([1, 3, 4, 3]), arg([3, 2, 3, 2]), arg([2])], { strides: [3, 2], output_padding: [1, 1] }),
      sample([arg([1, 3, 4, 3]), arg([3, 2, 2, 2]), arg([2])], { strides: [2, 2] }),
      sample([arg([1, 4, 5, 4]), arg([4, 3, 4, 3]), arg([6])], { strides: [2, 1], pads: [1, 0, 2, 1], groups: 2 }),
      sample([arg([1, 2, 4, 5]), arg([2, 3, 3, 3])], { dilations: [2, 3], strides: [2, 1], pads: [1, 2, 0, 1] }),
      sample([arg([1, 2, 4]), arg([2, 2, 3])], { dilations: [3], strides: [2] }),
      sample([arg([1, 2, 4]), arg([2, 2, 2])], { strides: [3], pads: [-1, -2] }),
      sample([arg([1, 2, 3, 2, 3]), arg([2, 2, 2, 3, 1])], { strides: [1, 2, 2], pads: [0, 1, 0, 1, 0, 0] }),
      sample([arg([1, 3, 4, 4]), arg([3, 1, 3, 3])], { strides: [2, 2], groups: 3, pads: [1, 1, 1, 1] }),
      sample([arg([0, 3, 4]), arg([3, 2, 2])]),
      sample([arg([1, 2, 4], 'f64'), arg([2, 2, 3], 'f64')], { strides: [2] }),
    ],
  },
};
