import { expect, it } from 'vitest';
import { blockMappedShape, mapBlocks } from './block-map.ts';

const values = (n: number): Float32Array => Float32Array.from({ length: n }, (_, i) => i * i);

it('sums of the blocks that two axes are cut into, wherever these are', () => {
  const matrix = [[1, 0, 0, 0], [0, -1, 0, 2], [1, 1, -1, 0], [1, 2, 3, 4], [0, 0, 0, 0]];
  for (const [shape, axes] of [[[4, 6], [0, 1]], [[4, 6], [1, 0]], [[2, 3, 4, 1], [0, 2]], [[3, 2, 2, 5], [2, 1]], [[1, 4, 1, 2], [3, 1]]] as const) {
    const x = values(shape.reduce((a: number, b) => a * b, 1));
    const target = blockMappedShape(shape, { axes, matrix });
    expect(target).toEqual([5, ...shape.map((n, a) => ((axes as readonly number[]).includes(a) ? n / 2 : n))]);
    const at = (index: readonly number[], sizes: readonly number[]): number => index.reduce((flat, i, a) => flat * sizes[a]! + i, 0);
    const got = mapBlocks(x, shape, { axes, matrix });
    expect(got.length).toBe(target.reduce((a, b) => a * b, 1));
    for (let flat = 0; flat < got.length; flat++) {
      const index: number[] = [];
      for (let a = target.length - 1, rest = flat; a >= 0; a--) {
        index.unshift(rest % target[a]!);
        rest = Math.floor(rest / target[a]!);
      }
      const [i, ...inside] = index as [number, ...number[]];
      const want = matrix[i]!.reduce((sum, factor, block) => {
        const moved = inside.map((n, a) => n + ((axes as readonly number[]).indexOf(a) < 0 ? 0 : ((block >> (1 - (axes as readonly number[]).indexOf(a))) & 1) * (shape[a]! / 2)));
        return sum + factor * x[at(moved, shape)]!;
      }, 0);
      expect(got[flat]).toBe(want);
    }
  }
});

it('a sum of nothing is zero, and of more than four blocks refused', () => {
  expect(Array.from(mapBlocks(values(4), [4], { axes: [0], matrix: [[0, 0]] }))).toEqual([0, 0]);
  expect(() => mapBlocks(values(8), [2, 2, 2], { axes: [0, 1, 2], matrix: [[1, 1, 1, 1, 1, 0, 0, 0]] })).toThrow(RangeError);
});
