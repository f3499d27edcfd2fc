import { describe, expect, it } from 'vitest';
import type { GraphFunction, IRModule } from '@tenon/plugin';
import { printModule, type Session } from '@tenon/core';
import { onnx } from '@tenon/frontend-onnx';
import { standardOps } from '@tenon/ops';
import { cpuC } from '@tenon/target-cpu-c';
import { differences, type Part } from './support/differential.ts';
import { generator } from './support/generator.ts';
import { integer, pick, randomTensor } from './support/random.ts';

/** A transposed tensor, and what is made of it: sizes that squares fill, nearly fill, and do not. */
function transposed(session: Session, seed: number): IRModule {
  const random = generator(seed);
  const module = session.module();
  const size = (): number => pick(random, [16, 17, 32, 48, 63, 80, integer(random, 3, 100)]);
  const perm = pick(random, [[0, 2, 1], [2, 1, 0], [1, 2, 0], [2, 0, 1]]);
  const b = module.graph('main', [{ name: 'x', type: session.types.tensor('f32', [integer(random, 1, 3), size(), size()]) }]);
  const x = b.call('shape.transpose', [b.params[0]!], { perm });
  const results = [
    () => x,
    () => b.call('math.mul', [x, b.constant([0.5], 'f32', [])]),
    () => b.call('math.add', [x, b.call('math.exp', [x])]),
    () => b.call('shape.concat', [x, b.call('nn.relu', [x])], { axis: integer(random, 0, 2) }),
  ];
  b.finish([pick(random, results)()], ['y']);
  return module.finish();
}

describe('transposed copies on the C target', () => {
  it.each([16, 32, 64])('are what the reference evaluation makes of them, with vectors of %i bytes', async (vectorBytes) => {
    let squares = 0;
    const { problems, results } = await differences((session) => Array.from({ length: 24 }, (_, seed): Part => {
      const module = transposed(session, seed);
      const main = module.functions.get('main') as GraphFunction;
      const random = generator(seed + 1000);
      const inputs = main.params.map((p) => {
        if (p.type.kind !== 'tensor') throw new Error('only tensors');
        return randomTensor(random, 'f32', p.type.shape.map((d) => session.exprs.valueOf(d)!), [-1, 1]);
      });
      return { name: `transpose of seed ${seed}`, module, inputs, tolerance: 1e-6, scaleLimit: 1 };
    }), {
      config: { plugins: [standardOps(), onnx(), cpuC({ vectorBytes })], targets: ['cpu-c'], verify: 'pass' },
      onPhase: (phase, _, module) => {
        if (phase === 'schedule') squares += printModule(module).split(`cpu-c.transpose${vectorBytes / 4}`).length - 1;
      },
    });
    expect(problems.join('\n')).toBe('');
    expect(results).toBe(24);
    expect(squares).toBeGreaterThan(6);
  }, 300_000);
});
