import type { Operator } from '@tenon/plugin';
import { sameDType, tensorOf } from '../common/errors.ts';
import { arg, given, oddShapes, sample } from '../common/samples.ts';
import { same } from './dtype-rules.ts';
import { asCondition, pointwise } from './pointwise.ts';

const where = pointwise({
  name: 'math.where',
  doc: 'The element of `a` where `condition` holds, else that of `b`. All three broadcast; `a` and `b` have one dtype.',
  params: ['condition', 'a', 'b'],
  dtype: (call) => {
    tensorOf(call, 0, 'bool');
    return sameDType(call, [1, 2]);
  },
  real: () => (c, x, y) => (c ? x! : y!),
  exact: () => (c, x, y) => (c ? x! : y!),
  scalar: (e, [c, x, y]) => e.select(c!, x!, y!),
  dim: (e, [c, x, y]) => e.select(asCondition(e, c!), x!, y!),
  samples: () => {
    const shapes: (readonly (readonly number[])[])[] = [[[], [], []], [[3], [], []], [[2, 1], [3], []], [[1], [2, 3], [2, 1]], [[0], [1], []], [[3, 5], [3, 5], [3, 5]]];
    return ['f32', 'i64', 'i32', 'bool', 'u8'].flatMap((dtype) =>
      shapes.map(([c, a, b]) => sample([arg(c!, 'bool', [0, 1]), arg(a!, dtype, dtype === 'bool' ? [0, 1] : [0, 9]), arg(b!, dtype, dtype === 'bool' ? [0, 1] : [0, 9])])));
  },
});

const clip = pointwise({
  name: 'math.clip',
  doc: 'min(max(x, `min`), `max`): x limited to `min … max`; a limit that is left out does not apply. Where `min` > `max` the result is `max`. '
    + 'The limits have the dtype of x and broadcast (mostly scalars). NaN in any of them gives NaN.',
  params: ['x', 'min?', 'max?'],
  dtype: same('numeric'),
  real: () => (x, lo, hi) => {
    const raised = lo === undefined ? x! : Math.max(x!, lo);
    return hi === undefined ? raised : Math.min(raised, hi);
  },
  exact: () => (x, lo, hi) => {
    const raised = lo === undefined || x! > lo ? x! : lo;
    return hi === undefined || raised < hi ? raised : hi;
  },
  scalar: (e, [x, lo, hi]) => {
    const raised = lo === undefined ? x! : e.max(x!, lo);
    return hi === undefined ? raised : e.min(raised, hi);
  },
  flops: 2,
  samples: () => ['f32', 'i32', 'i64', 'u8'].flatMap((dtype) => [
    ...oddShapes.map((shape) => sample([arg(shape, dtype, [0, 9]), given([2], dtype, []), given([6], dtype, [])])),
    sample([arg([9], dtype, [0, 9]), given([3], dtype, []), null]), sample([arg([9], dtype, [0, 9]), null, given([5], dtype, [])]),
    sample([arg([9], dtype, [0, 9]), given([7], dtype, []), given([3], dtype, [])]), sample([arg([4], dtype, [0, 9])]),
  ]),
});

export const operators: readonly Operator[] = [where, clip];
