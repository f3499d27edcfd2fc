import type { HostTensor, TypedArray } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';

/** How the elements of a dtype lie in memory. */
interface ElementFormat {
  readonly bits: number;
  readonly array: (buffer: ArrayBuffer) => TypedArray;
}

const formats: { readonly [dtype: string]: ElementFormat } = {
  f64: { bits: 64, array: (b) => new Float64Array(b) },
  f32: { bits: 32, array: (b) => new Float32Array(b) },
  f16: { bits: 16, array: (b) => new Uint16Array(b) },
  bf16: { bits: 16, array: (b) => new Uint16Array(b) },
  f8e4m3fn: { bits: 8, array: (b) => new Uint8Array(b) },
  f8e5m2: { bits: 8, array: (b) => new Uint8Array(b) },
  i64: { bits: 64, array: (b) => new BigInt64Array(b) },
  i32: { bits: 32, array: (b) => new Int32Array(b) },
  i16: { bits: 16, array: (b) => new Int16Array(b) },
  i8: { bits: 8, array: (b) => new Int8Array(b) },
  i4: { bits: 4, array: (b) => new Uint8Array(b) },
  u64: { bits: 64, array: (b) => new BigUint64Array(b) },
  u32: { bits: 32, array: (b) => new Uint32Array(b) },
  u16: { bits: 16, array: (b) => new Uint16Array(b) },
  u8: { bits: 8, array: (b) => new Uint8Array(b) },
  u4: { bits: 4, array: (b) => new Uint8Array(b) },
  bool: { bits: 8, array: (b) => new Uint8Array(b) },
};

function format(dtype: string): ElementFormat {
  const found = Object.hasOwn(formats, dtype) ? formats[dtype] : undefined;
  if (!found) throw new TenonError({ code: 'onnx/unsupported-dtype', message: `the element type ${dtype} has no fixed size` });
  return found;
}

/** Bytes of `count` dense elements, rounded up to whole bytes. */
export function byteLength(dtype: string, count: number): number {
  return Math.ceil((count * format(dtype).bits) / 8);
}

/** Little-endian bytes as the typed array that host tensors of this dtype have (4-bit elements stay two to a byte). */
export function typedArray(dtype: string, bytes: Uint8Array): TypedArray {
  const copy = new Uint8Array(bytes.length);
  copy.set(bytes);
  return format(dtype).array(copy.buffer);
}

/** A float given by exponent and mantissa bits below the sign, with subnormals. `infinities`: IEEE's top exponent. */
function smallFloat(bits: number, width: number, exponentBits: number, infinities: boolean): number {
  const mantissaBits = width - 1 - exponentBits;
  const sign = bits >> (width - 1) ? -1 : 1;
  const exponent = (bits >> mantissaBits) & ((1 << exponentBits) - 1);
  const mantissa = bits & ((1 << mantissaBits) - 1);
  const bias = (1 << (exponentBits - 1)) - 1;
  const top = (1 << exponentBits) - 1;
  if (exponent === top && infinities) return mantissa ? NaN : sign * Infinity;
  if (exponent === top && mantissa === (1 << mantissaBits) - 1) return NaN;
  if (exponent === 0) return sign * mantissa * 2 ** (1 - bias - mantissaBits);
  return sign * (1 + mantissa * 2 ** -mantissaBits) * 2 ** (exponent - bias);
}

/** The elements of a tensor as numbers; 64-bit integers that are no safe integers as bigints. Not for strings. */
export function elements(tensor: HostTensor): readonly (number | bigint)[] {
  const { dtype, data } = tensor;
  const raw = data as TypedArray;
  switch (dtype) {
    case 'i64':
    case 'u64':
      return Array.from(raw as BigInt64Array, (v) => (v >= Number.MIN_SAFE_INTEGER && v <= Number.MAX_SAFE_INTEGER ? Number(v) : v));
    case 'bool':
      return Array.from(raw as Uint8Array, (v) => (v ? 1 : 0));
    case 'f16':
      return Array.from(raw as Uint16Array, (v) => smallFloat(v, 16, 5, true));
    case 'bf16':
      return Array.from(raw as Uint16Array, (v) => smallFloat(v, 16, 8, true));
    case 'f8e4m3fn':
      return Array.from(raw as Uint8Array, (v) => smallFloat(v, 8, 4, false));
    case 'f8e5m2':
      return Array.from(raw as Uint8Array, (v) => smallFloat(v, 8, 5, true));
    case 'i4':
    case 'u4': {
      const count = tensor.shape.reduce((a, b) => a * b, 1);
      return Array.from({ length: count }, (_, i) => {
        const nibble = ((raw as Uint8Array)[i >> 1]! >> (4 * (i & 1))) & 15;
        return dtype === 'i4' && nibble > 7 ? nibble - 16 : nibble;
      });
    }
    default:
      return Array.from(raw as Float32Array);
  }
}
