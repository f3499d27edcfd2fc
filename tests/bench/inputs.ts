import type { HostTensor } from '@tenon/plugin';
import { Absent, type Inputs } from '../models/models.ts';
import { generator } from '../support/generator.ts';
import { randomTensor } from '../support/random.ts';

/** Floats uniform in [−1, 1), integers in {0, 1}. */
export function randomInputs(shapes: readonly { readonly name: string; readonly dtype: string; readonly shape: readonly (number | string)[] }[]): Inputs {
  const random = generator(1);
  return Object.fromEntries(shapes.map(({ name, dtype, shape }): [string, HostTensor] => {
    const open = shape.find((d) => typeof d !== 'number');
    if (open !== undefined) throw new Absent(`the input ${name} has the open size ${open}: give a model with static inputs`);
    return [name, randomTensor(random, dtype, shape as readonly number[], dtype.startsWith('f') ? [-1, 1] : [0, 1])];
  }));
}
