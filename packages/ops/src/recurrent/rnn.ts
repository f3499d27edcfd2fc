import type { Operator } from '@tenon/plugin';
import type { Cell } from './cell.ts';
import { recurrentOperators } from './sequence.ts';

const cell: Cell = {
  name: 'rnn',
  gates: 1,
  cellState: false,
  temporaries: [],
  activations: ['tanh'],
  attrs: {},
  evaluate: ({ h, input, recurrent, recurrentBias, activate, clip }) => {
    h.set(input.map((value, row) => activate(0, clip(value + recurrent(row, h) + recurrentBias(row)))));
  },
  emit: ({ b, size, h, gates, each, biased, addRecurrent, activate, clip }) => {
    each(size, (s, row) => b.store(gates, [s, row], biased(s, row)));
    addRecurrent(b.exprs.int(0), size, h);
    each(size, (s, j) => b.store(h, [s, j], activate(0, clip(b.load(gates, [s, j])))));
  },
};

export const operators: readonly Operator[] = recurrentOperators(
  cell,
  'One gate: h ← f(x·wᵀ + h·rᵀ + biases). Default of f: tanh. Source: Elman 1990.',
  ['relu', 'thresholded_relu', 'elu', 'softplus', 'leaky_relu'].map((name) => ({ activations: [{ name }] })),
);
