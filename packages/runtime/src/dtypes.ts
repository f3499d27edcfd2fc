import type { TypedArray } from '@tenon/plugin';

/** How the elements of a dtype lie in host memory. */
export interface HostLayout {
  /** A typed array over memory: bytes 0 … `length` − 1 elements of the array, not of the tensor. */
  readonly view: (buffer: ArrayBufferLike, byteOffset: number, length: number) => TypedArray;
  /** Its name, for messages. */
  readonly array: string;
  readonly itemBytes: number;
  /** Tensor elements per array element: 2 for 4-bit types. */
  readonly packed: number;
  readonly kind: 'float' | 'int' | 'bool' | 'bits';
}

/** How a dtype is held; null for those that only a plugin knows (quantised blocks), which are bytes. */
export function hostLayout(dtype: string): HostLayout | null {
  switch (dtype) {
    case 'f64': return layout('Float64Array', 8, 'float', (b, o, n) => new Float64Array(b, o, n));
    case 'f32': return layout('Float32Array', 4, 'float', (b, o, n) => new Float32Array(b, o, n));
    case 'f16': case 'bf16': return layout('Uint16Array', 2, 'bits', (b, o, n) => new Uint16Array(b, o, n));
    case 'f8e4m3fn': case 'f8e5m2': return layout('Uint8Array', 1, 'bits', (b, o, n) => new Uint8Array(b, o, n));
    case 'i64': return layout('BigInt64Array', 8, 'int', (b, o, n) => new BigInt64Array(b, o, n));
    case 'i32': return layout('Int32Array', 4, 'int', (b, o, n) => new Int32Array(b, o, n));
    case 'i16': return layout('Int16Array', 2, 'int', (b, o, n) => new Int16Array(b, o, n));
    case 'i8': return layout('Int8Array', 1, 'int', (b, o, n) => new Int8Array(b, o, n));
    case 'u64': return layout('BigUint64Array', 8, 'int', (b, o, n) => new BigUint64Array(b, o, n));
    case 'u32': return layout('Uint32Array', 4, 'int', (b, o, n) => new Uint32Array(b, o, n));
    case 'u16': return layout('Uint16Array', 2, 'int', (b, o, n) => new Uint16Array(b, o, n));
    case 'u8': return layout('Uint8Array', 1, 'int', (b, o, n) => new Uint8Array(b, o, n));
    case 'bool': return layout('Uint8Array', 1, 'bool', (b, o, n) => new Uint8Array(b, o, n));
    case 'i4': case 'u4': return { ...layout('Uint8Array', 1, 'bits', (b, o, n) => new Uint8Array(b, o, n)), packed: 2 };
    default: return null;
  }
}

const layout = (array: string, itemBytes: number, kind: HostLayout['kind'], view: HostLayout['view']): HostLayout => ({ array, itemBytes, kind, view, packed: 1 });

/** Bytes of `count` elements; null where only a plugin knows. */
export function denseBytes(dtype: string, count: number): number | null {
  const known = hostLayout(dtype);
  return known && Math.ceil(count / known.packed) * known.itemBytes;
}

/** Bytes as elements of a dtype. The byte offset must suit the dtype. */
export function elementsOf(dtype: string, bytes: Uint8Array): TypedArray {
  const known = hostLayout(dtype);
  return known ? known.view(bytes.buffer, bytes.byteOffset, bytes.byteLength / known.itemBytes) : bytes;
}

export const countOf = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1);

/** The class of a typed array, also of another realm. */
export const arrayName = (data: ArrayBufferView): string => Object.prototype.toString.call(data).slice(8, -1);

/** The dtype that a typed array has where nothing else is said. */
export function dtypeOfArray(array: string): string | null {
  switch (array) {
    case 'Float64Array': return 'f64';
    case 'Float32Array': return 'f32';
    case 'Float16Array': return 'f16';
    case 'BigInt64Array': return 'i64';
    case 'Int32Array': return 'i32';
    case 'Int16Array': return 'i16';
    case 'Int8Array': return 'i8';
    case 'BigUint64Array': return 'u64';
    case 'Uint32Array': return 'u32';
    case 'Uint16Array': return 'u16';
    case 'Uint8Array': case 'Uint8ClampedArray': return 'u8';
    default: return null;
  }
}
