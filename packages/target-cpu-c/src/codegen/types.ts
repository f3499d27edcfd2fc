import { TenonError } from '@tenon/plugin';

/** How an element type lies in memory and what its values are in C. */
export interface ElementType {
  readonly name: string;
  readonly kind: 'float' | 'int' | 'uint' | 'bool';
  /** Bytes of one stored element. */
  readonly bytes: number;
  /** C type of a stored element. */
  readonly storage: string;
  /** C type of a value in an expression: f16 and bf16 compute in `f32`. */
  readonly value: string;
  /** Bytes of a value. */
  readonly valueBytes: number;
  /** f16 and bf16: stored as 16 bits, rounded after every operation. */
  readonly half: boolean;
}

const plain = (name: string, kind: ElementType['kind'], bytes: number): ElementType => ({
  name, kind, bytes, storage: name, value: name, valueBytes: bytes, half: false,
});
const half = (name: string): ElementType => ({
  name, kind: 'float', bytes: 2, storage: 'u16', value: 'f32', valueBytes: 4, half: true,
});

const elementTypes: ReadonlyMap<string, ElementType> = new Map(
  [
    plain('f64', 'float', 8), plain('f32', 'float', 4), half('f16'), half('bf16'),
    plain('i64', 'int', 8), plain('i32', 'int', 4), plain('i16', 'int', 2), plain('i8', 'int', 1),
    plain('u64', 'uint', 8), plain('u32', 'uint', 4), plain('u16', 'uint', 2), plain('u8', 'uint', 1),
    { name: 'bool', kind: 'bool', bytes: 1, storage: 'u8', value: 'bool', valueBytes: 1, half: false } as const,
  ].map((t) => [t.name, t]),
);

/** The element types that this target computes with. */
export const supportedDTypes: readonly string[] = [...elementTypes.keys()];

export function elementType(dtype: string): ElementType {
  const type = elementTypes.get(dtype);
  if (type === undefined) {
    throw new TenonError({
      code: 'cpu-c/unsupported-dtype',
      message: `the C target has no element type ${dtype}`,
      hint: `it computes with ${supportedDTypes.join(', ')}`,
    });
  }
  return type;
}

/** Names of C types that every translation unit starts with; no header is read. */
export const scalarTypedefs = `typedef float f32; typedef double f64; typedef _Bool bool;
typedef signed char i8; typedef short i16; typedef int i32; typedef long long i64;
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long long u64;`;

/** The largest power of two that is at most `n`. */
export const floorPowerOfTwo = (n: number): number => 2 ** Math.floor(Math.log2(n));
