import { describe, expect, it } from 'vitest';
import type { HostTensor } from '@tenon/plugin';
import { evaluateTensorFunction } from '@tenon/interp';
import { hostTensor } from '../src/common/host-tensor.ts';
import { failureOf, testSession } from './session.ts';

/** x[i, j, k] = 12 i + 4 j + k. */
const x: HostTensor = hostTensor('f32', [2, 3, 4], Array.from({ length: 24 }, (_, i) => i));

describe('reductions over axes that are dims', () => {
  const session = testSession();
  const { exprs } = session;
  const axes = [exprs.variable('a')];

  it.each(['reduce.sum', 'reduce.max', 'reduce.mean', 'reduce.log_sum_exp', 'reduce.l2'])('%s gives the same as with constant axes', (op) => {
    const fn = session.define('f', op, [session.types.tensor('f32', x.shape)], { axes })!;
    for (const axis of [0, 1, 2, -1, -3]) {
      const [got] = evaluateTensorFunction(fn, [x], new Map([['a', axis]]));
      const [want] = session.evaluate(op, [x], { axes: [axis] })!;
      expect(got!.shape, `axis ${axis}`).toEqual(want!.shape);
      const largest = Math.max(...(want!.data as Float32Array));
      (want!.data as Float32Array).forEach((v, i) => expect(Math.abs((got!.data as Float32Array)[i]! - v)).toBeLessThanOrEqual(1e-6 * largest));
    }
  });

  it('follows two axes, in symbolic shapes too', () => {
    const [n, m] = [exprs.variable('n'), exprs.variable('m')];
    const fn = session.define('f', 'reduce.sum', [session.types.tensor('f32', [n, 3, m])], { axes: [exprs.variable('a'), exprs.variable('b')] })!;
    const [got] = evaluateTensorFunction(fn, [x], new Map([['a', 2], ['b', -3]]));
    expect(got!.shape).toEqual([1, 3, 1]);
    expect(got!.data).toEqual(Float32Array.of(60, 92, 124));
  });

  it('refuses to drop axes that are not known', () => {
    const failure = failureOf(() => session.infer('reduce.sum', [session.types.tensor('f32', [2, 3])], { axes, keepdims: false }));
    expect(failure.code).toBe('op/axis');
    expect(failure.message).toContain('keepdims');
  });

  it('refuses axes out of range and repeated ones', () => {
    const type = session.types.tensor('f32', [2, 3]);
    expect(failureOf(() => session.infer('reduce.sum', [type], { axes: [2] })).code).toBe('op/axis');
    expect(failureOf(() => session.infer('reduce.sum', [type], { axes: [1, -1] })).code).toBe('op/axis');
    expect(failureOf(() => session.infer('reduce.argmax', [type], { axis: -3 })).code).toBe('op/axis');
  });
});
