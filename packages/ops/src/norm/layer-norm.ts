import type { Attrs, Buffer, Expr, InferCall, Operator, OperatorSample, TensorType } from '@tenon/plugin';
import { axisOf, normalizeAxis } from '../common/axes.ts';
import { broadcastIndex, broadcastOffsets } from '../common/broadcast.ts';
import { sameDType, tensorOf } from '../common/errors.ts';
import { allocate, elementCount, numbers, reader, writer } from '../common/host-tensor.ts';
import { arg, given, sample } from '../common/samples.ts';
import { broadcastsTo, countOf, rowStatistics } from './rows.ts';

/** Types of a row-wise normalisation: x, then optional arguments that broadcast to it. */
function inferRows(call: InferCall): { readonly x: TensorType; readonly y: TensorType; readonly axis: number } {
  const x = tensorOf(call, 0, 'float');
  sameDType(call, call.args.map((_, i) => i));
  const axis = normalizeAxis(call, call.attrs['axis']!, x.shape.length);
  for (let i = 1; i < call.args.length; i++) if (call.args[i] != null) broadcastsTo(call, i, x.shape);
  return { x, y: { kind: 'tensor', dtype: x.dtype, shape: x.shape, annotations: {} }, axis };
}

const flops = (operations: number) => (call: InferCall): { readonly flops: Expr } => ({
  flops: call.exprs.mul(call.exprs.product(call.tensor(0).shape), operations),
});

const layerNorm: Operator = {
  name: 'nn.layer_norm',
  doc: 'y = (x − mean) · inv_std · scale + bias, where mean and inv_std = 1 / sqrt(var + epsilon) are those of a row: all elements along the '
    + 'axes from `axis` (default −1) on; var is the mean of (x − mean)². `scale` and `bias` broadcast to x; left out they are 1 and 0. With '
    + '`statistics: true` the results mean and inv_std follow, of the shape of x with 1 along the axes from `axis` on. Source: Ba, Kiros, Hinton 2016.',
  signature: { params: ['x', 'scale?', 'bias?'], attrs: { axis: -1, epsilon: 1e-5, statistics: false } satisfies Attrs, results: ['y', 'mean', 'inv_std'] },
  facets: {
    infer: (call) => {
      const { x, y, axis } = inferRows(call);
      if (call.attrs['statistics'] !== true) return [y];
      const rows: TensorType = { ...y, shape: x.shape.map((d, k) => (k < axis ? d : call.exprs.int(1))) };
      return [y, rows, rows];
    },
    reference: ({ args, attrs, results }) => {
      const x = args[0]!;
      const axis = axisOf(attrs['axis']!, x.shape.length);
      const [scale, bias] = [args[1], args[2]].map((a) => a && { value: numbers(a), at: broadcastOffsets(a.shape, x.shape) });
      const out = results.map((r) => allocate(r.dtype, r.shape));
      const [writeY, writeMean, writeInverse] = out.map(writer);
      const read = reader(x);
      const size = elementCount(x.shape.slice(axis));
      const rows = elementCount(x.shape.slice(0, axis));
      for (let row = 0; row < rows; row++) {
        let sum = 0;
        for (let k = 0; k < size; k++) sum += read(row * size + k);
        const mean = sum / size;
        let squares = 0;
        for (let k = 0; k < size; k++) squares += (read(row * size + k) - mean) ** 2;
        const inverse = 1 / Math.sqrt(squares / size + (attrs['epsilon'] as number));
        for (let k = 0, i = row * size; k < size; k++, i++) {
          const normal = (read(i) - mean) * inverse * (scale ? scale.value[scale.at[i]!]! : 1);
          writeY!(i, normal + (bias ? bias.value[bias.at[i]!]! : 0));
        }
        writeMean?.(row, mean);
        writeInverse?.(row, inverse);
      }
      return out;
    },
    define: ({ args, attrs, results }, b) => {
      const x = args[0]!;
      const { exprs: e } = b;
      const axis = axisOf(attrs['axis']!, x.shape.length);
      const { mean, inverse } = rowStatistics(b, x.dtype, x.shape.slice(0, axis), x.shape.slice(axis), attrs['epsilon'] as number, (row, r) => b.load(x, [...row, ...r]));
      const applied = (buffer: Buffer | null | undefined, i: readonly Expr[]): Expr | null =>
        buffer ? b.load(buffer, broadcastIndex(e, i, buffer.shape)) : null;
      b.compute(results[0]!, (i) => {
        const row = i.slice(0, axis);
        let value = e.mul(e.sub(b.load(x, i), b.load(mean, row)), b.load(inverse, row));
        const scale = applied(args[1], i);
        if (scale) value = e.mul(value, scale);
        const bias = applied(args[2], i);
        return bias ? e.add(value, bias) : value;
      });
      if (results.length > 1) {
        b.compute(results[1]!, (i) => b.load(mean, i.slice(0, axis)));
        b.compute(results[2]!, (i) => b.load(inverse, i.slice(0, axis)));
      }
    },
    cost: flops(8),
    samples: (): readonly OperatorSample[] => [
      sample([arg([3, 7]), arg([7]), arg([7])]),
      sample([arg([3, 7]), arg([7])]),
      sample([arg([3, 7]), null, arg([7])]),
      sample([arg([3, 7])], { epsilon: 0.1 }),
      sample([arg([2, 3, 5]), arg([3, 5]), arg([5])], { axis: 1, statistics: true }),
      sample([arg([2, 3, 5]), arg([]), arg([1, 1])], { axis: -3, statistics: true }),
      sample([arg([0, 5]), arg([5])], { statistics: true }),
      sample([arg([2, 0])]),
      sample([arg([4, 33], 'f64'), arg([33], 'f64')], {}, 1e-12),
      sample([given([1e4, 1e4 + 1, 1e4 + 2, NaN, 0, 1], 'f32', [2, 3])]),
    ],
  },
};

