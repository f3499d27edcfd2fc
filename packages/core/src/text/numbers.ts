import { literalKinds } from './syntax.ts';

/** The shortest decimal that rounds to the same double. Numbers beyond the safe integers never look like integers. */
export function doubleText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (value === Infinity) return 'inf';
  if (value === -Infinity) return '-inf';
  if (Object.is(value, -0)) return '-0';
  return Math.abs(value) > Number.MAX_SAFE_INTEGER ? value.toExponential() : String(value);
}

/** The shortest decimal that rounds to the same single-precision number; the double's where it is none. */
export function singleText(value: number): string {
  if (!Number.isFinite(value) || Math.fround(value) !== value) return doubleText(value);
  const full = doubleText(value);
  if (full.length <= 8) return full;
  for (let digits = 1; digits <= 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return doubleText(short);
  }
  return full;
}

/** An element of an inline constant. */
export function elementText(value: number | bigint, dtype: string): string {
  const kind = literalKinds.get(dtype);
  if (typeof value === 'bigint' || (Number.isInteger(value) && kind !== 'float' && kind !== undefined)) return String(BigInt(value));
  return dtype === 'f32' ? singleText(Math.fround(value)) : doubleText(value);
}

/** A decimal integer as a number where that is exact, else as a bigint. */
export function integerValue(digits: string): number | bigint {
  const value = Number(digits);
  return Number.isSafeInteger(value) ? value + 0 : BigInt(digits);
}

/** A number of this dtype from its digits; null where the dtype cannot hold it. */
export function numberOf(digits: string, dtype: string): number | bigint | null {
  const kind = literalKinds.get(dtype);
  if (kind === 'float') {
    const value = Number(digits);
    return dtype === 'f32' ? Math.fround(value) : value;
  }
  if (/^-?\d+$/.test(digits)) return kind === undefined && Object.is(Number(digits), -0) ? -0 : integerValue(digits);
  // What a dtype of a plugin holds is not known here.
  return kind === undefined ? Number(digits) : null;
}
