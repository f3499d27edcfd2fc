import type { Operator } from '@tenon/plugin';
import type { Cell } from './cell.ts';
import { recurrentOperators } from './sequence.ts';

const cell: Cell = {
  name: 'gru',
  gates: 3,
  cellState: false,
  temporaries: ['reset_state'],
  activations: ['sigmoid', 'tanh'],
  attrs: { linear_before_reset: false },
  evaluate: ({ size, h, input, recurrent, recurrentBias, activate, clip }, attrs) => {
    const gate = (row: number): number => activate(0, clip(input[row]! + recurrent(row, h) + recurrentBias(row)));
    const z = Float64Array.from({ length: size }, (_, j) => gate(j));
    const reset = Float64Array.from({ length: size }, (_, j) => gate(size + j));
    const resetState = reset.map((r, j) => r * h[j]!);
    const next = Float64Array.from({ length: size }, (_, j) => {
      const row = 2 * size + j;
      const past = attrs['linear_before_reset'] === true ? reset[j]! * (recurrent(row, h) + recurrentBias(row)) : recurrent(row, resetState) + recurrentBias(row);
      return (1 - z[j]!) * activate(1, clip(input[row]! + past)) + z[j]! * h[j]!;
    });
    h.set(next);
  },
  emit: ({ b, size, h, gates, each, input, biased, addRecurrent, recurrentBias, activate, clip, temporary }, attrs) => {
    const { exprs: e } = b;
    const linear = attrs['linear_before_reset'] === true;
    const two = e.mul(size, 2);
    each(two, (s, row) => b.store(gates, [s, row], biased(s, row)));
    addRecurrent(e.int(0), two, h);
    each(two, (s, row) => b.store(gates, [s, row], activate(0, clip(b.load(gates, [s, row])))));
    const resetState = temporary('reset_state');
    if (!linear) each(size, (s, j) => b.store(resetState, [s, j], e.mul(b.load(gates, [s, e.add(j, size)]), b.load(h, [s, j]))));
    each(size, (s, j) => {
      const row = e.add(j, two);
      b.store(gates, [s, row], linear ? (recurrentBias(row) ?? e.constant(0, h.dtype)) : biased(s, row));
    });
    addRecurrent(two, size, linear ? h : resetState);
    each(size, (s, j) => {
      const row = e.add(j, two);
      const past = b.load(gates, [s, row]);
      const candidate = activate(1, clip(linear ? e.add(input(s, row), e.mul(b.load(gates, [s, e.add(j, size)]), past)) : past));
      const z = b.load(gates, [s, j]);
      b.store(h, [s, j], e.add(e.mul(e.sub(e.constant(1, h.dtype), z), candidate), e.mul(z, b.load(h, [s, j]))));
    });
  },
};

export const operators: readonly Operator[] = recurrentOperators(
  cell,
  'Gates in order z, r, h. z = f₀(x·w_zᵀ + h·r_zᵀ + biases), r likewise; h̃ = f₁(x·w_hᵀ + b_w + (r·h)·r_hᵀ + b_r), or with `linear_before_reset` '
  + 'f₁(x·w_hᵀ + b_w + r·(h·r_hᵀ + b_r)); h ← (1 − z)·h̃ + z·h. Defaults of f₀, f₁: sigmoid, tanh. Source: Cho et al. 2014.',
  [{ linear_before_reset: true }, { activations: [{ name: 'affine', alpha: 0.5, beta: 0.1 }, { name: 'scaled_tanh', alpha: 0.8, beta: 0.7 }] }],
);
