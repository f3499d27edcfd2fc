import { describe, expect, it } from 'vitest';
import { any, constraint, op, type Constraint, type Scope, type Verdict } from '@tenon/plugin';
import { main, read, testSession } from '../../test/harness.ts';
import { checkConstraints, describe as inWords } from './constraints.ts';

const session = testSession();
const { exprs } = session;
const module = read(session, `
dims n in 1..100
dims m in 8..64, m % 8 == 0
graph @main(%x: f32[n, 8, m; layout = "NHWC"], %w: f32[n, 8, m]) -> f32[n, 8, m] {
  %0: f32[n, 8, m] = t.conv(%x, %w) {strides = [2, 2]}
  return %0
}`);
const fn = main(module);
const scope: Scope = new Map([['n', { min: 1, max: 100 }], ['m', { min: 8, max: 64, multipleOf: 8 }]]);
const match = session.match(op('t.conv', [any('x'), any('w')], { name: 'y' }), fn.results[0]!, fn, module)!;
const check = (c: Constraint, guards = true): Verdict => checkConstraints([c], match, scope, session, guards);
const [n, m] = [exprs.variable('n'), exprs.variable('m')];

const yes = { ok: true, guards: [] };
const refused = (kind: string) => ({ ok: false, code: `constraint/${kind}` });

describe('a constraint holds, does not, or holds under a guard', () => {
  it.each<[Constraint, object]>([
    [constraint.dtype('x', 'f16', 'f32'), yes],
    [constraint.dtype('x', 'i8'), refused('dtype')],
    [constraint.rank('x', 3), yes],
    [constraint.rank('x', 1, 2), refused('rank')],
    [constraint.static('x', [1]), yes],
    [constraint.static('x', [-2]), yes],
    [constraint.static('x'), refused('static')],
    [constraint.static('x', [0, 1]), refused('static')],
    [constraint.static('x', [3]), refused('static')],
    [constraint.multipleOf('x', 1, 4), yes],
    [constraint.multipleOf('x', 2, 8), yes],
    [constraint.multipleOf('x', -1, 8), yes],
    [constraint.multipleOf('x', 1, 3), refused('multipleOf')],
    [constraint.multipleOf('x', 0, 4), { ok: true, guards: [exprs.eq(exprs.mod(n, 4), 0)] }],
    [constraint.multipleOf('x', 5, 4), refused('multipleOf')],
    [constraint.range('x', 0, 1, 100), yes],
    [constraint.range('x', 0, 1), yes],
    [constraint.range('x', 0, 101), refused('range')],
    [constraint.range('x', 2, 0, 7), refused('range')],
    [constraint.range('x', 0, 2), { ok: true, guards: [exprs.le(exprs.int(2), n)] }],
    [constraint.range('x', 9, 1), refused('range')],
    [constraint.equal({ of: 'x', axis: 0 }, { of: 'w', axis: 0 }), yes],
    [constraint.equal({ of: 'x', axis: 1 }, { of: 'w', axis: 2 }), { ok: true, guards: [exprs.eq(exprs.int(8), m)] }],
    [constraint.equal({ of: 'x', axis: 0 }, { of: 'w', axis: 7 }), refused('equal')],
    [constraint.layout('x', 'NHWC'), yes],
    [constraint.layout('w', 'NHWC'), refused('layout')],
    [constraint.bytes('x', 4 * 100 * 8 * 64), yes],
    [constraint.bytes('x', 4 * 8 * 8 - 1), refused('bytes')],
    [constraint.attr('y', 'groups', 1), yes],
    [constraint.attr('y', 'groups', 2, 4), refused('attr')],
    [constraint.attr('y', 'strides', [1, 1], [2, 2]), yes],
    [constraint.attr('y', 'nothing', 1), refused('attr')],
    [constraint.dtype('nobody', 'f32'), refused('dtype')],
  ])('%o', (c, want) => {
    expect(check(c)).toMatchObject(want);
    expect(inWords(c).length).toBeGreaterThan(10);
  });

  it('is refused where guards are not allowed: unknown never means yes', () => {
    expect(check(constraint.multipleOf('x', 0, 4), false)).toMatchObject({ ok: false, code: 'constraint/unproved', message: expect.stringContaining('for all values of n') as string });
    expect(check(constraint.multipleOf('x', 2, 8), false)).toMatchObject(yes);
  });

  it('collects guards, and stops at the first refusal', () => {
    const guarded = [constraint.multipleOf('x', 0, 4), constraint.range('x', 0, 2)];
    expect(checkConstraints(guarded, match, scope, session, true)).toMatchObject({ ok: true, guards: [{}, {}] });
    expect(checkConstraints([...guarded, constraint.rank('x', 1)], match, scope, session, true)).toMatchObject(refused('rank'));
  });
});
