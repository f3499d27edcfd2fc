import type { Attrs, Operator } from '@tenon/plugin';
import { activationsDoc } from './activations.ts';
import { sequenceSamples } from './samples.ts';
import { costOfSequence, defineSequence, evaluateSequence, inferSequence, sequenceDoc, type Cell } from './sequence.ts';

const cell: Cell = {
  gates: 1,
  cellState: false,
  temporaries: [],
  activations: ['tanh'],
  evaluate: ({ h, input, recurrent, recurrentBias, activate, clip }) => {
    h.set(input.map((value, row) => activate(0, clip(value + recurrent(row, h) + recurrentBias(row)))));
  },
  emit: ({ b, size, h, gates, input, addRecurrent, recurrentBias, activate, clip }) => {
    b.loop(size, (row) => {
      b.store(gates, [row], b.exprs.add(input(row), recurrentBias(row)));
      addRecurrent(row, row, h);
    });
    b.loop(size, (j) => b.store(h, [j], activate(0, clip(b.load(gates, [j])))));
  },
};

const rnn: Operator = {
  name: 'nn.rnn',
  doc: sequenceDoc + 'One gate: h ← f(x·wᵀ + h·rᵀ + biases). Default of f: tanh. ' + activationsDoc + ' Source: Elman 1990.',
  signature: {
    params: ['x', 'w', 'r', 'bias?', 'lengths?', 'initial_h?'],
    attrs: { direction: 'forward', activations: null, clip: null } satisfies Attrs,
    results: ['y', 'last_h'],
  },
  facets: {
    infer: (call) => inferSequence(call, cell),
    reference: (call) => evaluateSequence(call, cell),
    define: (call, b) => defineSequence(call, b, cell),
    cost: costOfSequence,
    samples: () => sequenceSamples(cell, ['relu', 'thresholded_relu', 'elu', 'softplus', 'leaky_relu'].map((name) => ({ activations: [{ name }] }))),
  },
};

export const operators: readonly Operator[] = [rnn];
