import { describe, expect, it } from 'vitest';
import type { GraphFunction, IRModule, Value } from '@tenon/plugin';
import type { Session } from '@tenon/core';
import { differences, type Part } from './support/differential.ts';
import { cpuConfig } from './support/engines.ts';
import { generator } from './support/generator.ts';
import { integer, pick, randomTensor } from './support/random.ts';

/** A chain of 3 × 3 convolutions at odd sizes, each with something that runs on its result. */
function network(session: Session, seed: number): IRModule {
  const random = generator(seed);
  const module = session.module();
  const size = (): number => integer(random, 9, 23);
  const first = pick(random, [16, 17, 32]);
  const b = module.graph('main', [{ name: 'x', type: session.types.tensor('f32', [integer(random, 1, 2), first, size(), size()]) }]);
  const weights = (of: readonly number[]): Value => {
    const count = of.reduce((p, d) => p * d, 1);
    const limit = Math.sqrt((3 * of[0]!) / count);
    return b.constant(Array.from({ length: count }, () => Math.fround(limit * (2 * random() - 1))), 'f32', of);
  };
  const conv = (x: Value, from: number, to: number, kernel: number): Value => {
    const pads = kernel === 1 ? [0, 0, 0, 0] : pick(random, [[1, 1, 1, 1], [0, 0, 0, 0], [1, 0, 0, 1]]);
    return b.call('nn.conv', [x, weights([to, from, kernel, kernel]), random() < 0.7 ? weights([to]) : null], { pads, strides: null, dilations: null, groups: 1 });
  };
  let channels = pick(random, [16, 24, 33]);
  // What the graph gets and gives lies as it is: convolutions of one tap make and take channels innermost.
  let x = conv(b.params[0]!, first, channels, 1);
  for (let i = 0; i < 3; i++) {
    const to = pick(random, [16, 20, 48]);
    const sum = conv(x, channels, to, 3);
    const value = [
      () => sum,
      () => b.call('nn.relu', [sum]),
      () => b.call('math.mul', [sum, b.call('math.sigmoid', [sum])]),
      () => b.call('nn.relu', [b.call('math.add', [sum, b.call('math.tanh', [b.call('nn.relu', [sum])])])]),
    ];
    x = pick(random, value)();
    if (random() < 0.5) x = b.call('math.add', [x, conv(x, to, to, 1)]);
    channels = to;
  }
  b.finish([conv(x, channels, 8, 1)], ['y']);
  return module.finish();
}

describe('random networks of 3 × 3 convolutions on the C target', () => {
  it('compute what the reference evaluation does, most of them by Winograd\'s algorithm', async () => {
    let transformed = 0;
    const { problems, results } = await differences((session) => Array.from({ length: 8 }, (_, seed): Part => {
      const module = network(session, seed);
      const main = module.functions.get('main') as GraphFunction;
      const random = generator(seed + 1000);
      const inputs = main.params.map((p) => {
        if (p.type.kind !== 'tensor') throw new Error('only tensors');
        return randomTensor(random, 'f32', p.type.shape.map((d) => session.exprs.valueOf(d)!), [-1, 1]);
      });
      return { name: `network of seed ${seed}`, module, inputs, tolerance: 1e-5, scaleLimit: Infinity };
    }), {
      config: { ...cpuConfig, verify: 'pass' },
      onPhase: (phase, _, module) => {
        if (phase !== 'schedule') return;
        for (const fn of module.functions.values()) if (/"maps":\[\{/.test(JSON.stringify(fn.attrs['pack'] ?? null))) transformed++;
      },
    });
    expect(problems.join('\n')).toBe('');
    expect(results).toBe(8);
    expect(transformed).toBeGreaterThan(12);
  }, 300_000);
});
