/**
 * Element types are data. A size follows from `bits`, sub-byte types included; a block format (quantised weights)
 * stores `elements` values in `bytes` bytes.
 */
export type DType =
  | { readonly name: string; readonly kind: 'float' | 'int' | 'uint' | 'bool'; readonly bits: number }
  | { readonly name: string; readonly kind: 'string' }
  | { readonly name: string; readonly kind: 'block'; readonly elements: number; readonly bytes: number };

/** The element types every session knows; plugins may declare more. */
export const standardDTypes: readonly DType[] = [
  { name: 'f64', kind: 'float', bits: 64 },
  { name: 'f32', kind: 'float', bits: 32 },
  { name: 'f16', kind: 'float', bits: 16 },
  { name: 'bf16', kind: 'float', bits: 16 },
  { name: 'f8e4m3fn', kind: 'float', bits: 8 },
  { name: 'f8e5m2', kind: 'float', bits: 8 },
  { name: 'i64', kind: 'int', bits: 64 },
  { name: 'i32', kind: 'int', bits: 32 },
  { name: 'i16', kind: 'int', bits: 16 },
  { name: 'i8', kind: 'int', bits: 8 },
  { name: 'i4', kind: 'int', bits: 4 },
  { name: 'u64', kind: 'uint', bits: 64 },
  { name: 'u32', kind: 'uint', bits: 32 },
  { name: 'u16', kind: 'uint', bits: 16 },
  { name: 'u8', kind: 'uint', bits: 8 },
  { name: 'u4', kind: 'uint', bits: 4 },
  { name: 'bool', kind: 'bool', bits: 8 },
  { name: 'string', kind: 'string' },
];
