import type { Value } from '@tenon/plugin';
import { scalarConstant, type Conversion, type ConverterTable } from '../convert.ts';

const isFloat = (dtype: string): boolean => /^(f|bf)\d/.test(dtype);

/** A value times a constant of the value's dtype. */
export function scaled(c: Conversion, value: Value, factor: number): Value {
  if (factor === 1) return value;
  const type = value.type.kind === 'tensor' ? value.type : c.unsupported('onnx/unsupported-type', 'only tensors can be scaled');
  if (!isFloat(type.dtype) && !Number.isInteger(factor))
    c.unsupported('onnx/unsupported-attribute', `a factor of ${factor} for the integer type ${type.dtype} is not supported`);
  return c.b.call('math.mul', [value, scalarConstant(c, factor, type.dtype)]);
}

/** With the last two axes exchanged. */
export function transposed(c: Conversion, value: Value): Value {
  const rank = value.type.kind === 'tensor' ? value.type.shape.length : 0;
  if (rank < 2) c.unsupported('onnx/unsupported-rank', `a tensor of rank ${rank} has no rows and columns`);
  const perm = Array.from({ length: rank }, (_, i) => (i < rank - 2 ? i : 2 * rank - 3 - i));
  return c.b.call('shape.transpose', [value], { perm });
}

function gemm(c: Conversion): readonly Value[] {
  for (const i of [0, 1]) {
    const rank = c.tensor(i).shape.length;
    if (rank !== 2) c.unsupported('onnx/unsupported-rank', `input ${i} must be a matrix, not of rank ${rank}`);
  }
  const a = c.int('transA', 0) ? transposed(c, c.input(0)) : c.input(0);
  const b = c.int('transB', 0) ? transposed(c, c.input(1)) : c.input(1);
  const product = scaled(c, c.b.call('nn.matmul', [a, b]), c.float('alpha', 1));
  const beta = c.float('beta', 1);
  const addend = c.optional(2);
  // With beta 0 the addend is not read: its NaN and infinities do not matter.
  if (!addend || beta === 0) return [product];
  return [c.b.call('math.add', [product, scaled(c, addend, beta)])];
}

/** Integer operands as i32 less their zero points. `zeroPointAxis`: how a vector of zero points lies along the operand. */
export function withoutZeroPoint(c: Conversion, input: number, zeroPoint: number, shapeOfVector: (rank: number, size: number) => readonly number[]): Value {
  const value = c.b.call('math.cast', [c.input(input)], { to: 'i32' });
  const zero = c.optional(zeroPoint);
  if (!zero) return value;
  const { shape } = c.tensor(zeroPoint);
  let offset = c.b.call('math.cast', [zero], { to: 'i32' });
  if (shape.length === 1) {
    const size = c.exprs.valueOf(shape[0]!);
    if (size === null) c.unsupported('onnx/unsupported-shape', 'the number of zero points must be constant');
    offset = c.b.call('shape.reshape', [offset], { shape: size === 1 ? [] : shapeOfVector(c.tensor(input).shape.length, size) });
  }
  return c.b.call('math.sub', [value, offset]);
}

function matMulInteger(c: Conversion): readonly Value[] {
  const a = withoutZeroPoint(c, 0, 2, (_, size) => [size, 1]);
  const b = withoutZeroPoint(c, 1, 3, (_, size) => [size]);
  return [c.b.call('nn.matmul', [a, b])];
}

/** com.microsoft: batched product with optional transpositions and a factor. */
function fusedMatMul(c: Conversion): readonly Value[] {
  if (c.int('transBatchA', 0) || c.int('transBatchB', 0)) c.unsupported('onnx/unsupported-attribute', 'transBatchA and transBatchB are not supported');
  const a = c.int('transA', 0) ? transposed(c, c.input(0)) : c.input(0);
  const b = c.int('transB', 0) ? transposed(c, c.input(1)) : c.input(1);
  return [scaled(c, c.b.call('nn.matmul', [a, b]), c.float('alpha', 1))];
}

export const converters: ConverterTable = {
  MatMul: { since: 1, convert: (c) => [c.b.call('nn.matmul', [c.input(0), c.input(1)])] },
  Gemm: { since: 7, convert: gemm },
  Det: { since: 11, convert: (c) => [c.b.call('nn.det', [c.input(0)])] },
  MatMulInteger: { since: 10, convert: matMulInteger },
  'com.microsoft::FusedMatMul': { since: 1, convert: fusedMatMul },
};
