import type { Data } from './harness.ts';

/** Elements of a dtype as numbers (bigints for 64-bit integers), and back. */
export interface Codec {
  readonly array: (length: number) => Data;
  readonly encode: (value: number | bigint) => number | bigint;
  readonly decode: (stored: number | bigint) => number | bigint;
}
const same = (v: number | bigint): number | bigint => v;
const codec = (array: (n: number) => Data, encode: Codec['encode'] = Number, decode: Codec['decode'] = same): Codec => ({ array, encode, decode });

export const codecs: { readonly [dtype: string]: Codec } = {
  f64: codec((n) => new Float64Array(n)),
  f32: codec((n) => new Float32Array(n)),
  i64: codec((n) => new BigInt64Array(n), (v) => BigInt(v)),
  u64: codec((n) => new BigUint64Array(n), (v) => BigInt(v)),
  i32: codec((n) => new Int32Array(n)), u32: codec((n) => new Uint32Array(n)),
  i16: codec((n) => new Int16Array(n)), u16: codec((n) => new Uint16Array(n)),
  i8: codec((n) => new Int8Array(n)), u8: codec((n) => new Uint8Array(n)),
  bool: codec((n) => new Uint8Array(n), (v) => (Number(v) === 0 ? 0 : 1)),
  f16: codec((n) => new Uint16Array(n), (v) => halfBits(Number(v), 10, 5), (b) => halfValue(Number(b), 10, 5)),
  bf16: codec((n) => new Uint16Array(n), (v) => halfBits(Number(v), 7, 8), (b) => halfValue(Number(b), 7, 8)),
};

/** A float of 1 + exponent + fraction bits, as its value. */
function halfValue(bits: number, fraction: number, exponent: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const e = (bits >> fraction) & (2 ** exponent - 1);
  const f = bits & (2 ** fraction - 1);
  const bias = 2 ** (exponent - 1) - 1;
  if (e === 2 ** exponent - 1) return f === 0 ? sign * Infinity : NaN;
  return sign * (e === 0 ? f * 2 ** (1 - bias - fraction) : (1 + f / 2 ** fraction) * 2 ** (e - bias));
}

/** The nearest such float, ties to even. */
function halfBits(value: number, fraction: number, exponent: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const bias = 2 ** (exponent - 1) - 1;
  const top = (2 ** exponent - 1) << fraction;
  if (Number.isNaN(value)) return top | (1 << (fraction - 1));
  const a = Math.abs(value);
  if (a === Infinity) return sign | top;
  const e = Math.max(1 - bias, Math.min(bias + 1, Math.floor(Math.log2(a || 2 ** -2000))));
  const scaled = a / 2 ** (e - fraction);
  let rounded = Math.floor(scaled);
  const rest = scaled - rounded;
  if (rest > 0.5 || (rest === 0.5 && rounded % 2 === 1)) rounded++;
  const normal = (e + bias - 1) * 2 ** fraction + rounded; // The hidden bit carries into the exponent.
  return sign | Math.min(normal, top);
}

export function round(dtype: string, value: number): number {
  const c = codecs[dtype]!;
  const one = c.array(1);
  one[0] = c.encode(value) as never;
  return Number(c.decode(one[0]!));
}

export function wrap(dtype: string, value: bigint): bigint {
  const bits = Number(dtype.slice(1));
  return dtype.startsWith('u') ? BigInt.asUintN(bits, value) : BigInt.asIntN(bits, value);
}

export function fill(dtype: string, values: readonly (number | bigint)[]): Data {
  const c = codecs[dtype]!;
  const data = c.array(values.length);
  values.forEach((v, i) => (data[i] = c.encode(v) as never));
  return data;
}

export function decoded(dtype: string, data: Data): (number | bigint)[] {
  return Array.from(data as ArrayLike<number | bigint>, codecs[dtype]!.decode);
}
