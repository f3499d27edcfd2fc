import { describe, expect, test } from 'vitest';
import { failure } from '../test/failure.ts';
import { createHostDevice, tensor, Tensor } from './index.ts';

describe('tensor', () => {
  test('takes dtype and shape from what it is given', () => {
    expect(tensor(new Float32Array(6), [2, 3])).toMatchObject({ dtype: 'f32', shape: [2, 3] });
    expect(tensor(new BigInt64Array(2))).toMatchObject({ dtype: 'i64', shape: [2] });
    expect(tensor([[1, 2], [3, 4], [5, 6]])).toEqual(new Tensor('f32', [3, 2], Float32Array.of(1, 2, 3, 4, 5, 6)));
    expect(tensor(7, [], 'i64')).toEqual(new Tensor('i64', [], BigInt64Array.of(7n)));
    expect(tensor([[], []])).toMatchObject({ shape: [2, 0] });
    expect(tensor([true, false], [2], 'bool').data).toEqual(Uint8Array.of(1, 0));
    expect(tensor(new Uint8Array(3), [6], 'i4')).toMatchObject({ dtype: 'i4', shape: [6] });
    expect(tensor(new Uint16Array(2), [2], 'bf16').dtype).toBe('bf16');
  });
  test.runIf('Float16Array' in globalThis)('keeps the bits of a Float16Array', () => {
    const half = (globalThis as unknown as { Float16Array: { of(...values: number[]): Uint16Array } }).Float16Array.of(1, -2);
    expect(tensor(half)).toEqual(new Tensor('f16', [2], Uint16Array.of(0x3c00, 0xc000)));
  });
  test.each([
    ['too few elements', () => new Tensor('f32', [2, 2], new Float32Array(3)), /has 16 bytes; the data has 12/],
    ['the wrong array', () => new Tensor('f32', [2], new Int32Array(2)), /held in a Float32Array, not in a Int32Array/],
    ['a negative size', () => new Tensor('f32', [-1], new Float32Array(1)), /is not a shape/],
    ['a number that does not fit', () => tensor([300], [1], 'u8'), /300 does not fit into u8/],
    ['numbers for a quantised type', () => tensor([1], [1], 'bf16'), /cannot be turned into bf16/],
    ['too many numbers', () => tensor([1, 2, 3], [2]), /3 numbers do not make the shape \[2\]/],
  ])('refuses %s', async (_, make, message) => {
    expect(await failure(make)).toMatchObject({ code: 'runtime/tensor', message: expect.stringMatching(message) });
  });
});

describe('host device', () => {
  test('gives zeroed memory, of any size, that its queue reads and writes at once', () => {
    const device = createHostDevice();
    for (const bytes of [0, 1, 64, 100_000]) {
      const buffer = device.allocate(bytes);
      expect(buffer.host!.length).toBe(bytes);
      expect(buffer.host!.byteOffset % 64).toBe(0);
      expect(buffer.host!.every((byte) => byte === 0)).toBe(true);
    }
    const buffer = device.allocate(8);
    const queue = device.createQueue();
    expect(queue.write(Uint8Array.of(1, 2), { buffer, byteOffset: 4, bytes: 2 }).done).toBe(true);
    const out = new Uint8Array(3);
    queue.read({ buffer, byteOffset: 3, bytes: 3 }, out);
    expect([...out]).toEqual([0, 1, 2]);
  });
});
