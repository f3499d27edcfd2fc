import { TenonError, type HostTensor } from 'tenon';
import type { TypedArray } from 'tenon/tools';

/** Made-up contents: `random` (floats in −1 … 1, integers and booleans 0 or 1), `zeros`, `ones`, `iota`, or a number everywhere. */
export type Fill = 'random' | 'zeros' | 'ones' | 'iota' | number;

export function parseFill(text: string): Fill | null {
  if (text === 'random' || text === 'zeros' || text === 'ones' || text === 'iota') return text;
  return /^-?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text) ? Number(text) : null;
}

/** A tensor with made-up contents; the same seed gives the same. Throws `usage/input` for dtypes that cannot be made up. */
export function filledTensor(dtype: string, shape: readonly number[], fill: Fill, seed: number): HostTensor {
  const count = shape.reduce((product, n) => product * n, 1);
  const float = /^(f|bf)/.test(dtype);
  const random = generator(seed);
  const value = (i: number): number => {
    if (typeof fill === 'number') return fill;
    if (fill === 'zeros') return 0;
    if (fill === 'ones') return 1;
    if (fill === 'iota') return i;
    return float ? random() * 2 - 1 : random() < 0.5 ? 0 : 1;
  };
  const data = arrayOf(dtype, count, value);
  if (data === null) throw new TenonError({ code: 'usage/input', message: `tensors of ${dtype} cannot be made up`, hint: 'give a .pb file' });
  return { dtype, shape, data };
}

function arrayOf(dtype: string, count: number, value: (i: number) => number): TypedArray | null {
  const each = <T extends TypedArray>(array: T, convert: (v: number) => T[number]): T => {
    for (let i = 0; i < count; i++) array[i] = convert(value(i)) as never;
    return array;
  };
  const number = (v: number): number => v;
  const big = (v: number): bigint => BigInt(Math.trunc(v));
  switch (dtype) {
    case 'f64': return each(new Float64Array(count), number);
    case 'f32': return each(new Float32Array(count), number);
    case 'f16': return each(new Uint16Array(count), halfBits);
    case 'bf16': return each(new Uint16Array(count), (v) => floatBits(v) >>> 16);
    case 'i64': return each(new BigInt64Array(count), big);
    case 'u64': return each(new BigUint64Array(count), big);
    case 'i32': return each(new Int32Array(count), number);
    case 'i16': return each(new Int16Array(count), number);
    case 'i8': return each(new Int8Array(count), number);
    case 'u32': return each(new Uint32Array(count), number);
    case 'u16': return each(new Uint16Array(count), number);
    case 'u8': return each(new Uint8Array(count), number);
    case 'bool': return each(new Uint8Array(count), (v) => Number(v !== 0));
    default: return null;
  }
}

/** mulberry32: small, seeded, the same everywhere. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function floatBits(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0]!;
}

/** Bits of the half float nearest to a number, ties to even. */
export function halfBits(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (magnitude >= 65520) return sign | 0x7c00;
  const exponent = Math.max(-14, Math.floor(Math.log2(magnitude || 2 ** -30)));
  const steps = magnitude / 2 ** (exponent - 10);
  let rounded = Math.round(steps);
  if (rounded - steps === 0.5 && rounded % 2 === 1) rounded--;
  // A carry out of the mantissa moves into the exponent by itself.
  return sign | (exponent === -14 ? rounded : ((exponent + 14) << 10) + rounded);
}

export function halfValue(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const mantissa = bits & 1023;
  if (exponent === 31) return mantissa === 0 ? sign * Infinity : NaN;
  return sign * (exponent === 0 ? mantissa * 2 ** -24 : (1024 + mantissa) * 2 ** (exponent - 25));
}
