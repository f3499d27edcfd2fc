import type { Buffer, Expr, InferCall, Operator, OperatorSample, TensorBuilder } from '@tenon/plugin';
import { allocate, reader, writer } from '../common/host-tensor.ts';
import { arg, sample } from '../common/samples.ts';
import { forEachWindow, kernelOf, poolAttrs, poolDoc, poolFlops, poolType, reduceWindows, tapCount } from './pool.ts';
import { concreteWindow } from './window.ts';

const samples = (): OperatorSample[] => [
  sample([arg([2, 3, 8])], { kernel: [3] }),
  sample([arg([1, 2, 7, 6])], { kernel: [3, 2], strides: [2, 2] }),
  sample([arg([1, 2, 7, 6])], { kernel: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }),
  sample([arg([1, 2, 7, 8])], { kernel: [3, 3], strides: [2, 2], ceil_mode: true }),
  sample([arg([1, 2, 8, 7])], { kernel: [2, 2], strides: [3, 3], pads: [1, 0, 1, 1], ceil_mode: true }),
  sample([arg([1, 2, 9, 8])], { kernel: [2, 3], dilations: [3, 2], pads: [1, 0, 2, 1] }),
  sample([arg([1, 2, 9, 8])], { kernel: [3, 3], dilations: [2, 2], strides: [2, 3], pads: [1, 2, 2, 1], ceil_mode: true }),
  sample([arg([1, 1, 5, 4, 6])], { kernel: [2, 2, 3], strides: [1, 2, 2], pads: [0, 1, 1, 1, 0, 1] }),
  sample([arg([0, 2, 4, 4])], { kernel: [2, 2] }),
  sample([arg([1, 2, 5, 5], 'f64')], { kernel: [2, 2] }),
];

export const avgPool: Operator = {
  name: 'nn.avg_pool',
  doc:
    'The mean of every window: the sum of its elements inside x, divided by their number, or with `count_include_pad` by the '
    + 'number of taps inside x and its padding (taps beyond that, which `ceil_mode` may bring, never count). A window without '
    + `elements gives 0. ${poolDoc} Source: ONNX AveragePool-22.`,
  signature: { params: ['x'], attrs: { ...poolAttrs, count_include_pad: false }, results: ['out'] },
  facets: {
    infer: (call) => [poolType(call, 'float')],
    reference({ args, attrs, results }) {
      const x = args[0]!;
      const out = allocate(results[0]!.dtype, results[0]!.shape);
      const [read, write] = [reader(x), writer(out)];
      const kernel = kernelOf(attrs);
      const window = concreteWindow(attrs, kernel.length);
      let sum = 0;
      let count = 0;
      forEachWindow(attrs, x, out, () => {
        sum = 0;
        count = 0;
      }, (p) => {
        sum += read(p);
        count++;
      }, (position, index) => {
        let taps = 1;
        kernel.forEach((k, i) => {
          const start = index[i + 2]! * window.strides[i]!;
          const end = x.shape[i + 2]! + window.begin[i]! + window.end[i]!;
          taps *= Math.min(k, Math.ceil((end - start) / window.dilations[i]!));
        });
        const divisor = attrs['count_include_pad'] === true ? taps : count;
        write(position, count === 0 ? 0 : sum / divisor);
      });
      return [out];
    },
    define({ args, attrs, results }, b) {
      const { exprs } = b;
      const x = args[0]!;
      const out = results[0]!;
      const sum = b.alloc('sum', out.dtype, out.shape);
      reduceWindows(b, attrs, x, sum, exprs.constant(0, out.dtype), (a, e) => exprs.add(a, e));
      b.compute(out, (index) => {
        const count = exprs.product(
          kernelOf(attrs).map((_, i) => tapCount(exprs, attrs, i, x.shape[i + 2]!, index[i + 2]!, attrs['count_include_pad'] === true)),
        );
        const divisor = exprs.valueOf(count) === null ? exprs.max(count, 1) : count;
        return exprs.div(b.load(sum, index), exprs.cast(divisor, out.dtype));
      });
    },
    cost: (call) => ({ flops: poolFlops(call, poolType(call, 'float')) }),
    samples: () => [...samples(), ...samples().map((s) => ({ ...s, attrs: { ...s.attrs, count_include_pad: true } }))],
  },
};

function power(b: TensorBuilder, out: Buffer, value: Expr, p: number): Expr {
  const { exprs } = b;
  if (p === 1) return value;
  if (p === 2) return exprs.mul(value, value);
  return exprs.call('pow', [value, exprs.constant(p, out.dtype)]);
}

function lpType(call: InferCall) {
  const { p } = call.attrs;
  if (typeof p !== 'number' || !(p >= 1)) call.fail('attribute', 'p must be a number from 1 on');
  return poolType(call, 'float');
}

export const lpPool: Operator = {
  name: 'nn.lp_pool',
  doc: `The p-norm of every window: (Σ |x|^p)^(1/p), padding counting as 0. ${poolDoc} Source: ONNX LpPool-22.`,
  signature: { params: ['x'], attrs: { ...poolAttrs, p: 2 }, results: ['out'] },
  facets: {
    infer: (call) => [lpType(call)],
    reference({ args, attrs, results }) {
      const x = args[0]!;
      const p = attrs['p'] as number;
      const out = allocate(results[0]!.dtype, results[0]!.shape);
      const [read, write] = [reader(x), writer(out)];
      let sum = 0;
      forEachWindow(attrs, x, out, () => {
        sum = 0;
      }, (position) => {
        sum += Math.abs(read(position)) ** p;
      }, (position) => write(position, sum ** (1 / p)));
      return [out];
    },
    define({ args, attrs, results }, b) {
      const { exprs } = b;
      const out = results[0]!;
      const p = attrs['p'] as number;
      const sum = b.alloc('sum', out.dtype, out.shape);
      reduceWindows(b, attrs, args[0]!, sum, exprs.constant(0, out.dtype), (a, e) => exprs.add(a, power(b, out, exprs.call('abs', [e]), p)));
      b.compute(out, (index) => {
        const value = b.load(sum, index);
        if (p === 1) return value;
        return p === 2 ? exprs.call('sqrt', [value]) : exprs.call('pow', [value, exprs.constant(1 / p, out.dtype)]);
      });
    },
    cost: (call) => ({ flops: call.exprs.mul(poolFlops(call, lpType(call)), 2) }),
    samples: () => [
      ...samples(),
      sample([arg([1, 2, 7, 6])], { kernel: [3, 2], strides: [2, 1], pads: [1, 0, 0, 1], p: 1 }),
      sample([arg([1, 2, 7, 6])], { kernel: [3, 2], strides: [2, 1], p: 3 }),
    ],
  },
};
