import type { HostTensor, InferCall, Operator, TypedArray } from '@tenon/plugin';
import { bitsOf, integerRange, isFloat, isInteger, isNumeric } from '../common/dtypes.ts';
import { allocate, arrayConstructor, bigReader, bigWriter, reader, writer } from '../common/host-tensor.ts';
import { arg, given, oddShapes, sample } from '../common/samples.ts';
import { saturate } from './functions.ts';
import { asDim, pointwise } from './pointwise.ts';

const isElement = (dtype: unknown): dtype is string => typeof dtype === 'string' && (dtype === 'bool' || (isNumeric(dtype) && bitsOf(dtype) > 0));

function target(call: InferCall): string {
  const { to } = call.attrs;
  if (!isElement(to)) call.fail('attribute', `to must be a numeric dtype or bool, not ${String(to)}`);
  if (!isElement(call.tensor(0).dtype)) call.fail('dtype', `${call.tensor(0).dtype} cannot be converted`);
  return to;
}

function convert(x: HostTensor, to: string, shape: readonly number[]): HostTensor {
  const out = allocate(to, shape);
  const count = out.data.length;
  const fromInteger = isInteger(x.dtype) || x.dtype === 'bool';
  if (isInteger(to)) {
    const write = bigWriter(out);
    if (fromInteger) {
      const read = bigReader(x);
      for (let i = 0; i < count; i++) write(i, read(i));
    } else {
      const read = reader(x);
      const { min, max } = integerRange(to);
      for (let i = 0; i < count; i++) write(i, saturate(read(i), min, max));
    }
    return out;
  }
  const read = reader(x);
  const write = writer(out);
  for (let i = 0; i < count; i++) write(i, to === 'bool' ? Number(read(i) !== 0) : read(i));
  return out;
}

const dtypes = ['f32', 'f64', 'i8', 'i16', 'i32', 'i64', 'u8', 'u16', 'u32', 'u64', 'bool'];
const edge = [0, -0, 0.5, -0.5, 1.5, -1.9, 127.5, 300, -300, 70000, 3e9, -3e9, 1e10, 1e20, -1e20, Infinity, -Infinity, NaN];

const asPointwise = pointwise({
  name: 'math.cast',
  doc: 'x in the dtype `to` (required). To a float: rounds to nearest even. Float to integer: truncates toward zero and saturates, NaN gives 0. '
    + 'Integer to integer: wraps. To bool: whether x ≠ 0 (NaN is true). From bool: 0 or 1.',
  params: ['x'],
  attrs: { to: null },
  dtype: target,
  scalar: (e, [x], { to }) => {
    if (to === 'bool') return x!.dtype === 'bool' ? x! : e.ne(x!, e.constant(0, x!.dtype));
    return e.cast(x!, to as string);
  },
  dim: (e, [x], { to }) => (to === 'bool' ? asDim(e, e.ne(x!, 0)) : x!),
  samples: () => [
    ...dtypes.flatMap((from) => dtypes.map((to) => sample([arg([9], from, from === 'bool' ? [0, 1] : from.startsWith('u') ? [0, 250] : [-120, 120])], { to }))),
    ...oddShapes.map((shape) => sample([arg(shape)], { to: 'i32' })),
    ...dtypes.flatMap((to) => [sample([given(edge)], { to }), sample([given(edge, 'f64')], { to }), sample([given([-(2n ** 63n), 2n ** 63n - 1n, -1n, 0n, 2n ** 32n + 5n], 'i64')], { to })]),
  ],
});
const cast: Operator = {
  ...asPointwise,
  facets: { ...asPointwise.facets, reference: (call) => [convert(call.args[0]!, call.attrs['to'] as string, call.results[0]!.shape)] },
};

const bitcast: Operator = {
  name: 'math.bitcast',
  doc: 'The bits of each element of x read as the dtype `to` (required), which must be as wide; not from or to bool.',
  signature: { params: ['x'], attrs: { to: null }, results: ['out'] },
  facets: {
    infer: (call) => {
      const to = target(call);
      const { dtype, shape } = call.tensor(0);
      if (bitsOf(to) !== bitsOf(dtype) || to === 'bool' || dtype === 'bool') call.fail('dtype', `the bits of ${dtype} cannot be read as ${to}`);
      return [{ kind: 'tensor', dtype: to, shape, annotations: {} }];
    },
    reference: (call) => {
      const [x] = call.args as [HostTensor];
      const to = call.attrs['to'] as string;
      const from = x.data as TypedArray;
      const bytes = new Uint8Array(from.buffer, from.byteOffset, from.byteLength).slice();
      const View = arrayConstructor(to) as unknown as new (buffer: ArrayBuffer) => TypedArray;
      return [{ dtype: to, shape: x.shape, data: new View(bytes.buffer) }];
    },
    define: (call, b) => b.compute(call.results[0]!, (i) => b.exprs.call('bitcast', [b.load(call.args[0]!, i)], call.attrs['to'] as string)),
    cost: (call) => ({ flops: call.exprs.int(0) }),
    view: true,
    samples: () => {
      const classes = [['f32', 'i32', 'u32'], ['f64', 'i64', 'u64'], ['i16', 'u16'], ['i8', 'u8']];
      return [
        ...classes.flatMap((group) => group.flatMap((from) => group.map((to) => sample([arg([7], from, isFloat(from) || from.startsWith('i') ? [-100, 100] : [0, 100])], { to })))),
        ...oddShapes.map((shape) => sample([arg(shape)], { to: 'i32' })),
        sample([given([0, -0, 1, Infinity, -Infinity])], { to: 'u32' }),
      ];
    },
  },
};

export const operators: readonly Operator[] = [cast, bitcast];
