import type { HostTensor, TypedArray } from '@tenon/plugin';
import { bitsOf, is64Bit, isFloat, isInteger, isSigned } from './dtypes.ts';
import { decodeFloat, encodeFloat } from './small-floats.ts';

/** A dense tensor of numbers (not strings) that may be written. */
export interface NumericTensor extends HostTensor {
  readonly data: TypedArray;
}

type ArrayConstructor = new (length: number) => TypedArray;

/** The typed array that holds elements of a dtype; see `HostTensor`. */
export function arrayConstructor(dtype: string): ArrayConstructor {
  switch (dtype) {
    case 'f64': return Float64Array;
    case 'f32': return Float32Array;
    case 'f16': case 'bf16': case 'u16': return Uint16Array;
    case 'i64': return BigInt64Array;
    case 'u64': return BigUint64Array;
    case 'i32': return Int32Array;
    case 'u32': return Uint32Array;
    case 'i16': return Int16Array;
    case 'i8': case 'i4': return Int8Array;
    case 'u8': case 'u4': case 'bool': case 'f8e4m3fn': case 'f8e5m2': return Uint8Array;
    default: throw new RangeError(`dtype ${dtype} has no typed array`);
  }
}

/** The number of elements of a shape; 1 for rank 0. */
export const elementCount = (shape: readonly number[]): number => shape.reduce((n, d) => n * d, 1);

/** Row-major element strides. */
export function strides(shape: readonly number[]): number[] {
  const result = Array.from({ length: shape.length }, () => 0);
  for (let axis = shape.length - 1, stride = 1; axis >= 0; axis--) {
    result[axis] = stride;
    stride *= shape[axis]!;
  }
  return result;
}

/** A tensor of zeros. */
export function allocate(dtype: string, shape: readonly number[]): NumericTensor {
  return { dtype, shape: [...shape], data: new (arrayConstructor(dtype))(elementCount(shape)) };
}

/** A tensor from numbers, each rounded to the dtype. */
export function hostTensor(dtype: string, shape: readonly number[], values: ArrayLike<number | bigint>): NumericTensor {
  const tensor = allocate(dtype, shape);
  if (is64Bit(dtype)) for (let i = 0; i < values.length; i++) tensor.data[i] = BigInt(values[i]!);
  else {
    const write = writer(tensor);
    for (let i = 0; i < values.length; i++) write(i, Number(values[i]!));
  }
  return tensor;
}

/** Element i as a number; 64-bit integers lose precision beyond 2^53 (see {@link bigReader}). */
export function reader(tensor: HostTensor): (i: number) => number {
  const data = tensor.data as TypedArray;
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) return (i) => Number(data[i]);
  if (isFloat(tensor.dtype) && bitsOf(tensor.dtype) < 32) return (i) => decodeFloat(tensor.dtype, data[i] as number);
  return (i) => data[i] as number;
}

/** Element i of an integer or bool tensor as a bigint. */
export function bigReader(tensor: HostTensor): (i: number) => bigint {
  const data = tensor.data as TypedArray;
  return (i) => BigInt(data[i]!);
}

/** All elements as numbers, decoded. */
export function numbers(tensor: HostTensor): Float64Array {
  const read = reader(tensor);
  return Float64Array.from({ length: tensor.data.length }, (_, i) => read(i));
}

/**
 * Writes numbers, rounded once to the dtype: floats to nearest even, 64-bit integers from safe integers, other integers
 * wrap, bool is 0 or 1.
 */
export function writer(tensor: NumericTensor): (i: number, value: number) => void {
  const { data, dtype } = tensor;
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) return (i, value) => void (data[i] = BigInt(value));
  if (dtype === 'bool') return (i, value) => void (data[i] = value ? 1 : 0);
  if (isFloat(dtype) && bitsOf(dtype) < 32) return (i, value) => void (data[i] = encodeFloat(dtype, value));
  if (dtype === 'i4' || dtype === 'u4') return (i, value) => void (data[i] = Number(wrapBigInt(BigInt(value), dtype)));
  return (i, value) => void (data[i] = value);
}

/** Writes bigints, wrapped to an integer dtype. */
export function bigWriter(tensor: NumericTensor): (i: number, value: bigint) => void {
  const { data, dtype } = tensor;
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) return (i, value) => void (data[i] = value);
  return (i, value) => void (data[i] = Number(wrapBigInt(value, dtype)));
}

export const wrapBigInt = (value: bigint, dtype: string): bigint =>
  isSigned(dtype) ? BigInt.asIntN(bitsOf(dtype), value) : BigInt.asUintN(bitsOf(dtype), value);

/** The value of a dtype nearest to x. */
export function roundTo(dtype: string, x: number): number {
  if (dtype === 'f64') return x;
  if (dtype === 'f32') return Math.fround(x);
  if (isFloat(dtype)) return decodeFloat(dtype, encodeFloat(dtype, x));
  if (dtype === 'bool') return x ? 1 : 0;
  if (isInteger(dtype)) return Number(wrapBigInt(BigInt(Math.trunc(x)), dtype));
  throw new RangeError(`dtype ${dtype} is no number`);
}

/** Calls `fn` with every index of a shape, row-major. The array is reused. */
export function forEachIndex(shape: readonly number[], fn: (index: readonly number[], position: number) => void): void {
  const count = elementCount(shape);
  const index = Array.from({ length: shape.length }, () => 0);
  for (let i = 0; i < count; i++) {
    fn(index, i);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      if (++index[axis]! < shape[axis]!) break;
      index[axis] = 0;
    }
  }
}
