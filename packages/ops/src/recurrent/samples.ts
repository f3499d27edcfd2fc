import type { Attrs, OperatorSample, SampleArgument } from '@tenon/plugin';
import { arg, given, sample } from '../common/samples.ts';
import type { Cell } from './cell.ts';

/** Calls that walk forward, back and both ways, with and without optional arguments, at odd and zero sizes. */
export function sequenceSamples(cell: Cell, variants: readonly Attrs[]): readonly OperatorSample[] {
  const weights = (n: number, inputs: number, size: number, dtype = 'f32'): readonly SampleArgument[] =>
    [arg([n, cell.gates * size, inputs], dtype, [-1, 1]), arg([n, cell.gates * size, size], dtype, [-1, 1])];
  const bias = (n: number, size: number): SampleArgument => arg([n, 2 * cell.gates * size], 'f32', [-1, 1]);
  const states = (n: number, batch: number, size: number): readonly (SampleArgument | null)[] =>
    [arg([n, batch, size]), ...(cell.cellState ? [arg([n, batch, size]), arg([n, 3 * size], 'f32', [-1, 1])] : [])];
  const both = cell.activations.flatMap(() => [{ name: 'tanh' }]);
  const other = cell.activations.flatMap(() => [{ name: 'sigmoid' }]);
  return [
    sample([arg([4, 2, 3]), ...weights(1, 3, 5)]),
    sample([arg([4, 2, 3]), ...weights(1, 3, 5), bias(1, 5)], { direction: 'reverse' }),
    sample([arg([3, 2, 3]), ...weights(2, 3, 4), bias(2, 4), null, ...states(2, 2, 4)], { direction: 'bidirectional' }),
    sample([arg([4, 3, 2]), ...weights(2, 2, 3), bias(2, 3), given([4, 2, 0], 'i32'), ...states(2, 3, 3)], { direction: 'bidirectional' }),
    sample([arg([3, 2, 2]), ...weights(1, 2, 3), null, given([1, 3], 'i64'), ...states(1, 2, 3)], { direction: 'reverse', clip: 0.5 }),
    sample([arg([3, 2, 2]), ...weights(2, 2, 3)], { direction: 'bidirectional', activations: [...both, ...other] }),
    sample([arg([0, 2, 3]), ...weights(1, 3, 2), null, null, ...states(1, 2, 2)]),
    sample([arg([2, 0, 3]), ...weights(1, 3, 2)]),
    sample([arg([3, 1, 2], 'f64'), ...weights(1, 2, 3, 'f64')], {}, 1e-12),
    ...variants.map((attrs) => sample([arg([3, 2, 3]), ...weights(1, 3, 4), bias(1, 4), null, ...states(1, 2, 4)], attrs)),
  ];
}

/** Calls of the walk alone. */
export function stepsSamples(cell: Cell): readonly OperatorSample[] {
  const products = (steps: number, batch: number, n: number, size: number, dtype = 'f32'): readonly SampleArgument[] =>
    [arg([steps, batch, n, cell.gates * size], dtype, [-1, 1]), arg([n, size, cell.gates * size], dtype, [-1, 1])];
  const states = (n: number, batch: number, size: number): readonly SampleArgument[] =>
    [arg([n, batch, size]), ...(cell.cellState ? [arg([n, batch, size]), arg([n, 3 * size], 'f32', [-1, 1])] : [])];
  return [
    sample([...products(3, 2, 1, 9)]),
    sample([...products(3, 2, 2, 5), arg([2, cell.gates * 5], 'f32', [-1, 1]), given([1, 3], 'i64'), ...states(2, 2, 5)], { direction: 'bidirectional' }),
    sample([...products(2, 1, 1, 4, 'f64')], { direction: 'reverse', clip: 0.5 }, 1e-12),
    sample([...products(0, 2, 1, 3)]),
    sample([...products(2, 11, 1, 5)]),
    sample([...products(2, 18, 2, 3), null, given(Array.from({ length: 18 }, (_, i) => i % 3), 'i64'), ...states(2, 18, 3)], { direction: 'bidirectional' }),
  ];
}