const rmsNorm: Operator = {
  name: 'nn.rms_norm',
  doc: 'y = x / sqrt(mean(x²) + epsilon) · scale, with the mean over a row: all elements along the axes from `axis` (default −1) on. `scale` '
    + 'broadcasts to x; left out it is 1. Source: Zhang, Sennrich 2019.',
  signature: { params: ['x', 'scale?'], attrs: { axis: -1, epsilon: 1e-5 } satisfies Attrs, results: ['y'] },
  facets: {
    infer: (call) => [inferRows(call).y],
    reference: ({ args, attrs, results }) => {
      const x = args[0]!;
      const axis = axisOf(attrs['axis']!, x.shape.length);
      const scale = args[1] && { value: numbers(args[1]), at: broadcastOffsets(args[1].shape, x.shape) };
      const out = allocate(results[0]!.dtype, results[0]!.shape);
      const read = reader(x);
      const write = writer(out);
      const size = elementCount(x.shape.slice(axis));
      const rows = elementCount(x.shape.slice(0, axis));
      for (let row = 0; row < rows; row++) {
        let squares = 0;
        for (let k = 0; k < size; k++) squares += read(row * size + k) ** 2;
        const inverse = 1 / Math.sqrt(squares / size + (attrs['epsilon'] as number));
        for (let k = 0, i = row * size; k < size; k++, i++) write(i, read(i) * inverse * (scale ? scale.value[scale.at[i]!]! : 1));
      }
      return [out];
    },
    define: ({ args, attrs, results }, b) => {
      const [x, scale] = [args[0]!, args[1]];
      const { exprs: e } = b;
      const axis = axisOf(attrs['axis']!, x.shape.length);
      const [rows, domain] = [x.shape.slice(0, axis), x.shape.slice(axis)];
      const squares = b.alloc('squares', x.dtype, rows);
      b.reduce(squares, domain, e.constant(0, x.dtype), (acc, row, r) => {
        const value = b.load(x, [...row, ...r]);
        return e.add(acc, e.mul(value, value));
      });
      const inverse = b.alloc('row_inverse', x.dtype, rows);
      b.compute(inverse, (row) => {
        const mean = e.div(b.load(squares, row), countOf(b, domain, x.dtype));
        return e.div(e.constant(1, x.dtype), e.call('sqrt', [e.add(mean, e.constant(attrs['epsilon'] as number, x.dtype))]));
      });
      b.compute(results[0]!, (i) => {
        const value = e.mul(b.load(x, i), b.load(inverse, i.slice(0, axis)));
        return scale ? e.mul(value, b.load(scale, broadcastIndex(e, i, scale.shape))) : value;
      });
    },
    cost: flops(4),
    samples: (): readonly OperatorSample[] => [
      sample([arg([3, 7]), arg([7])]),
      sample([arg([3, 7])], { epsilon: 0.1 }),
      sample([arg([2, 3, 5]), arg([3, 5])], { axis: 1 }),
      sample([arg([2, 3, 5]), arg([])], { axis: -3 }),
      sample([arg([0, 5]), arg([5])]),
      sample([arg([2, 0])]),
      sample([arg([4, 33], 'f64'), arg([33], 'f64')], {}, 1e-12),
    ],
  },
};

export const operators: readonly Operator[] = [layerNorm, rmsNorm];
