import type { Attrs, Buffer, EvaluateCall, Expr, HostTensor, InferCall, Operator, OperatorSample, TensorBuilder, TensorType } from '@tenon/plugin';
import { axisOf, normalizeAxis } from '../common/axes.ts';
import { tensorOf } from '../common/errors.ts';
import { allocate, reader, writer } from '../common/host-tensor.ts';
import { arg, given, sample } from '../common/samples.ts';
import { forEachLine, inserted, without } from './rows.ts';

function inferLikeArgument(call: InferCall): readonly TensorType[] {
  const x = tensorOf(call, 0, 'float');
  normalizeAxis(call, call.attrs['axis']!, x.shape.length);
  return [{ kind: 'tensor', dtype: x.dtype, shape: x.shape, annotations: {} }];
}

/** Evaluates line by line: `line` gets the elements along the axis and returns as many. */
function byLine(line: (x: Float64Array) => ArrayLike<number>): (call: EvaluateCall) => readonly HostTensor[] {
  return ({ args, attrs, results }) => {
    const x = args[0]!;
    const out = allocate(results[0]!.dtype, results[0]!.shape);
    const read = reader(x);
    const write = writer(out);
    forEachLine(x.shape, axisOf(attrs['axis']!, x.shape.length), (start, step, size) => {
      const result = line(Float64Array.from({ length: size }, (_, k) => read(start + k * step)));
      for (let k = 0; k < size; k++) write(start + k * step, result[k]!);
    });
    return [out];
  };
}

/** NaN where any element is. */
const largest = (x: Float64Array): number => x.reduce((a, b) => Math.max(a, b), -Infinity);

/** The largest element of every line: shape of x without the axis. */
function lineMaximum(b: TensorBuilder, x: Buffer, axis: number): Buffer {
  const { exprs: e } = b;
  const max = b.alloc('line_max', x.dtype, without(x.shape, axis));
  b.reduce(max, [x.shape[axis]!], e.constant(-Infinity, x.dtype), (acc, line, [k]) => e.max(acc, b.load(x, inserted(line, axis, k!))));
  return max;
}

const samples = (): readonly OperatorSample[] => [
  ...([[[7], -1], [[3, 5], -1], [[3, 5], 0], [[2, 3, 4], 1], [[2, 1, 3, 33], -1], [[0, 4], 1], [[4, 0], 0], [[4, 0], 1]] as const).map(([shape, axis]) =>
    sample([arg(shape)], { axis })),
  sample([arg([3, 5], 'f64')], { axis: 1 }, 1e-12),
  sample([given([1000, 1001, 1002, -1000, 0, 1], 'f32', [2, 3])], { axis: -1 }),
  sample([given([-Infinity, 0, 1, NaN, 0, 1, -Infinity, -Infinity, -Infinity], 'f32', [3, 3])], { axis: -1 }),
];

function softmaxCost(call: InferCall, operations: number): { readonly flops: Expr } {
  return { flops: call.exprs.mul(call.exprs.product(call.tensor(0).shape), operations) };
}

const signature = { params: ['x'], attrs: { axis: -1 } satisfies Attrs, results: ['y'] } as const;

const softmax: Operator = {
  name: 'nn.softmax',
  doc: 'softmax(x)[k] = exp(x[k] − m) / Σ_j exp(x[j] − m) along `axis` (default −1), where m = max_j x[j]. Same shape and dtype as x. '
    + 'A line that is −∞ everywhere gives NaN. Source: Bridle 1990.',
  signature,
  facets: {
    infer: inferLikeArgument,
    reference: byLine((x) => {
      const max = largest(x);
      const powers = x.map((v) => Math.exp(v - max));
      const sum = powers.reduce((a, b) => a + b, 0);
      return powers.map((p) => p / sum);
    }),
    define: ({ args, attrs, results }, b) => {
      const x = args[0]!;
      const { exprs: e } = b;
      const axis = axisOf(attrs['axis']!, x.shape.length);
      const max = lineMaximum(b, x, axis);
      const powers = b.alloc('powers', x.dtype, x.shape);
      b.compute(powers, (i) => e.call('exp', [e.sub(b.load(x, i), b.load(max, without(i, axis)))]));
      const sum = b.alloc('line_sum', x.dtype, without(x.shape, axis));
      b.reduce(sum, [x.shape[axis]!], e.constant(0, x.dtype), (acc, line, [k]) => e.add(acc, b.load(powers, inserted(line, axis, k!))));
      b.compute(results[0]!, (i) => e.div(b.load(powers, i), b.load(sum, without(i, axis))));
    },
    cost: (call) => softmaxCost(call, 5),
    samples,
  },
};

