import { describe, expect, it } from 'vitest';
import { any, constant, op, type Match, type Pattern } from '@tenon/plugin';
import { main, read, testSession } from '../../test/harness.ts';

const session = testSession();
const module = read(session, `
const @zero: f32[4] = [0, 0, 0, 0]
const @mixed: f32[4] = [0, 1, 0, 0]
const @none: f32[0] = []
graph @main(%x: f32[4], %y: f32[4], %e: f32[0]) -> (f32[4], f32[0]) {
  %n: f32[4] = t.neg(%x)
  %add: f32[4] = t.add(%n, %y)
  %self: f32[4] = t.mul(%x, %x)
  %zero: f32[4] = t.add(%x, @zero)
  %mixed: f32[4] = t.add(@mixed, %x)
  %conv: f32[4] = t.conv(%x, %y, _)
  %grouped: f32[4] = t.conv(%x, %y, %n) {groups = 2, strides = [2, 1]}
  %a: f32[4], %b: f32[4] = t.split(%x)
  %second: f32[4] = t.neg(%b)
  %xy: f32[4] = t.mul(%x, %y)
  %sum: f32[4] = t.add(%xy, %x)
  %two: f32[4] = t.add(%n, %n)
  %empty: f32[0] = t.add(%e, @none)
  return %add, %empty
}`);
const fn = main(module);
const valueOf = (name: string) => fn.bindings.flatMap((b) => b.results).find((r) => r.name === name)!;
const match = (pattern: Pattern, at: string): Match | null => session.match(pattern, valueOf(at), fn, module);
const names = (m: Match | null): Record<string, string> | null => (m === null ? null : Object.fromEntries([...m.values].map(([k, v]) => [k, v.name])));

describe('a pattern', () => {
  it('of an operator names values and covers bindings, root first', () => {
    const m = match(op('t.add', [op('t.neg', [any('x')]), any('y')], { name: 'sum' }), 'add');
    expect(names(m)).toEqual({ sum: 'add', x: 'x', y: 'y' });
    expect(m!.root).toBe(valueOf('add'));
    expect(m!.bindings.map((b) => b.callee)).toEqual(['t.add', 't.neg']);
    expect(match(op('t.sub'), 'add')).toBeNull();
    expect(match(op(['t.sub', 't.add']), 'add')).not.toBeNull();
    expect(match(op('*'), 'add')).not.toBeNull();
  });

  it('with arguments asks for their number; one that is left out may be written', () => {
    expect(match(op('t.add', [any()]), 'add')).toBeNull();
    expect(match(op('t.conv', [any('x'), any('w')]), 'conv')).not.toBeNull();
    expect(match(op('t.conv', [any('x'), any('w'), any('b')]), 'conv')).toBeNull();
    expect(match(op('t.conv', [any('x'), any('w')]), 'grouped')).toBeNull();
  });

  it('matches a repeated name only by the same value', () => {
    expect(match(op('t.mul', [any('a'), any('a')]), 'self')).not.toBeNull();
    expect(match(op('t.mul', [any('a'), any('a')]), 'xy')).toBeNull();
    expect(match(op('t.add', [any('c'), any('c')]), 'zero')).toBeNull();
  });

  it('that is commutative tries both orders', () => {
    const pattern = (commutative: boolean) => op('t.add', [any('y'), op('t.neg', [any('x')])], { commutative });
    expect(match(pattern(false), 'add')).toBeNull();
    expect(names(match(pattern(true), 'add'))).toEqual({ y: 'y', x: 'x' });
  });

  it('goes back on a choice that does not fit what follows', () => {
    // The product must be taken the other way round for its first operand to be the one that is added.
    const pattern = op('t.add', [op('t.mul', [any('a'), any('b')], { commutative: true }), any('b')]);
    expect(names(match(pattern, 'sum'))).toEqual({ a: 'y', b: 'x' });
    // What is optional is there, but must not be taken.
    const optional: Pattern = { kind: 'optional', op: op('t.neg', [any('x')]), input: any('x') };
    expect(names(match(op('t.add', [optional, any('x')]), 'two'))).toEqual({ x: 'n' });
  });

  it('may leave an operator out', () => {
    const maybe: Pattern = { kind: 'optional', op: op('t.neg', [any('x')]), input: any('x') };
    expect(names(match(op('t.add', [maybe, any()]), 'add'))).toEqual({ x: 'x' });
    expect(match(op('t.add', [maybe, any()]), 'add')!.bindings).toHaveLength(2);
    expect(names(match(op('t.mul', [maybe, any()]), 'self'))).toEqual({ x: 'x' });
  });

  it('compares attributes, with the operator\'s defaults where none is written', () => {
    const conv = (attrs: { groups?: number; strides?: number[] }) => op('t.conv', null, { attrs });
    expect(match(conv({ groups: 1 }), 'conv')).not.toBeNull();
    expect(match(conv({ groups: 1 }), 'grouped')).toBeNull();
    expect(match(conv({ groups: 2, strides: [2, 1] }), 'grouped')).not.toBeNull();
    expect(match(conv({ strides: [1, 2] }), 'grouped')).toBeNull();
  });

  it('matches constants, and those of one value', () => {
    expect(names(match(op('t.add', [any(), constant('c')]), 'zero'))).toEqual({ c: 'zero' });
    expect(match(op('t.add', [any(), constant(null, 0)]), 'zero')).not.toBeNull();
    expect(match(op('t.add', [any(), constant(null, 1)]), 'zero')).toBeNull();
    expect(match(op('t.add', [constant(null, 0), any()]), 'mixed')).toBeNull();
    expect(match(op('t.add', [any(), constant()]), 'add')).toBeNull();
    // No elements: nothing says what all of them are.
    expect(match(op('t.add', [any(), constant(null, 0)]), 'empty')).toBeNull();
  });

  it('covers an operator once, however often it is met', () => {
    expect(match(op('t.add', [op('t.neg'), op('t.neg')]), 'two')!.bindings.map((b) => b.callee)).toEqual(['t.add', 't.neg']);
  });

  it('finds the producer of any result', () => {
    expect(match(op('t.neg', [op('t.split', [any('x')])]), 'second')!.bindings[1]!.results[1]).toBe(valueOf('b'));
  });
});
