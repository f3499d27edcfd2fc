import type { AttrValue, Expr, InferCall, Operator } from '@tenon/plugin';
import { axisOf, normalizeAxis } from '../common/axes.ts';
import { isInteger } from '../common/dtypes.ts';
import { sameDType, tensorOf } from '../common/errors.ts';
import { allocate, bigReader, elementCount, forEachIndex, hostTensor, reader, writer } from '../common/host-tensor.ts';
import { given, sample } from '../common/samples.ts';
import { dimOf, dimsAttr, dimsOf, tensorType } from './attributes.ts';
import { choose, flattenExprs, knownArgument, movedContents } from './movement.ts';

function dtypeAttr(call: InferCall): string {
  const dtype = call.attrs['dtype'];
  return typeof dtype === 'string' ? dtype : call.fail('attribute', 'dtype must be the name of an element type');
}

export const full: Operator = {
  name: 'shape.full',
  doc: 'A tensor of `shape` (a list of dims, required) and `dtype` with every element `value` (default 0), rounded to the dtype.',
  signature: { params: [], attrs: { shape: null, value: 0, dtype: 'f32' }, results: ['y'] },
  facets: {
    infer: (call) => {
      const value = call.attrs['value'];
      if (typeof value !== 'number' && typeof value !== 'bigint') call.fail('attribute', 'value must be a number');
      return [tensorType(dtypeAttr(call), dimsAttr(call, 'shape'))];
    },
    reference: ({ attrs, results }) => {
      const { dtype, shape } = results[0]!;
      const one = hostTensor(dtype, [], [attrs['value'] as number | bigint]);
      const out = allocate(dtype, shape);
      out.data.fill(one.data[0] as never);
      return [out];
    },
    define: ({ attrs, results }, b) => {
      const y = results[0]!;
      b.compute(y, () => b.exprs.constant(attrs['value'] as number | bigint, y.dtype));
    },
    cost: ({ exprs }) => ({ flops: exprs.int(0) }),
    shapeValue: (call) => {
      const dtype = dtypeAttr(call);
      if (!isInteger(dtype) && dtype !== 'bool') return [null];
      const value = call.exprs.int(call.attrs['value'] as number | bigint);
      return movedContents(call, dimsAttr(call, 'shape'), () => value);
    },
    samples: () => [
      ...(['f32', 'f64', 'i64', 'i32', 'u8', 'bool'] as const).map((dtype) => sample([], { shape: [2, 3], value: 1, dtype })),
      sample([], { shape: [], value: -2.5, dtype: 'f32' }),
      sample([], { shape: [3], value: Infinity, dtype: 'f32' }),
      sample([], { shape: [0, 3], value: 7, dtype: 'i64' }),
    ],
  },
};

export const iota: Operator = {
  name: 'shape.iota',
  doc: 'A tensor of `shape` (a list of dims, required) and a numeric `dtype` (default i64) whose every element is its own index along `axis` (default 0).',
  signature: { params: [], attrs: { shape: null, axis: 0, dtype: 'i64' }, results: ['y'] },
  facets: {
    infer: (call) => {
      const shape = dimsAttr(call, 'shape');
      normalizeAxis(call, call.attrs['axis'] ?? null, shape.length);
      return [tensorType(dtypeAttr(call), shape)];
    },
    reference: ({ attrs, results }) => {
      const { dtype, shape } = results[0]!;
      const axis = axisOf(attrs['axis']!, shape.length);
      const out = allocate(dtype, shape);
      const write = writer(out);
      forEachIndex(shape, (index, position) => write(position, index[axis]!));
      return [out];
    },
    define: ({ attrs, results }, b) => {
      const y = results[0]!;
      const axis = axisOf(attrs['axis']!, y.shape.length);
      b.compute(y, (i) => b.exprs.cast(i[axis]!, y.dtype));
    },
    cost: ({ exprs }) => ({ flops: exprs.int(0) }),
    shapeValue: (call) => {
      if (!isInteger(dtypeAttr(call))) return [null];
      const shape = dimsAttr(call, 'shape');
      const axis = axisOf(call.attrs['axis']!, shape.length);
      return movedContents(call, shape, (index) => call.exprs.int(index[axis]!));
    },
    samples: () => [
      ...(['f32', 'i64', 'i32'] as const).map((dtype) => sample([], { shape: [4, 3], axis: 0, dtype })),
      sample([], { shape: [2, 3, 2], axis: -2 }),
      sample([], { shape: [0] }),
    ],
  },
};

