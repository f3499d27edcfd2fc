import type { HostTensor } from '@tenon/plugin';

export const isFloat = (dtype: string): boolean => /^(f|bf)\d/.test(dtype);

/** Elements as numbers; f16 and bf16 are given as their bits and decoded. */
export function numbersOf(tensor: HostTensor): ArrayLike<number> | ArrayLike<bigint> {
  if (tensor.dtype === 'f16') return Float64Array.from(tensor.data as Uint16Array, halfToNumber);
  if (tensor.dtype === 'bf16') {
    const data = tensor.data as Uint16Array;
    const words = Uint32Array.from(data, (bits) => bits << 16);
    return new Float32Array(words.buffer);
  }
  return tensor.data as ArrayLike<number> | ArrayLike<bigint>;
}

function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

const describe = (t: HostTensor): string => `${t.dtype}[${t.shape.join(', ')}]`;

/** What differs in type, or null. */
export function typeDifference(got: HostTensor, want: HostTensor): string | null {
  const equal = got.dtype === want.dtype && got.shape.length === want.shape.length && got.shape.every((d, i) => d === want.shape[i]);
  return equal ? null : `it is ${describe(got)}, not ${describe(want)}`;
}

/**
 * What keeps `got` from being `want` by the rule of ONNX's backend tests, or null: dtype and shape are equal, NaN equals
 * NaN, and `|got − want| ≤ atol + rtol·|want|`.
 */
export function elementwiseDifference(got: HostTensor, want: HostTensor, { rtol, atol }: { readonly rtol: number; readonly atol: number }): string | null {
  const different = typeDifference(got, want);
  if (different !== null) return different;
  const a = numbersOf(got);
  const b = numbersOf(want);
  if (a.length !== b.length) return `it has ${a.length} elements, not ${b.length}`;
  const exact = !isFloat(want.dtype);
  for (let i = 0; i < b.length; i++) {
    const x = a[i]!;
    const y = b[i]!;
    if (x === y) continue;
    // Differences of large integers are taken exactly.
    const near = exact && typeof x === 'bigint' && typeof y === 'bigint'
      ? Number(x > y ? x - y : y - x) <= atol + rtol * Math.abs(Number(y))
      : Math.abs(Number(x) - Number(y)) <= atol + rtol * Math.abs(Number(y)) || (Number.isNaN(x) && Number.isNaN(y));
    if (!near || !Number.isFinite(Number(y)) && !Number.isNaN(y as number)) return `element ${i} is ${x}, not ${y}`;
  }
  return null;
}

/** How two outputs of a model agree. `error`: `max|got − want| / max|want|`, over finite elements; 0 for exact types that are equal. */
export interface Agreement {
  readonly error: number;
  /** What is wrong beyond the size of the error, or null. */
  readonly problem: string | null;
}

/**
 * Compares an output relative to its largest element. Integers and booleans must be equal, NaN and infinities lie in the
 * same places, and where `want` is all zero `got` must be, too. `scale`: the error is relative to this where it is larger.
 */
export function outputAgreement(got: HostTensor, want: HostTensor, scale = 0): Agreement {
  const problem = (text: string): Agreement => ({ error: Infinity, problem: text });
  const different = typeDifference(got, want);
  if (different !== null) return problem(different);
  const a = numbersOf(got);
  const b = numbersOf(want);
  if (a.length !== b.length) return problem(`it has ${a.length} elements, not ${b.length}`);
  if (!isFloat(want.dtype)) {
    for (let i = 0; i < b.length; i++) if (a[i] !== b[i]) return problem(`element ${i} is ${a[i]}, not ${b[i]}`);
    return { error: 0, problem: null };
  }
  let largest = scale;
  let deviation = 0;
  for (let i = 0; i < b.length; i++) {
    const x = a[i] as number;
    const y = b[i] as number;
    if (Number.isFinite(y) && Number.isFinite(x)) {
      largest = Math.max(largest, Math.abs(y));
      deviation = Math.max(deviation, Math.abs(x - y));
    } else if (!Object.is(x, y)) return problem(`element ${i} is ${x}, not ${y}`);
  }
  if (largest === 0) return deviation === 0 ? { error: 0, problem: null } : problem(`it has an element of magnitude ${deviation} where all must be zero`);
  return { error: deviation / largest, problem: null };
}
