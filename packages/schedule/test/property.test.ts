import { describe, expect, it } from 'vitest';
import { createExprs } from '@tenon/core';
import { primitives } from '../src/index.ts';
import { Random } from '../../../tests/support/generator.ts';
import { randomFunction } from './random-function.ts';
import { runRandomSchedule, type Tally } from './run-random.ts';

describe('random schedules of random functions', () => {
  it('verify and compute the same after every primitive, and lowered', () => {
    const tally: Tally = { applied: new Map(), refused: new Map() };
    for (let seed = 0; seed < 260; seed++) {
      const exprs = createExprs();
      const random = new Random(seed);
      const { fn, dims } = randomFunction(random, exprs);
      const inputs = fn.inputs.map((b) => {
        const shape = b.shape.map((d) => exprs.valueOf(d) ?? dims.get(d.value as string)!);
        return { dtype: 'i32', shape, data: Int32Array.from({ length: shape.reduce((a, c) => a * c, 1) }, () => random.below(19) - 9) };
      });
      try {
        runRandomSchedule(random, exprs, fn, inputs, dims, 20, tally);
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
    }
    const applied = [...tally.applied.values()].reduce((a, b) => a + b, 0);
    expect(applied).toBeGreaterThan(2000);
    // Every primitive that changes functions was applied to some.
    const questions = ['get_block', 'get_loops', 'get_child_blocks', 'get_producers', 'get_consumers'];
    const missing = Object.keys(primitives).filter((name) => !questions.includes(name) && !tally.applied.has(name));
    expect(missing).toEqual([]);
    expect(tally.refused.size).toBeGreaterThan(50);
  });
});
