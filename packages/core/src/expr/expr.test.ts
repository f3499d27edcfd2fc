import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Expr, Scope, VarFacts } from '@tenon/plugin';
import { createExprs, evaluateDim } from './index.ts';

const exprs = createExprs();
const [n, m, i] = ['n', 'm', 'i'].map((name) => exprs.variable(name)) as [Expr, Expr, Expr];

describe('normal form', () => {
  test('equal dims are identical', () => {
    expect(exprs.mul(n, exprs.add(m, 1))).toBe(exprs.add(exprs.mul(m, n), n));
    expect(exprs.sub(exprs.add(n, m), m)).toBe(n);
    expect(exprs.floordiv(exprs.mul(n, 768), 64)).toBe(exprs.mul(n, 12));
    expect(exprs.mod(exprs.add(exprs.mul(n, 8), 3), 8)).toBe(exprs.int(3));
    expect(exprs.add(exprs.mul(exprs.floordiv(i, 6), 6), exprs.mod(i, 6))).toBe(i);
    expect(exprs.floordiv(exprs.add(exprs.mul(n, m), m), m)).toBe(exprs.add(n, 1));
  });
  test('64-bit integers wrap and stay exact', () => {
    expect(exprs.add(exprs.int(9007199254740991), 2).value).toBe(9007199254740993n);
    expect(exprs.mul(exprs.int(2n ** 62n), 4).value).toBe(0);
  });
});

describe('with facts', () => {
  const scope: Scope = new Map<string, VarFacts>([
    ['n', { min: 1, max: 4096, multipleOf: 8 }],
    ['m', { min: 1, max: null }],
    ['i', { min: 0, max: exprs.sub(n, 1) }],
  ]);
  test('symbolic bounds cancel', () => {
    expect(exprs.prove(exprs.lt(i, n), scope)).toBe('yes');
    expect(exprs.prove(exprs.lt(exprs.add(exprs.mul(m, n), i), exprs.mul(exprs.add(m, 1), n)), scope)).toBe('yes');
    expect(exprs.prove(exprs.lt(i, 16), scope)).toBe('unknown');
    expect(exprs.prove(exprs.eq(exprs.mod(n, 8), 0), scope)).not.toBe('no');
    expect(exprs.prove(exprs.eq(n, 12), scope)).not.toBe('yes');
    expect(exprs.prove(exprs.eq(exprs.mul(n, 2), 7), scope)).toBe('no');
  });
  test('divisions fold', () => {
    expect(exprs.simplify(exprs.floordiv(exprs.add(exprs.mul(m, n), i), n), scope)).toBe(m);
    expect(exprs.simplify(exprs.mod(exprs.add(exprs.mul(m, n), i), n), scope)).toBe(i);
    expect(exprs.divisor(exprs.mul(n, 3), scope)).toBe(24);
  });
});

/** Random expressions over a, b, c in their ranges, built without simplification; divisors are positive. */
const facts = new Map<string, VarFacts>([
  ['a', { min: 0, max: 12 }],
  ['b', { min: 1, max: 20, multipleOf: 4 }],
  ['c', { min: -7, max: exprs.sub(exprs.variable('b'), 1) }],
]);
const integer: fc.Arbitrary<Expr> = fc.letrec<{ int: Expr; bool: Expr }>((tie) => ({
  int: fc.oneof(
    { maxDepth: 4, depthIdentifier: 'e' },
    fc.constantFrom(...['a', 'b', 'c'].map((name) => exprs.variable(name))),
    fc.integer({ min: -9, max: 9 }).map((v) => exprs.int(v)),
    fc.tuple(fc.constantFrom('add' as const, 'sub' as const, 'mul' as const, 'min' as const, 'max' as const), tie('int'), tie('int'))
      .map(([op, x, y]) => exprs.make(op, 'i64', [x, y], null)),
    fc.tuple(fc.constantFrom('floordiv' as const, 'mod' as const), tie('int'), fc.oneof(fc.constantFrom(2, 3, 4, 6, 8).map((v) => exprs.int(v)), fc.constant(exprs.variable('b')), fc.constant(exprs.make('mul', 'i64', [exprs.variable('b'), exprs.int(2)], null))))
      .map(([op, x, y]) => exprs.make(op, 'i64', [x, y], null)),
    fc.tuple(fc.constantFrom('truncdiv' as const, 'truncmod' as const), tie('int'), fc.constantFrom(2, 3, 5)).map(([op, x, y]) => exprs.make(op, 'i64', [x, exprs.int(y)], null)),
    fc.tuple(tie('bool'), tie('int'), tie('int')).map(([p, x, y]) => exprs.make('select', 'i64', [p, x, y], null)),
  ),
  bool: fc.oneof(
    { maxDepth: 2, depthIdentifier: 'e' },
    fc.tuple(fc.constantFrom('eq' as const, 'ne' as const, 'lt' as const, 'le' as const), tie('int'), tie('int')).map(([op, x, y]) => exprs.make(op, 'bool', [x, y], null)),
    fc.tuple(fc.constantFrom('and' as const, 'or' as const), tie('bool'), tie('bool')).map(([op, x, y]) => exprs.make(op, 'bool', [x, y], null)),
    tie('bool').map((x) => exprs.make('not', 'bool', [x], null)),
  ),
})).int;
const points: ReadonlyMap<string, number>[] = [];
for (const a of [0, 1, 5, 12]) for (const b of [4, 8, 20]) for (const c of [-7, -1, 0, 3, b - 1]) points.push(new Map([['a', a], ['b', b], ['c', c]]));

test('10⁴ random expressions: simplification, bounds, divisor and prove are never contradicted by evaluation', () => {
  fc.assert(
    fc.property(integer, integer, (e, other) => {
      const plain = exprs.simplify(e);
      const inScope = exprs.simplify(e, facts);
      const bounds = exprs.bounds(e, facts);
      const divisor = exprs.divisor(inScope, facts);
      const conditions = (['eq', 'lt', 'le'] as const).map((op) => exprs.make(op, 'bool', [e, other], null));
      const proofs = conditions.map((c) => exprs.prove(c, facts));
      expect(exprs.simplify(plain)).toBe(plain);
      // Plain comparisons: a million calls of `expect` would take most of the time.
      const check = (holds: boolean, what: string): void => {
        if (!holds) throw new Error(`${what} contradicts evaluation`);
      };
      for (const point of points) {
        const value = evaluateDim(e, point);
        check(evaluateDim(plain, point) === value, 'simplify');
        check(evaluateDim(inScope, point) === value, 'simplify in scope');
        check(bounds.min === null || value >= bounds.min, 'the lower bound');
        check(bounds.max === null || value <= bounds.max, 'the upper bound');
        check(divisor === 0 ? value === 0 : value % divisor === 0, 'the divisor');
        conditions.forEach((condition, k) => {
          if (proofs[k] !== 'unknown') check(evaluateDim(condition, point) === (proofs[k] === 'yes' ? 1 : 0), `prove ${condition.op}`);
        });
      }
    }),
    { numRuns: 10000, seed: 20260101 },
  );
}, 60_000);
