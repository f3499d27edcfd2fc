import type { HostTensor, TypedArray } from '@tenon/plugin';
import { zeros } from '@tenon/interp';

/** An integer in `min` … `max`, both included. */
export const integer = (random: () => number, min: number, max: number): number => min + Math.floor(random() * (max - min + 1));
export const pick = <T>(random: () => number, from: readonly T[]): T => from[Math.floor(random() * from.length)]!;

/** A tensor drawn uniformly: floats from [min, max), integers from min … max. */
export function randomTensor(random: () => number, dtype: string, shape: readonly number[], [min, max]: readonly [number, number]): HostTensor & { readonly data: TypedArray } {
  const tensor = zeros(dtype, shape);
  const { data } = tensor;
  for (let i = 0; i < data.length; i++) {
    if (/^(f32|f64)$/.test(dtype)) (data as Float32Array)[i] = min + (max - min) * random();
    else if (/^[iu]64$/.test(dtype)) (data as BigInt64Array)[i] = BigInt(integer(random, min, max));
    else (data as Int32Array)[i] = integer(random, min, max);
  }
  return tensor;
}
