import type { HostTensor } from '@tenon/plugin';
import { TenonError, standardDTypes } from '@tenon/plugin';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { raw, typed } from '../../test/onnx-writer.ts';
import { byteLength, elements, typedArray } from './numeric.ts';
import { readTensor } from './tensor.ts';
import { readOptional, readSequence } from './value.ts';
import { ProtoWriter, writeTensor } from './writer.ts';

const refuses = (bytes: Uint8Array): string => {
  try {
    readTensor(bytes);
  } catch (error) {
    if (error instanceof TenonError) return error.diagnostic.code;
    throw error;
  }
  return 'accepted';
};

describe('tensors', () => {
  it('written and read back are equal, for every dtype', () => {
    const dtypes = standardDTypes.map((d) => d.name).filter((name) => name !== 'string');
    fc.assert(fc.property(fc.constantFrom(...dtypes), fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }), fc.infiniteStream(fc.nat(255)), (dtype, shape, stream) => {
      const count = shape.reduce((a, b) => a * b, 1);
      const bytes = Uint8Array.from({ length: byteLength(dtype, count) }, () => stream.next().value as number);
      const tensor: HostTensor = { dtype, shape, data: typedArray(dtype, bytes) };
      expect(readTensor(writeTensor(tensor))).toEqual(tensor);
    }), { numRuns: 200 });
    const strings: HostTensor = { dtype: 'string', shape: [2], data: ['a', 'größer'] };
    expect(readTensor(writeTensor(strings))).toEqual(strings);
  });

  it('come from typed fields, packed or not', () => {
    expect(readTensor(typed('', 'f32', [2], 4, [1.5, -2]).finish()).data).toEqual(Float32Array.of(1.5, -2));
    expect(readTensor(typed('', 'f32', [2], 4, [1.5, -2], false).finish()).data).toEqual(Float32Array.of(1.5, -2));
    expect(readTensor(typed('', 'f64', [1], 10, [0.1]).finish()).data).toEqual(Float64Array.of(0.1));
    expect(readTensor(typed('', 'i64', [2], 7, [-1, 2n ** 62n]).finish()).data).toEqual(BigInt64Array.of(-1n, 2n ** 62n));
    expect(readTensor(typed('', 'i32', [2], 5, [-7, 8], false).finish()).data).toEqual(Int32Array.of(-7, 8));
    expect(readTensor(typed('', 'u8', [2], 5, [255, 1]).finish()).data).toEqual(Uint8Array.of(255, 1));
    expect(readTensor(typed('', 'bool', [2], 5, [1, 0]).finish()).data).toEqual(Uint8Array.of(1, 0));
    expect(readTensor(typed('', 'f16', [1], 5, [0x3c00]).finish()).data).toEqual(Uint16Array.of(0x3c00));
    expect(readTensor(typed('', 'i4', [3], 5, [0x21, 0x0f]).finish()).data).toEqual(Uint8Array.of(0x21, 0x0f));
    expect(readTensor(typed('', 'u32', [1], 11, [4294967295]).finish()).data).toEqual(Uint32Array.of(4294967295));
    expect(readTensor(typed('', 'u64', [1], 11, [2n ** 64n - 1n]).finish()).data).toEqual(BigUint64Array.of(2n ** 64n - 1n));
  });

  it('that contradict themselves are refused', () => {
    expect(refuses(typed('', 'f32', [3], 4, [1, 2]).finish())).toBe('onnx/tensor-data');
    expect(refuses(typed('', 'i64', [1], 7, [1, 2]).finish())).toBe('onnx/tensor-data');
    expect(refuses(typed('', 'i64', [3], 7, [1000, 2000]).finish())).toBe('onnx/tensor-data');
    expect(refuses(typed('', 'f32', [2], 7, [1, 2]).finish())).toBe('onnx/tensor-data');
    expect(refuses(raw('', 'f32', [2], Float32Array.of(1)).finish())).toBe('onnx/tensor-data');
    expect(refuses(raw('', 'f32', [-1], Float32Array.of(1)).finish())).toBe('onnx/tensor-data');
    expect(refuses(raw('', 'f32', [2 ** 32, 2 ** 32], new Float32Array(0)).finish())).toBe('onnx/tensor-data');
    expect(refuses(raw('', 'f32', [1], Float32Array.of(1)).bytes(4, new Uint8Array(4)).finish())).toBe('onnx/tensor-data');
    expect(refuses(new ProtoWriter().packed(1, [2 ** 40]).int(2, 7).packed(7, [1]).finish())).toBe('onnx/tensor-data');
    for (const type of [0, 14, 99]) expect(refuses(new ProtoWriter().int(2, type).finish())).toBe('onnx/unsupported-dtype');
  });

  it('have elements as numbers', () => {
    const of = (dtype: string, shape: number[], data: HostTensor['data']) => elements({ dtype, shape, data });
    expect(of('f16', [6], Uint16Array.of(0x3c00, 0xc000, 0x7c00, 0xfc00, 1, 0x7bff))).toEqual([1, -2, Infinity, -Infinity, 2 ** -24, 65504]);
    expect(of('f16', [1], Uint16Array.of(0x7e00))[0]).toBeNaN();
    expect(of('bf16', [2], Uint16Array.of(0x3f80, 0xff80))).toEqual([1, -Infinity]);
    expect(of('f8e4m3fn', [4], Uint8Array.of(0x38, 0x7e, 0x01, 0x80))).toEqual([1, 448, 2 ** -9, -0]);
    expect(of('f8e4m3fn', [1], Uint8Array.of(0x7f))[0]).toBeNaN();
    expect(of('f8e5m2', [3], Uint8Array.of(0x3c, 0x7b, 0xfc))).toEqual([1, 57344, -Infinity]);
    expect(of('i4', [3], Uint8Array.of(0xf7, 0x08))).toEqual([7, -1, -8]);
    expect(of('u4', [3], Uint8Array.of(0xf7, 0x08))).toEqual([7, 15, 8]);
    expect(of('i64', [2], BigInt64Array.of(5n, 2n ** 60n))).toEqual([5, 2n ** 60n]);
  });

  it('come in sequences and optionals', () => {
    const one = raw('', 'f32', [1], Float32Array.of(1));
    const tensor = readTensor(one.finish());
    expect(readSequence(new ProtoWriter().int(2, 1).message(3, one).message(3, one).finish())).toEqual({
      kind: 'sequence', values: [{ kind: 'tensor', tensor }, { kind: 'tensor', tensor }],
    });
    expect(readOptional(new ProtoWriter().int(2, 1).message(3, one).finish())).toEqual({ kind: 'optional', value: { kind: 'tensor', tensor } });
    expect(readOptional(new ProtoWriter().finish())).toEqual({ kind: 'optional', value: null });
    expect(() => readSequence(new ProtoWriter().int(2, 4).finish())).toThrow(/unsupported-type/);
  });
});
