/** Random tensors, and how two of them agree. */
import type { HostTensor, TypedArray } from '@tenon/plugin';
import { arrayFor, zeros } from '@tenon/interp';

/** Pseudo-random numbers in 0 … 1 (mulberry32): the same everywhere for a seed. */
export function generator(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
export const pick = <T>(random: () => number, from: readonly T[]): T => from[Math.floor(random() * from.length)]!;

export const isFloat = (dtype: string): boolean => /^(f|bf)\d/.test(dtype);
export const isInteger = (dtype: string): boolean => /^[iu]\d/.test(dtype);

/**
 * What elements look like. `mixed`: positive, negative and zero, some of them halfway between integers; `large`: far from zero; `small`: near
 * zero; `equal`: all alike; `infinite`: as mixed, with infinities; `nan`: as mixed, with NaN.
 */
export type Regime = 'mixed' | 'large' | 'small' | 'equal' | 'infinite' | 'nan';

function integerRange(dtype: string): readonly [number, number] {
  const bits = Number(dtype.slice(1));
  if (dtype === 'bool') return [0, 1];
  return dtype.startsWith('u') ? [0, 2 ** bits - 1] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
}

/** A tensor drawn from a regime, or from a range where elements must lie in one. */
export function randomTensor(random: () => number, dtype: string, shape: readonly number[], regime: Regime, range: readonly [number, number] | null = null): HostTensor & { readonly data: TypedArray } {
  const tensor = zeros(dtype, shape);
  const { data } = tensor;
  const [lowest, highest] = integerRange(isFloat(dtype) ? 'i8' : dtype);
  const within = ([min, max]: readonly [number, number]): number => (isFloat(dtype) ? min + (max - min) * random() : min + Math.floor((max - min + 1) * random()));
  // Integers of both signs alike are kept small for people to read. Other ranges are what an operator is defined for, such as indices.
  const readable = range !== null && isInteger(dtype) && range[0] === -range[1];
  const draw = (): number => {
    if (range !== null && !(regime === 'large' && readable)) return within(range);
    if (isFloat(dtype)) {
      switch (regime) {
        case 'mixed': {
          const kind = random();
          return kind < 0.1 ? 0 : kind < 0.2 ? Math.floor(within([-4, 4])) + 0.5 : within([-2, 2]);
        }
        case 'infinite': return random() < 0.1 ? (random() < 0.5 ? Infinity : -Infinity) : within([-2, 2]);
        case 'nan': return random() < 0.1 ? NaN : within([-2, 2]);
        // Beyond what e^x has room for in 32 bits; narrower types accumulate out of their range sooner.
        case 'large': return within(dtype === 'f32' || dtype === 'f64' ? [-200, 200] : [-20, 20]);
        case 'small': return within([-1e-3, 1e-3]);
        case 'equal': return 0.5;
      }
    }
    switch (regime) {
      case 'mixed':
      case 'infinite':
      case 'nan': return within([Math.max(lowest, -5), Math.min(highest, 5)]);
      case 'large': return within([lowest, highest]);
      case 'small': return within([Math.max(lowest, -1), Math.min(highest, 1)]);
      case 'equal': return Math.min(highest, 1);
    }
  };
  const equal = regime === 'equal' ? draw() : null;
  for (let i = 0; i < data.length; i++) store(tensor, i, equal ?? draw());
  return tensor;
}

/** Writes an element, given as a number. */
export function store({ dtype, data }: HostTensor & { readonly data: TypedArray }, i: number, value: number): void {
  if (dtype === 'f16') data[i] = toHalf(value);
  else if (dtype === 'bf16') data[i] = new Uint32Array(Float32Array.of(value).buffer)[0]! >>> 16;
  else if (/^[iu]64$/.test(dtype)) data[i] = BigInt(Math.trunc(value));
  else data[i] = value;
}

function toHalf(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.min(Math.abs(value), 65504);
  if (magnitude < 2 ** -24) return sign;
  const exponent = Math.max(-14, Math.floor(Math.log2(magnitude)));
  const fraction = Math.round((magnitude / 2 ** exponent - (exponent === -14 && magnitude < 2 ** -14 ? 0 : 1)) * 1024);
  return sign | ((magnitude < 2 ** -14 ? 0 : exponent + 15) << 10) + fraction;
}

function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

/** Elements as numbers (64-bit integers as they are). */
export function numbersOf(tensor: HostTensor): ArrayLike<number | bigint> {
  if (tensor.dtype === 'f16') return Float64Array.from(tensor.data as Uint16Array, halfToNumber);
  if (tensor.dtype === 'bf16') return new Float32Array(Uint32Array.from(tensor.data as Uint16Array, (bits) => bits << 16).buffer);
  return tensor.data as ArrayLike<number | bigint>;
}

const describeType = (t: { readonly dtype: string; readonly shape: readonly number[] }): string => `${t.dtype}[${t.shape.join(', ')}]`;

/** The position of an element, per axis. */
function positionOf(index: number, shape: readonly number[]): string {
  const at: number[] = [];
  let rest = index;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    at.unshift(rest % shape[axis]!);
    rest = Math.floor(rest / shape[axis]!);
  }
  return `[${at.join(', ')}]`;
}

/**
 * What keeps `got` from being `want`, or null. Floats may deviate by `tolerance` times the largest element, or times
 * `scale` where that is larger; integers and booleans must be equal.
 */
export function difference(got: HostTensor, want: HostTensor, tolerance: number, scale: number): string | null {
  if (got.dtype !== want.dtype || got.shape.length !== want.shape.length || !got.shape.every((d, i) => d === want.shape[i])) {
    return `it is ${describeType(got)}, not ${describeType(want)}`;
  }
  const [a, b] = [numbersOf(got), numbersOf(want)];
  if (a.length !== b.length) return `it has ${a.length} elements, not ${b.length}`;
  const exact = !isFloat(want.dtype);
  let largest = scale;
  if (!exact) for (let i = 0; i < b.length; i++) if (Number.isFinite(b[i])) largest = Math.max(largest, Math.abs(b[i] as number));
  let wrong = 0;
  let worst = -1;
  let worstBy = -1;
  for (let i = 0; i < b.length; i++) {
    const [x, y] = [a[i]!, b[i]!];
    if (x === y || (Number.isNaN(x) && Number.isNaN(y))) continue;
    const by = exact || !Number.isFinite(x) || !Number.isFinite(y) ? Infinity : Math.abs((x as number) - (y as number));
    if (by <= tolerance * largest) continue;
    wrong++;
    if (by > worstBy) [worst, worstBy] = [i, by];
  }
  return wrong === 0 ? null : `${wrong} of ${b.length} elements are wrong: at ${positionOf(worst, want.shape)} it is ${String(a[worst])}, not ${String(b[worst])}`;
}

export const countOf = (shape: readonly number[]): number => shape.reduce((n, d) => n * d, 1);
export const tensorBytes = (dtype: string, shape: readonly number[]): number => countOf(shape) * arrayFor(dtype).BYTES_PER_ELEMENT;
