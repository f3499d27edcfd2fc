import { describe, expect, it } from 'vitest';
import { mapAxes, axisMappedShape } from './axis-maps.ts';

describe('maps along axes', () => {
  const values = Float32Array.from({ length: 12 }, (_, i) => i);
  const sums = { axis: 1, matrix: [[1, 1, 1], [0, 1, 0]] };
  const twice = { axis: 0, matrix: [[1, 0], [0, 1], [2, -1]] };
  it('apply a matrix to every fibre', () => {
    expect(axisMappedShape([2, 3, 2], [sums])).toEqual([2, 2, 2]);
    expect(Array.from(mapAxes(values, [2, 3, 2], [sums]))).toEqual([6, 9, 2, 3, 24, 27, 8, 9]);
  });
  it('apply one after the other, each along its axis', () => {
    expect(axisMappedShape([2, 3, 2], [sums, twice])).toEqual([3, 2, 2]);
    expect(Array.from(mapAxes(values, [2, 3, 2], [sums, twice])).slice(8)).toEqual([12 - 24, 18 - 27, 4 - 8, 6 - 9]);
    expect(mapAxes(values, [2, 3, 2], [twice, sums])).toEqual(mapAxes(values, [2, 3, 2], [sums, twice]));
  });
});
