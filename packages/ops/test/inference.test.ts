import { describe, expect, it } from 'vitest';
import type { TensorType } from '@tenon/plugin';
import { failureOf, testSession } from './session.ts';

const session = testSession();
const { exprs, types } = session;
const n = exprs.variable('n');
const shapeOf = (op: string, args: readonly TensorType[], attrs = {}): readonly unknown[] => {
  const [type] = session.infer(op, args, attrs) as TensorType[];
  return type!.shape.map((d) => exprs.valueOf(d) ?? d);
};

describe('broadcasting of symbolic shapes', () => {
  it('takes equal dims and constant ones', () => {
    expect(shapeOf('math.add', [types.tensor('f32', [n, 3]), types.tensor('f32', [1, 3])])).toEqual([n, 3]);
    expect(shapeOf('math.add', [types.tensor('f32', [3]), types.tensor('f32', [n, 1])])).toEqual([n, 3]);
    expect(shapeOf('math.where', [types.tensor('bool', [n]), types.tensor('f32', []), types.tensor('f32', [2, 1])])).toEqual([2, n]);
  });
  it('takes dims that are provably equal', () => {
    const twice = exprs.mul(n, 2);
    expect(shapeOf('math.mul', [types.tensor('f32', [exprs.add(n, n)]), types.tensor('f32', [twice])])).toEqual([twice]);
  });
  it('refuses what may or may not broadcast, and says which dims to fix', () => {
    const failure = failureOf(() => session.infer('math.add', [types.tensor('f32', [n]), types.tensor('f32', [exprs.variable('m')])], {}));
    expect(failure.code).toBe('op/broadcast');
    expect(failure.hint).toMatch(/n, m/);
    expect(failureOf(() => session.infer('math.add', [types.tensor('f32', [n]), types.tensor('f32', [4])], {})).code).toBe('op/broadcast');
    expect(failureOf(() => session.infer('math.add', [types.tensor('f32', [3]), types.tensor('f32', [4])], {})).hint).toBeNull();
  });
});

describe('dtypes', () => {
  it.each([
    ['math.add', ['f32', 'f64']], ['math.and', ['i32', 'i32']], ['math.bitand', ['f32', 'f32']], ['math.sin', ['i32']], ['math.equal', ['string', 'string']],
    ['math.where', ['f32', 'f32', 'f32']], ['math.clip', ['f32', 'i32', 'i32']], ['reduce.l2', ['i32']], ['reduce.any', ['f32']],
  ] as const)('%s refuses %j', (op, dtypes) => {
    expect(failureOf(() => session.infer(op, dtypes.map((d) => types.tensor(d, [2])), {})).code).toBe('op/dtype');
  });
  it('bitcast refuses another width', () => {
    expect(failureOf(() => session.infer('math.bitcast', [types.tensor('f32', [2])], { to: 'i64' })).code).toBe('op/dtype');
    expect(failureOf(() => session.infer('math.cast', [types.tensor('f32', [2])], {})).code).toBe('op/attribute');
  });
});

describe('integer contents as dims', () => {
  const vector = types.tensor('i64', [2]);
  const contents = (lists: readonly (readonly (number | typeof n)[])[]) => (i: number) => lists[i]!.map((v) => (typeof v === 'number' ? exprs.int(v) : v));
  const of = (op: string, lists: readonly (readonly (number | typeof n)[])[], attrs = {}, args: readonly TensorType[] = lists.map(() => vector)) => session.shapeValue(op, args, attrs, contents(lists))[0];

  it('computes arithmetic on dims', () => {
    expect(of('math.add', [[n, 1], [2, 3]])).toEqual([exprs.add(n, 2), exprs.int(4)]);
    expect(of('math.mul', [[n, 2], [4, 5]])).toEqual([exprs.mul(n, 4), exprs.int(10)]);
    expect(of('math.div', [[exprs.mul(n, 4), -7], [4, 2]])?.[1]).toBe(exprs.int(-3));
    expect(of('math.div', [[n, 1], [0, 1]])).toBeNull();
    expect(of('reduce.prod', [[n, 6]], { keepdims: false })).toEqual([exprs.mul(n, 6)]);
  });
  it('selects between dims by comparisons', () => {
    const bools = types.tensor('bool', [2]);
    expect(of('math.equal', [[-1, 3], [-1, -1]])).toEqual([exprs.int(1), exprs.int(0)]);
    expect(of('math.where', [[1, 0], [n, 7], [8, 9]], {}, [bools, vector, vector])).toEqual([n, exprs.int(9)]);
  });
  it('wraps constants to narrow dtypes', () => {
    const bytes = types.tensor('i8', [2]);
    expect(of('math.add', [[100, 1], [100, 1]], {}, [bytes, bytes])).toEqual([exprs.int(-56), exprs.int(2)]);
  });
});
