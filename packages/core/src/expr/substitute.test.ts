import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Expr } from '@tenon/plugin';
import { createExprs, evaluateDim } from './index.ts';

const exprs = createExprs();
const [a, b, c] = ['a', 'b', 'c'].map((name) => exprs.variable(name)) as [Expr, Expr, Expr];

const integer: fc.Arbitrary<Expr> = fc.letrec<{ e: Expr }>((tie) => ({
  e: fc.oneof(
    { maxDepth: 3, depthIdentifier: 'e' },
    fc.constantFrom(a, b, c),
    fc.integer({ min: -5, max: 5 }).map((v) => exprs.int(v)),
    fc.tuple(fc.constantFrom('add' as const, 'sub' as const, 'mul' as const, 'min' as const, 'max' as const), tie('e'), tie('e')).map(([op, x, y]) => exprs[op](x, y)),
    fc.tuple(fc.constantFrom('floordiv' as const, 'mod' as const), tie('e'), fc.constantFrom(2, 3, 4)).map(([op, x, y]) => exprs[op](x, y)),
  ),
})).e;

test('a variable that simplification leaves is not replaced again', () => {
  const reversed = exprs.sub(3, a);
  expect(exprs.substitute(reversed, new Map([['a', reversed]]))).toBe(a);
  expect(exprs.substitute(exprs.sub(exprs.add(a, b), 1), new Map([['a', exprs.sub(b, 1)], ['b', exprs.sub(2, b)]]))).toBe(exprs.int(0));
});

test('values are put in all at once: the result evaluates like the expression at the values', () => {
  fc.assert(fc.property(integer, integer, integer, fc.tuple(fc.integer({ min: -6, max: 6 }), fc.integer({ min: -6, max: 6 }), fc.integer({ min: -6, max: 6 })), (e, x, y, [p, q, r]) => {
    const point = new Map([['a', p], ['b', q], ['c', r]]);
    const substituted = exprs.substitute(e, new Map([['a', x], ['b', y]]));
    expect(evaluateDim(substituted, point)).toBe(evaluateDim(e, new Map([['a', evaluateDim(x, point)], ['b', evaluateDim(y, point)], ['c', r]])));
  }), { numRuns: 2000, seed: 7 });
});
