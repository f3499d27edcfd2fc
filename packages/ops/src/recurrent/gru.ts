import type { Attrs, Operator } from '@tenon/plugin';
import { activationsDoc } from './activations.ts';
import { sequenceSamples } from './samples.ts';
import { costOfSequence, defineSequence, evaluateSequence, inferSequence, sequenceDoc, type Cell } from './sequence.ts';

const cell: Cell = {
  gates: 3,
  cellState: false,
  temporaries: ['reset_state'],
  activations: ['sigmoid', 'tanh'],
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
  emit: ({ b, size, h, gates, input, addRecurrent, recurrentBias, activate, clip, temporary }, attrs) => {
    const { exprs: e } = b;
    const linear = attrs['linear_before_reset'] === true;
    const resetState = temporary('reset_state');
    b.loop(e.mul(size, 2), (row) => {
      b.store(gates, [row], e.add(input(row), recurrentBias(row)));
      addRecurrent(row, row, h);
      b.store(gates, [row], activate(0, clip(b.load(gates, [row]))));
    });
    b.loop(size, (j) => b.store(resetState, [j], e.mul(b.load(gates, [e.add(j, size)]), b.load(h, [j]))));
    b.loop(size, (j) => {
      const row = e.add(j, e.mul(size, 2));
      b.store(gates, [row], recurrentBias(row));
      addRecurrent(row, row, linear ? h : resetState);
    });
    b.loop(size, (j) => {
      const row = e.add(j, e.mul(size, 2));
      const past = b.load(gates, [row]);
      const candidate = activate(1, clip(e.add(input(row), linear ? e.mul(b.load(gates, [e.add(j, size)]), past) : past)));
      const z = b.load(gates, [j]);
      b.store(h, [j], e.add(e.mul(e.sub(e.constant(1, h.dtype), z), candidate), e.mul(z, b.load(h, [j]))));
    });
  },
};

const gru: Operator = {
  name: 'nn.gru',
  doc: sequenceDoc
    + 'Gates in order z, r, h. z = f₀(x·w_zᵀ + h·r_zᵀ + biases), r likewise; h̃ = f₁(x·w_hᵀ + b_w + (r·h)·r_hᵀ + b_r), or with `linear_before_reset` '
    + 'f₁(x·w_hᵀ + b_w + r·(h·r_hᵀ + b_r)); h ← (1 − z)·h̃ + z·h. Defaults of f₀, f₁: sigmoid, tanh. ' + activationsDoc + ' Source: Cho et al. 2014.',
  signature: {
    params: ['x', 'w', 'r', 'bias?', 'lengths?', 'initial_h?'],
    attrs: { direction: 'forward', activations: null, clip: null, linear_before_reset: false } satisfies Attrs,
    results: ['y', 'last_h'],
  },
  facets: {
    infer: (call) => inferSequence(call, cell),
    reference: (call) => evaluateSequence(call, cell),
    define: (call, b) => defineSequence(call, b, cell),
    cost: costOfSequence,
    samples: () => sequenceSamples(cell, [{ linear_before_reset: true }, { activations: [{ name: 'affine', alpha: 0.5, beta: 0.1 }, { name: 'scaled_tanh', alpha: 0.8, beta: 0.7 }] }]),
  },
};

export const operators: readonly Operator[] = [gru];
