/** Integer arithmetic on `number` where it is safe and `bigint` where it is not; i64 wraps. */
export type Int = number | bigint;

export function normalize(value: bigint): Int {
  const wrapped = BigInt.asIntN(64, value);
  return wrapped >= -9007199254740991n && wrapped <= 9007199254740991n ? Number(wrapped) : wrapped;
}

export function addInts(a: Int, b: Int): Int {
  if (typeof a === 'number' && typeof b === 'number') {
    const sum = a + b;
    if (Number.isSafeInteger(sum)) return sum;
  }
  return normalize(BigInt(a) + BigInt(b));
}

export function mulInts(a: Int, b: Int): Int {
  if (typeof a === 'number' && typeof b === 'number') {
    const product = a * b;
    if (Number.isSafeInteger(product)) return product + 0;
  }
  return normalize(BigInt(a) * BigInt(b));
}

/** Rounds to minus infinity; 0 for a zero divisor (a dim of a zero-sized tensor; the value is never used). */
export function floordivInts(a: Int, b: Int): Int {
  if (b == 0) return 0;
  if (typeof a === 'number' && typeof b === 'number') return exactFloor(a, b);
  const x = BigInt(a);
  const y = BigInt(b);
  const q = x / y;
  return normalize(x % y !== 0n && x < 0n !== y < 0n ? q - 1n : q);
}

function exactFloor(a: number, b: number): number {
  // a / b may round up to the next integer for large a; the remainder is exact.
  const r = a % b;
  const q = (a - r) / b;
  return (r !== 0 && r < 0 !== b < 0 ? q - 1 : q) + 0;
}

export function modInts(a: Int, b: Int): Int {
  if (b == 0) return 0;
  if (typeof a === 'number' && typeof b === 'number') {
    const r = a % b;
    return (r !== 0 && r < 0 !== b < 0 ? r + b : r) + 0;
  }
  const y = BigInt(b);
  const r = BigInt(a) % y;
  return normalize(r !== 0n && r < 0n !== y < 0n ? r + y : r);
}

export function truncdivInts(a: Int, b: Int): Int {
  if (b == 0) return 0;
  if (typeof a === 'number' && typeof b === 'number') return (a - (a % b)) / b + 0;
  return normalize(BigInt(a) / BigInt(b));
}

export function truncmodInts(a: Int, b: Int): Int {
  if (b == 0) return 0;
  if (typeof a === 'number' && typeof b === 'number') return (a % b) + 0;
  return normalize(BigInt(a) % BigInt(b));
}

export function gcd(a: number, b: number): number {
  let x = Math.abs(a);
  let y = Math.abs(b);
  while (y !== 0) [x, y] = [y, x % y];
  return x;
}

/** Wraps an integer to the width of a dtype (`i8` … `u64`); identity for other names. */
export function wrapInt(value: Int, dtype: string): Int {
  // Sizes and indices: nearly every call.
  if (dtype === 'i64' && typeof value === 'number') return value;
  const match = /^([iu])(\d+)$/.exec(dtype);
  if (match === null) return value;
  const bits = Number(match[2]);
  if (typeof value === 'number' && bits >= 54 && (match[1] === 'i' || value >= 0)) return value;
  const big = match[1] === 'i' ? BigInt.asIntN(bits, BigInt(value)) : BigInt.asUintN(bits, BigInt(value));
  return big >= -9007199254740991n && big <= 9007199254740991n ? Number(big) : big;
}
