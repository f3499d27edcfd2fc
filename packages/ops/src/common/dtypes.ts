/** Predicates on the names of the standard element types. */
export const isFloat = (dtype: string): boolean => /^(f|bf)\d/.test(dtype);
export const isSigned = (dtype: string): boolean => /^i\d/.test(dtype);
export const isUnsigned = (dtype: string): boolean => /^u\d/.test(dtype);
export const isInteger = (dtype: string): boolean => /^[iu]\d/.test(dtype);
/** Numbers: floating point or integer, not bool. */
export const isNumeric = (dtype: string): boolean => isFloat(dtype) || isInteger(dtype);
/** Integers that JavaScript keeps as bigint. */
export const is64Bit = (dtype: string): boolean => dtype === 'i64' || dtype === 'u64';

/** Bits of a numeric dtype, from its name. */
export function bitsOf(dtype: string): number {
  if (dtype === 'bool') return 8;
  return Number(/^(?:bf|f|i|u)(\d+)/.exec(dtype)?.[1] ?? 0);
}

/** The inclusive range of an integer dtype. */
export function integerRange(dtype: string): { readonly min: bigint; readonly max: bigint } {
  const bits = BigInt(bitsOf(dtype));
  return isSigned(dtype) ? { min: -(1n << (bits - 1n)), max: (1n << (bits - 1n)) - 1n } : { min: 0n, max: (1n << bits) - 1n };
}