export const range: Operator = {
  name: 'shape.range',
  doc:
    '`size` (a dim, required) numbers from `start` on, `delta` apart: y[i] = start + i·delta. start and delta have one element and one numeric dtype, which the result has too. ' +
    'The tensor-level definition computes in that dtype.',
  signature: { params: ['start', 'delta'], attrs: { size: null }, results: ['y'] },
  facets: {
    infer: (call) => {
      const dtype = sameDType(call, [0, 1]);
      tensorOf(call, 0, 'numeric');
      for (const i of [0, 1]) if (call.exprs.prove(call.exprs.eq(call.exprs.product(call.tensor(i).shape), 1)) === 'no') call.fail('shape', 'start and delta must have one element');
      if (call.attrs['size'] === null) call.fail('attribute', 'size must be a dim');
      const size = dimOf(call.exprs, call.attrs['size']!);
      if (call.exprs.prove(call.exprs.lt(size, 0)) === 'yes') call.fail('size', 'size is negative');
      return [tensorType(dtype, [size])];
    },
    reference: ({ args, results }) => {
      const { dtype, shape } = results[0]!;
      const out = allocate(dtype, shape);
      const size = shape[0]!;
      if (out.data instanceof BigInt64Array || out.data instanceof BigUint64Array) {
        const [start, delta] = [bigReader(args[0]!)(0), bigReader(args[1]!)(0)];
        for (let i = 0; i < size; i++) out.data[i] = start + BigInt(i) * delta;
      } else {
        const [start, delta] = [reader(args[0]!)(0), reader(args[1]!)(0)];
        const write = writer(out);
        for (let i = 0; i < size; i++) write(i, start + i * delta);
      }
      return [out];
    },
    define: ({ args, results }, b) => {
      const { exprs } = b;
      const y = results[0]!;
      const [start, delta] = args.map((a) => b.load(a!, a!.shape.map(() => exprs.int(0)))) as [Expr, Expr];
      b.compute(y, ([i]) => exprs.add(start, exprs.mul(exprs.cast(i!, y.dtype), delta)));
    },
    cost: (call) => ({ flops: call.exprs.mul(dimOf(call.exprs, call.attrs['size']!), 2) }),
    shapeValue: (call) => {
      const [start, delta] = [knownArgument(call, 0)?.elements[0], knownArgument(call, 1)?.elements[0]];
      if (!start || !delta) return [null];
      return movedContents(call, [dimOf(call.exprs, call.attrs['size']!)], ([i]) => call.exprs.add(start, call.exprs.mul(delta, i!)));
    },
    samples: () => [
      ...(['f32', 'f64', 'i64', 'i32', 'i16'] as const).map((dtype) => sample([given([3], dtype, []), given([-2], dtype, [])], { size: 5 })),
      sample([given([0.5], 'f32', [1]), given([0.25], 'f32', [1])], { size: 9 }),
      sample([given([1], 'i64', []), given([1], 'i64', [])], { size: 0 }),
    ],
  },
};

/** Range of axes that `shape_of` reads. */
function axisRange(attrs: { readonly [name: string]: AttrValue }, rank: number): readonly [number, number] {
  const clamp = (axis: number): number => Math.min(Math.max(axis < 0 ? axis + rank : axis, 0), rank);
  const start = clamp(attrs['start'] as number);
  return [start, Math.max(start, attrs['end'] === null ? rank : clamp(attrs['end'] as number))];
}

export const shapeOf: Operator = {
  name: 'shape.shape_of',
  doc: 'The sizes of axes `start` (default 0) up to, not including, `end` (default: all) of x, as i64. Negative axes count from the back; axes outside are clamped.',
  signature: { params: ['x'], attrs: { start: 0, end: null }, results: ['y'] },
  facets: {
    infer: (call) => {
      const { shape } = tensorOf(call, 0);
      const [start, end] = axisRange(call.attrs, shape.length);
      return [tensorType('i64', [call.exprs.int(end - start)])];
    },
    reference: ({ args, attrs }) => {
      const { shape } = args[0]!;
      const sizes = shape.slice(...axisRange(attrs, shape.length));
      return [hostTensor('i64', [sizes.length], sizes)];
    },
    define: ({ args, attrs, results }, b) => {
      const { shape } = args[0]!;
      const sizes = shape.slice(...axisRange(attrs, shape.length));
      b.compute(results[0]!, ([i]) => (sizes.length === 0 ? b.exprs.int(0) : choose(b.exprs, i!, sizes)));
    },
    cost: ({ exprs }) => ({ flops: exprs.int(0), bytes: exprs.int(0) }),
    shapeValue: (call) => {
      const { shape } = call.tensor(0);
      return [shape.slice(...axisRange(call.attrs, shape.length))];
    },
    samples: () => [
      sample([{ dtype: 'f32', shape: [2, 3, 5] }]),
      sample([{ dtype: 'bool', shape: [2, 3, 5, 4] }], { start: 1, end: -1 }),
      sample([{ dtype: 'f32', shape: [] }]),
      sample([{ dtype: 'i64', shape: [4, 0] }], { start: -1 }),
      sample([{ dtype: 'i64', shape: [4, 0] }], { start: 1, end: 1 }),
    ],
  },
};

