import { describe, expect, it } from 'vitest';
import type { HostTensor, IRModule, TypedArray } from '@tenon/plugin';
import type { Session } from '@tenon/core';
import { onnx } from '@tenon/frontend-onnx';
import { standardOps } from '@tenon/ops';
import { cpuC } from '@tenon/target-cpu-c';
import { differences, type Part } from './support/differential.ts';
import { generator } from './support/generator.ts';
import { randomTensor } from './support/random.ts';

const operators = ['softmax', 'where', 'log_softmax', 'layer_norm'] as const;

/** Rows of one length: what an operator makes of them, alone or with work on its result. */
function overRows(session: Session, shape: readonly number[], operator: (typeof operators)[number], symbolic: boolean): IRModule {
  const module = session.module();
  const sizes = shape.map((d, i) => (symbolic && i > 0 ? module.dim({ name: `d${i}`, min: 1, max: 256 }) : session.exprs.int(d)));
  const b = module.graph('main', [{ name: 'x', type: session.types.tensor('f32', sizes) }]);
  const [x] = b.params;
  const y = b.call(operator === 'where' ? 'nn.softmax' : `nn.${operator}`, [x!], {});
  // Attention masks everything of some rows, and takes 0 for what then comes out.
  b.finish([operator === 'where' ? b.call('math.where', [b.call('math.isnan', [y]), b.constant([0], 'f32', []), y]) : y], ['y']);
  return module.finish();
}

/** Rows of numbers; of −∞, some or all; with an infinity; with a NaN, first, last or in between. */
function filled(random: () => number, shape: readonly number[]): HostTensor {
  const x: HostTensor & { readonly data: TypedArray } = randomTensor(random, 'f32', shape, [-4, 4]);
  const length = shape.at(-1)!;
  const data = x.data as Float32Array;
  for (let row = 0; row * length < data.length; row++) {
    const cells = data.subarray(row * length, (row + 1) * length);
    if (row % 7 === 1) cells.fill(-Infinity);
    if (row % 7 === 2) for (let i = 0; i < length; i += 3) cells[i] = -Infinity;
    if (row % 7 === 3) cells[[0, length - 1, length >> 1][row % 3]!] = NaN;
    if (row % 11 === 4) cells[length >> 1] = Infinity;
    if (row % 7 === 5) for (let i = 0; i < length; i++) cells[i]! *= 25;
  }
  return x;
}

describe('rows that are reduced and worked on, on the C target', () => {
  it.each([16, 32, 64])('are what the reference evaluation makes of them at every length, with vectors of %i bytes', async (vectorBytes) => {
    const { problems, results } = await differences((session) => Array.from({ length: 70 }, (_, i): Part => {
      const shape = [[1, 67, i + 1], [2, 65, i + 1], [1, 5, i + 1], [2, 3, 41, i + 1]][i % 4]!;
      const operator = operators[(i + vectorBytes / 16) % operators.length]!;
      const symbolic = i % 3 === 0;
      const tolerance = operator === 'softmax' || operator === 'where' ? 2e-6 : 2e-5;
      return { name: `${operator} of ${shape.join(' × ')}${symbolic ? ', symbolic' : ''}`, module: overRows(session, shape, operator, symbolic), inputs: [filled(generator(i + 1), shape)], tolerance, scaleLimit: 100 };
    }), { config: { plugins: [standardOps(), onnx(), cpuC({ vectorBytes })], targets: ['cpu-c'], verify: 'pass' } });
    expect(problems.join('\n')).toBe('');
    expect(results).toBe(70);
  }, 300_000);
});
