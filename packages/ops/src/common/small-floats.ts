/**
 * Bit patterns of the floating-point formats below 32 bits: IEEE binary16 (`f16`), bfloat16 (`bf16`) and the 8-bit formats
 * of the OCP specification (`f8e4m3fn`: no infinity, one NaN per sign; `f8e5m2`: as IEEE).
 */
interface Format {
  readonly exponent: number;
  readonly mantissa: number;
  readonly bias: number;
  /** Whether the highest exponent is kept for infinity and NaN. */
  readonly infinity: boolean;
}
const formats: { readonly [dtype: string]: Format } = {
  f16: { exponent: 5, mantissa: 10, bias: 15, infinity: true },
  bf16: { exponent: 8, mantissa: 7, bias: 127, infinity: true },
  f8e4m3fn: { exponent: 4, mantissa: 3, bias: 7, infinity: false },
  f8e5m2: { exponent: 5, mantissa: 2, bias: 15, infinity: true },
};

function format(dtype: string): Format {
  const found = formats[dtype];
  if (found === undefined) throw new RangeError(`dtype ${dtype} is no small floating-point format`);
  return found;
}

export function decodeFloat(dtype: string, bits: number): number {
  const { exponent: e, mantissa: m, bias, infinity } = format(dtype);
  const sign = (bits >>> (e + m)) & 1 ? -1 : 1;
  const exponent = (bits >>> m) & ((1 << e) - 1);
  const mantissa = bits & ((1 << m) - 1);
  const top = (1 << e) - 1;
  if (exponent === top) {
    if (infinity) return mantissa === 0 ? sign * Infinity : NaN;
    if (mantissa === (1 << m) - 1) return NaN;
  }
  if (exponent === 0) return sign * mantissa * 2 ** (1 - bias - m);
  return sign * (1 + mantissa * 2 ** -m) * 2 ** (exponent - bias);
}

/** Rounds to nearest, ties to even. Beyond the range: infinity, or NaN in formats without it. */
export function encodeFloat(dtype: string, value: number): number {
  const { exponent: e, mantissa: m, bias, infinity } = format(dtype);
  const sign = value < 0 || Object.is(value, -0) ? 1 << (e + m) : 0;
  const top = ((1 << e) - 1) << m;
  const nan = infinity ? top | (1 << (m - 1)) : top | ((1 << m) - 1);
  if (Number.isNaN(value)) return sign | nan;
  const magnitude = Math.abs(value);
  const overflow = infinity ? top : nan;
  if (magnitude === Infinity) return sign | overflow;
  if (magnitude === 0) return sign;
  const exponent = Math.max(Math.floor(Math.log2(magnitude)), 1 - bias);
  // log2 may be off by one next to a power of two; one unit too low or high changes the quantum, so correct it.
  const exact = magnitude >= 2 ** (exponent + 1) ? exponent + 1 : magnitude < 2 ** exponent && exponent > 1 - bias ? exponent - 1 : exponent;
  const units = roundHalfEven(magnitude / 2 ** (exact - m));
  // Adding the units to the biased exponent lets a carry out of the mantissa raise the exponent.
  const code = ((exact + bias - 1) << m) + units;
  const largest = infinity ? top - 1 : top | ((1 << m) - 2);
  return sign | (code > largest ? overflow : code);
}

export function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest < 0.5) return floor;
  if (rest > 0.5) return floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}