export const sizeOf: Operator = {
  name: 'shape.size_of',
  doc: 'The number of elements of x, as an i64 scalar.',
  signature: { params: ['x'], attrs: {}, results: ['y'] },
  facets: {
    infer: (call) => {
      tensorOf(call, 0);
      return [tensorType('i64', [])];
    },
    reference: ({ args }) => [hostTensor('i64', [], [elementCount(args[0]!.shape)])],
    define: ({ args, results }, b) => b.compute(results[0]!, () => b.exprs.product(args[0]!.shape)),
    cost: ({ exprs }) => ({ flops: exprs.int(0), bytes: exprs.int(0) }),
    shapeValue: (call) => [[call.exprs.product(call.tensor(0).shape)]],
    samples: () => [sample([{ dtype: 'f32', shape: [2, 3, 5] }]), sample([{ dtype: 'f32', shape: [] }]), sample([{ dtype: 'i64', shape: [4, 0] }])],
  },
};

export const dims: Operator = {
  name: 'shape.dims',
  doc: 'An i64 tensor of the constant `shape` (numbers, required) whose elements are `dims` (required), row-major: expressions over dims.',
  signature: { params: [], attrs: { dims: null, shape: null }, results: ['y'] },
  facets: {
    infer: (call) => {
      const shape = dimsAttr(call, 'shape');
      const count = call.exprs.valueOf(call.exprs.product(shape));
      if (count === null) call.fail('attribute', 'shape must be constant');
      dimsAttr(call, 'dims', count, true);
      return [tensorType('i64', shape)];
    },
    reference: ({ attrs, results }) => [hostTensor('i64', results[0]!.shape, attrs['dims'] as readonly (number | bigint)[])],
    define: ({ attrs, results }, b) => {
      const y = results[0]!;
      const values = dimsOf(b.exprs, attrs['dims']!);
      b.compute(y, (i) => (values.length === 0 ? b.exprs.int(0) : choose(b.exprs, flattenExprs(b.exprs, i, y.shape), values)));
    },
    cost: ({ exprs }) => ({ flops: exprs.int(0) }),
    shapeValue: (call) => [dimsOf(call.exprs, call.attrs['dims']!)],
    samples: () => [
      sample([], { dims: [3, 1, -4, 1, 5], shape: [5] }),
      sample([], { dims: [1, 2, 3, 4, 5, 6], shape: [2, 3] }),
      sample([], { dims: [9], shape: [] }),
      sample([], { dims: [], shape: [0] }),
    ],
  },
};

export const eye: Operator = {
  name: 'shape.eye',
  doc: 'A matrix of `shape` (two dims, required) and numeric or bool `dtype` with ones where column − row = `k` (a dim, default 0) and zeros elsewhere.',
  signature: { params: [], attrs: { shape: null, k: 0, dtype: 'f32' }, results: ['y'] },
  facets: {
    infer: (call) => [tensorType(dtypeAttr(call), dimsAttr(call, 'shape', 2))],
    reference: ({ attrs, results }) => {
      const { dtype, shape } = results[0]!;
      const k = Number(attrs['k']);
      const out = allocate(dtype, shape);
      const write = writer(out);
      forEachIndex(shape, (index, position) => write(position, (index[1]! - index[0]!) === k ? 1 : 0));
      return [out];
    },
    define: ({ attrs, results }, b) => {
      const { exprs } = b;
      const y = results[0]!;
      const k = dimOf(exprs, attrs['k']!);
      b.compute(y, ([row, column]) => exprs.select(exprs.eq(exprs.sub(column!, row!), k), exprs.constant(1, y.dtype), exprs.constant(0, y.dtype)));
    },
    cost: ({ exprs }) => ({ flops: exprs.int(0) }),
    samples: () => [
      ...(['f32', 'i32', 'bool'] as const).map((dtype) => sample([], { shape: [3, 5], k: 1, dtype })),
      sample([], { shape: [4, 3], k: -2 }),
      sample([], { shape: [2, 0] }),
    ],
  },
};
