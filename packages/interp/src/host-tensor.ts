import { TenonError, type HostTensor, type TypedArray } from '@tenon/plugin';

type Constructor = new (buffer: ArrayBufferLike, offset: number, length: number) => TypedArray;
const arrays: { readonly [dtype: string]: Constructor & { readonly BYTES_PER_ELEMENT: number } } = {
  f64: Float64Array, f32: Float32Array, f16: Uint16Array, bf16: Uint16Array,
  i64: BigInt64Array, i32: Int32Array, i16: Int16Array, i8: Int8Array,
  u64: BigUint64Array, u32: Uint32Array, u16: Uint16Array, u8: Uint8Array, bool: Uint8Array,
};

/** The typed array that holds a dtype in host memory. */
export function arrayFor(dtype: string): Constructor & { readonly BYTES_PER_ELEMENT: number } {
  const array = arrays[dtype];
  if (array === undefined) throw new TenonError({ code: 'interp/dtype', message: `tensors of ${dtype} cannot be evaluated` });
  return array;
}

/** A zero-filled tensor. */
export function zeros(dtype: string, shape: readonly number[]): HostTensor & { readonly data: TypedArray } {
  const length = shape.reduce((a, b) => a * b, 1);
  const array = arrayFor(dtype);
  return { dtype, shape, data: new array(new ArrayBuffer(length * array.BYTES_PER_ELEMENT), 0, length) };
}

/** A tensor from little-endian bytes; copies where the bytes are not aligned. */
export function fromBytes(dtype: string, shape: readonly number[], bytes: Uint8Array): HostTensor & { readonly data: TypedArray } {
  const length = shape.reduce((a, b) => a * b, 1);
  const array = arrayFor(dtype);
  const aligned = bytes.byteOffset % array.BYTES_PER_ELEMENT === 0 ? bytes : bytes.slice();
  return { dtype, shape, data: new array(aligned.buffer, aligned.byteOffset, length) };
}

/** The bytes of a tensor, without a copy. */
export function bytesOf(tensor: HostTensor): Uint8Array {
  if (!ArrayBuffer.isView(tensor.data)) throw new TenonError({ code: 'interp/dtype', message: 'string tensors have no bytes' });
  return new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength);
}
