import type { PackedLayout } from '@tenon/artifact';
import { describe, expect, it } from 'vitest';
import { repack } from './repack.ts';

/** Offset of an element, as the description of layouts says it. */
function offset(at: readonly number[], shape: readonly number[], { axis, tile, order }: PackedLayout): number {
  const indices = [Math.floor(at[axis]! / tile), ...order.map((a) => at[a]!), at[axis]! % tile];
  const sizes = [Math.ceil(shape[axis]! / tile), ...order.map((a) => shape[a]!), tile];
  return indices.reduce((sum, index, i) => sum * sizes[i]! + index, 0);
}
const elements = (shape: readonly number[], { axis, tile, order }: PackedLayout): number => order.reduce((p, a) => p * shape[a]!, Math.ceil(shape[axis]! / tile) * tile);

describe('repack', () => {
  it.each<[string, readonly number[], PackedLayout, PackedLayout]>([
    ['a matrix into smaller tiles', [7, 50], { axis: 1, tile: 32, order: [0] }, { axis: 1, tile: 8, order: [0] }],
    ['a matrix into larger tiles', [3, 9], { axis: 1, tile: 4, order: [0] }, { axis: 1, tile: 16, order: [0] }],
    ['tiles along another axis', [6, 5], { axis: 1, tile: 4, order: [0] }, { axis: 0, tile: 4, order: [1] }],
    ['a window of weights, with another order', [10, 3, 2, 4], { axis: 0, tile: 8, order: [2, 3, 1] }, { axis: 0, tile: 4, order: [1, 2, 3] }],
    ['a vector', [5], { axis: 0, tile: 4, order: [] }, { axis: 0, tile: 2, order: [] }],
  ])('%s', (_, shape, from, to) => {
    for (const Elements of [Int8Array, Int16Array, Float32Array, Float64Array]) {
      const source = new Elements(elements(shape, from));
      const want = new Elements(elements(shape, to));
      const total = shape.reduce((a, b) => a * b, 1);
      for (let n = 0; n < total; n++) {
        let rest = n;
        const at = shape.toReversed().map((size) => {
          const index = rest % size;
          rest = Math.floor(rest / size);
          return index;
        }).toReversed();
        source[offset(at, shape, from)] = n + 1;
        want[offset(at, shape, to)] = n + 1;
      }
      // Bytes that begin anywhere, as those read from a file do.
      const width = Elements.BYTES_PER_ELEMENT;
      const bytes = new Uint8Array(source.byteLength + 1);
      bytes.set(new Uint8Array(source.buffer), 1);
      const got = repack(bytes.subarray(1), { kind: 'repacked', of: 0, shape, from, to }, width);
      expect(got).toEqual(new Uint8Array(want.buffer));
    }
  });
});
