import type { Attrs, Expr, ExprBuilder, InferCall, Operator, TensorType } from '@tenon/plugin';
import { rankBetween, sameDType, tensorOf } from '../common/errors.ts';
import { allocate, forEachIndex } from '../common/host-tensor.ts';
import { arg, sample } from '../common/samples.ts';
import { checkBias, groupsOf } from './conv.ts';
import { sumOfProducts } from './products.ts';
import { checkWindow, concreteWindow, padded, reach, windowOf } from './window.ts';

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

/**
 * How an output position of one axis finds the inputs it gets contributions from. Without dilation only every
 * stride-th tap meets an input: those are the taps `p % stride + stride · j`.
 */
interface AxisTaps {
  /** Number of candidates j. */
  readonly count: number;
  /** The tap of candidate j at output position o. */
  tap(o: Expr, j: Expr): Expr;
  /** The input position, which may lie outside the input by less than the padding. */
  position(o: Expr, j: Expr): Expr;
  /** Whether candidate j is a tap that meets an input; null: always. */
  valid(o: Expr, j: Expr): Expr | null;
  /** The lowest and highest position. */
  readonly low: Expr;
  readonly high: Expr;
}

function axisTaps(exprs: ExprBuilder, kernel: number, stride: number, dilation: number, begin: Expr, output: Expr): AxisTaps {
  const full = (o: Expr): Expr => exprs.add(o, begin);
  const high = exprs.floordiv(full(exprs.sub(output, 1)), stride);
  if (dilation === 1) {
    const count = Math.ceil(kernel / stride);
    const tap = (o: Expr, j: Expr): Expr => exprs.add(exprs.mod(full(o), stride), exprs.mul(j, stride));
    return {
      count, tap, high,
      position: (o, j) => exprs.sub(exprs.floordiv(full(o), stride), j),
      valid: (o, j) => (kernel % stride === 0 ? null : exprs.lt(tap(o, j), kernel)),
      low: exprs.sub(exprs.floordiv(begin, stride), count - 1),
    };
  }
  const from = (o: Expr, j: Expr): Expr => exprs.sub(full(o), exprs.mul(j, dilation));
  return {
    count: kernel, high,
    tap: (_, j) => j,
    position: (o, j) => exprs.floordiv(from(o, j), stride),
    valid: (o, j) => (stride === 1 ? null : exprs.eq(exprs.mod(from(o, j), stride), 0)),
    low: exprs.floordiv(exprs.sub(begin, (kernel - 1) * dilation), stride),
  };
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
    define({ args, attrs, results }, b) {
      const { exprs } = b;
      const [x, w, bias] = [args[0]!, args[1]!, args[2] ?? null];
      const out = results[0]!;
      const spatial = x.shape.length - 2;
      const window = windowOf(exprs, attrs, spatial);
      const groups = attrs['groups'] as number;
      const zero = exprs.constant(0, out.dtype);
      const axes = window.strides.map((stride, i) =>
        axisTaps(exprs, exprs.valueOf(w.shape[i + 2]!)!, stride, window.dilations[i]!, window.begin[i]!, out.shape[i + 2]!));
      const extents = axes.map((axis) => exprs.add(exprs.sub(axis.high, axis.low), 1));
      const source = padded(b, x, axes.map((axis) => exprs.neg(axis.low)), extents, zero);
      const inner = exprs.floordiv(x.shape[1]!, groups);
      const perGroup = w.shape[1]!;
      const sum = bias === null ? out : b.alloc('sum', out.dtype, out.shape);
      b.reduce(sum, [inner, ...axes.map((axis) => axis.count)], zero, (acc, [n, o, ...p], [c, ...j]) => {
        const channel = groups === 1 ? c! : exprs.add(exprs.mul(exprs.floordiv(o!, perGroup), inner), c!);
        const at = axes.map((axis, i) => exprs.sub(axis.position(p[i]!, j[i]!), axis.low));
        const tap = axes.map((axis, i) => axis.tap(p[i]!, j[i]!));
        const product = exprs.mul(
          b.load(source, [n!, channel, ...at]),
          b.load(w, [channel, groups === 1 ? o! : exprs.mod(o!, perGroup), ...tap]),
        );
        let valid = exprs.constant(true, 'bool');
        axes.forEach((axis, i) => {
          valid = exprs.and(valid, axis.valid(p[i]!, j[i]!) ?? valid);
        });
        return exprs.add(acc, exprs.select(valid, product, zero));
      });
      if (bias !== null) b.compute(out, (index) => exprs.add(b.load(sum, index), b.load(bias, [index[1]!])));
    },
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