const logSoftmax: Operator = {
  name: 'nn.log_softmax',
  doc: 'log_softmax(x)[k] = x[k] − m − log Σ_j exp(x[j] − m) along `axis` (default −1), where m = max_j x[j]. Same shape and dtype as x.',
  signature,
  facets: {
    infer: inferLikeArgument,
    reference: byLine((x) => {
      const max = largest(x);
      const log = Math.log(x.reduce((a, v) => a + Math.exp(v - max), 0));
      return x.map((v) => v - max - log);
    }),
    define: ({ args, attrs, results }, b) => {
      const x = args[0]!;
      const { exprs: e } = b;
      const axis = axisOf(attrs['axis']!, x.shape.length);
      const max = lineMaximum(b, x, axis);
      const sum = b.alloc('line_sum', x.dtype, without(x.shape, axis));
      b.reduce(sum, [x.shape[axis]!], e.constant(0, x.dtype), (acc, line, [k]) =>
        e.add(acc, e.call('exp', [e.sub(b.load(x, inserted(line, axis, k!)), b.load(max, line))])));
      const log = b.alloc('line_log', x.dtype, without(x.shape, axis));
      b.compute(log, (line) => e.call('log', [b.load(sum, line)]));
      b.compute(results[0]!, (i) => e.sub(e.sub(b.load(x, i), b.load(max, without(i, axis))), b.load(log, without(i, axis))));
    },
    cost: (call) => softmaxCost(call, 5),
    samples,
  },
};

const hardmax: Operator = {
  name: 'nn.hardmax',
  doc: 'hardmax(x)[k] = 1 where k is the first index of the largest element along `axis` (default −1), else 0. NaN counts as the largest. '
    + 'Same shape and dtype as x.',
  signature,
  facets: {
    infer: inferLikeArgument,
    reference: byLine((x) => {
      const max = largest(x);
      const first = x.findIndex((v) => v === max || Number.isNaN(v));
      return x.map((_, k) => (k === first ? 1 : 0));
    }),
    define: ({ args, attrs, results }, b) => {
      const x = args[0]!;
      const { exprs: e } = b;
      const axis = axisOf(attrs['axis']!, x.shape.length);
      const size = x.shape[axis]!;
      const max = lineMaximum(b, x, axis);
      const first = b.alloc('first', 'i64', without(x.shape, axis));
      b.reduce(first, [size], size, (acc, line, [k]) => {
        const value = b.load(x, inserted(line, axis, k!));
        const found = e.or(e.eq(value, b.load(max, line)), e.call('isnan', [value]));
        return e.min(acc, e.select(found, k!, size));
      });
      b.compute(results[0]!, (i) => e.select(e.eq(i[axis]!, b.load(first, without(i, axis))), e.constant(1, x.dtype), e.constant(0, x.dtype)));
    },
    cost: (call) => softmaxCost(call, 3),
    samples: () => [
      ...samples(),
      sample([given([1, 3, 3, 2, 2, 2], 'f32', [2, 3])], { axis: -1 }, 0),
      sample([given([1, 3, 3, 2, 2, 2], 'f32', [2, 3])], { axis: 0 }, 0),
    ],
  },
};

export const operators: readonly Operator[] = [softmax, logSoftmax, hardmax];
