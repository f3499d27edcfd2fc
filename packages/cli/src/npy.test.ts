import { describe, expect, test } from 'vitest';
import { diagnosticOf, type HostTensor } from 'tenon';
import { readNpy, writeNpy } from './npy.ts';

const text = (s: string): number[] => Array.from(s, (c) => c.charCodeAt(0));
/** A file as NumPy writes it. */
function file(header: string, data: Uint8Array, version = 1): Uint8Array {
  const padded = header.padEnd(118 - (version === 1 ? 0 : 2) - 1) + '\n';
  const length = version === 1 ? [padded.length & 255, padded.length >> 8] : [padded.length & 255, padded.length >> 8, 0, 0];
  return Uint8Array.from([0x93, ...text('NUMPY'), version, 0, ...length, ...text(padded), ...data]);
}
const bytesOf = (a: ArrayBufferView): Uint8Array => new Uint8Array(a.buffer, a.byteOffset, a.byteLength);
const codeOf = (bytes: Uint8Array): string | undefined => {
  try {
    readNpy(bytes);
  } catch (error) {
    return diagnosticOf(error)?.code;
  }
  return undefined;
};

describe('round trips', () => {
  const cases: readonly HostTensor[] = [
    { dtype: 'f64', shape: [2], data: Float64Array.of(1.5, -0) },
    { dtype: 'f32', shape: [2, 2], data: Float32Array.of(1, 2, NaN, Infinity) },
    { dtype: 'f16', shape: [1, 1, 2], data: Uint16Array.of(0x3c00, 0xfc00) },
    { dtype: 'i64', shape: [1], data: BigInt64Array.of(-(2n ** 63n)) },
    { dtype: 'u64', shape: [1], data: BigUint64Array.of(2n ** 64n - 1n) },
    { dtype: 'i32', shape: [], data: Int32Array.of(-7) },
    { dtype: 'i16', shape: [3], data: Int16Array.of(-1, 0, 1) },
    { dtype: 'i8', shape: [3], data: Int8Array.of(-128, 0, 127) },
    { dtype: 'u32', shape: [1], data: Uint32Array.of(2 ** 32 - 1) },
    { dtype: 'u16', shape: [1], data: Uint16Array.of(65535) },
    { dtype: 'u8', shape: [0, 4], data: new Uint8Array(0) },
    { dtype: 'bool', shape: [2], data: Uint8Array.of(0, 1) },
  ];
  test.each(cases.map((t) => [t.dtype, t] as const))('%s', (_, tensor) => {
    const bytes = writeNpy(tensor);
    expect((bytes.length - (tensor.data as Uint8Array).byteLength) % 64).toBe(0);
    expect(readNpy(bytes)).toEqual(tensor);
  });
  test('bf16 becomes f32', () => {
    expect(readNpy(writeNpy({ dtype: 'bf16', shape: [2], data: Uint16Array.of(0x3f80, 0xc000) }))).toEqual({ dtype: 'f32', shape: [2], data: Float32Array.of(1, -2) });
  });
  test('what NumPy has no type for is refused', () => {
    expect(() => writeNpy({ dtype: 'i4', shape: [2], data: new Uint8Array(1) })).toThrow('npy/unsupported-dtype');
  });
});

describe('files of NumPy', () => {
  test('Fortran order becomes row-major', () => {
    const columnMajor = Float32Array.from({ length: 24 }, (_, i) => i);
    const { shape, data } = readNpy(file("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3, 4), }", bytesOf(columnMajor)));
    expect(shape).toEqual([2, 3, 4]);
    for (let i = 0; i < 2; i++) for (let j = 0; j < 3; j++) for (let k = 0; k < 4; k++) expect(data[(i * 3 + j) * 4 + k]).toBe(i + 2 * j + 6 * k);
  });
  test('big-endian elements are swapped', () => {
    expect(readNpy(file("{'descr': '>i4', 'fortran_order': False, 'shape': (2,), }", Uint8Array.of(0, 0, 0, 1, 255, 255, 255, 254)))).toEqual({ dtype: 'i32', shape: [2], data: Int32Array.of(1, -2) });
  });
  test('versions 2 and 3', () => {
    for (const version of [2, 3]) expect(readNpy(file("{'descr': '|b1', 'fortran_order': False, 'shape': (1,), }", Uint8Array.of(1), version)).dtype).toBe('bool');
  });
  test.each([
    ['npy/malformed', new Uint8Array(0)],
    ['npy/malformed', Uint8Array.from(text('PK\u0003\u0004 and more than that'))],
    ['npy/malformed', file("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", new Uint8Array(4))],
    ['npy/malformed', file("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", new Uint8Array(12))],
    ['npy/malformed', file("{'descr': '<f4', 'shape': (2,), }", new Uint8Array(8))],
    ['npy/malformed', file("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999, 99999999), }", new Uint8Array(8))],
    ['npy/malformed', file("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", new Uint8Array(8)).subarray(0, 60)],
    ['npy/malformed', file("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", new Uint8Array(8), 9)],
    ['npy/unsupported-dtype', file("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", new Uint8Array(8))],
    ['npy/unsupported-dtype', file("{'descr': '<U4', 'fortran_order': False, 'shape': (1,), }", new Uint8Array(16))],
    ['npy/unsupported-dtype', file("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", new Uint8Array(4))],
  ])('%s', (code, bytes) => {
    expect(codeOf(bytes)).toBe(code);
  });
});
