import type { Expr, Operator } from '@tenon/plugin';
import type { Cell } from './cell.ts';
import { recurrentOperators } from './sequence.ts';

const cell: Cell = {
  name: 'lstm',
  gates: 4,
  cellState: true,
  temporaries: [],
  activations: ['sigmoid', 'tanh', 'tanh'],
  attrs: { coupled: false },
  evaluate: ({ size, h, c, input, recurrent, recurrentBias, peephole, activate, clip }, attrs) => {
    const gates = input.map((value, row) => value + recurrent(row, h) + recurrentBias(row));
    for (let j = 0; j < size; j++) {
      const i = activate(0, clip(gates[j]! + peephole(j) * c[j]!));
      const f = attrs['coupled'] === true ? 1 - i : activate(0, clip(gates[2 * size + j]! + peephole(2 * size + j) * c[j]!));
      c[j] = f * c[j]! + i * activate(1, clip(gates[3 * size + j]!));
      h[j] = activate(0, clip(gates[size + j]! + peephole(size + j) * c[j]!)) * activate(2, c[j]!);
    }
  },
  emit: ({ b, size, h, c: state, gates, each, biased, addRecurrent, peephole, activate, clip }, attrs) => {
    const { exprs: e } = b;
    const c = state!;
    const rows = e.mul(size, 4);
    each(rows, (s, row) => b.store(gates, [s, row], biased(s, row)));
    addRecurrent(e.int(0), rows, h);
    each(size, (s, j) => {
      const gate = (k: number, cellState: Expr | null): Expr => {
        const row = e.add(j, e.mul(size, k));
        const value = b.load(gates, [s, row]);
        const weight = cellState && peephole(row);
        return clip(weight && cellState ? e.add(value, e.mul(weight, cellState)) : value);
      };
      const before = b.let(b.load(c, [s, j]));
      const i = b.let(activate(0, gate(0, before)));
      const f = attrs['coupled'] === true ? e.sub(e.constant(1, c.dtype), i) : activate(0, gate(2, before));
      const now = b.let(e.add(e.mul(f, before), e.mul(i, activate(1, gate(3, null)))));
      b.store(c, [s, j], now);
      b.store(h, [s, j], e.mul(activate(0, gate(1, now)), activate(2, now)));
    });
  },
};

export const operators: readonly Operator[] = recurrentOperators(
  cell,
  'Gates in order i, o, f, c. With hidden state h and cell state c: i = f₀(i + pᵢ·c), f = f₀(f + p_f·c) (1 − i where `coupled`), c ← f·c + i·f₁(c̃), o = f₀(o + pₒ·c), '
  + 'h ← o·f₂(c); each gate stands for x·wᵀ + h·rᵀ + its biases; `peephole` [N, 3·H] holds pᵢ, pₒ, p_f. Defaults of f₀, f₁, f₂: sigmoid, tanh, tanh. '
  + 'Source: Hochreiter, Schmidhuber 1997; peepholes: Gers, Schmidhuber 2000.',
  [{ coupled: true }, { activations: [{ name: 'hard_sigmoid' }, { name: 'softsign' }, { name: 'leaky_relu', alpha: 0.3 }] }],
);
