import { describe, expect, it } from 'vitest';
import { any, constant, op, type IRModule, type TensorType } from '@tenon/plugin';
import { failure, main, read, testSession } from '../../test/harness.ts';
import { printFunction } from '../text/index.ts';
import { verifyModule } from '../verify/index.ts';
import { rewriteModule, type RewriteRule } from './rewrite.ts';

const session = testSession();
const doubleNegation: RewriteRule = {
  name: 'double-negation', doc: '-(-x) → x', pattern: op('t.neg', [op('t.neg', [any('x')])]), apply: (match) => [match.values.get('x')!],
};
const addZero: RewriteRule = {
  name: 'add-zero', doc: 'x + 0 → x', pattern: op('t.add', [any('x'), constant(null, 0)], { commutative: true }), apply: (match) => [match.values.get('x')!],
};
const rewrite = (module: IRModule, rules: readonly RewriteRule[]): IRModule => {
  const result = rewriteModule(module, rules, session);
  expect(verifyModule(result, session)).toEqual([]);
  return result;
};

describe('rewriting', () => {
  it('runs until nothing matches, also where one rewrite enables the next', () => {
    const module = read(session, `
const @zero: f32[4] = [0, 0, 0, 0]
graph @main(%x: f32[4]) -> f32[4] {
  %0: f32[4] = t.neg(%x)
  %1: f32[4] = t.add(@zero, %0)
  %2: f32[4] = t.neg(%1)
  %3: f32[4] = t.exp(%2)
  return %3
}`);
    // Order does not matter.
    for (const rules of [[doubleNegation, addZero], [addZero, doubleNegation]]) {
      expect(printFunction(main(rewrite(module, rules)))).toBe(`graph @main(%x: f32[4]) -> f32[4] {
  %0: f32[4] = t.neg(%x)
  %3: f32[4] = t.exp(%x)
  return %3
}`);
    }
  });

  it('offers what it makes again, and keeps the place in the model', () => {
    const expand: RewriteRule = { name: 'expand', doc: 'x − y → x + −(−(−y))', pattern: op('t.sub', [any('x'), any('y')]), apply: ({ values }, b) => [b.call('t.add', [values.get('x')!, b.call('t.neg', [b.call('t.neg', [b.call('t.neg', [values.get('y')!])])])])] };
    const module = read(session, `
graph @main(%x: f32[4]) -> f32[4] {
  %0: f32[4] = t.sub(%x, %x) loc("layer")
  return %0
}`);
    const got = main(rewrite(module, [expand, doubleNegation]));
    expect(got.bindings.map((b) => [b.callee, b.loc])).toEqual([['t.neg', 'layer'], ['t.neg', 'layer'], ['t.add', 'layer']]);
    expect(got.bindings[2]!.args[1]).toBe(got.bindings[1]!.results[0]);
    expect(got.bindings[1]!.args).toEqual(got.params);
  });

  it('keeps what it does not change, by identity', () => {
    const module = read(session, `
graph @main(%x: f32[4]) -> f32[4] {
  %0: f32[4] = t.neg(%x)
  %1: f32[4] = t.neg(%0)
  return %1
}
graph @other(%x: f32[4]) -> f32[4] {
  %0: f32[4] = t.exp(%x)
  return %0
}`);
    expect(rewriteModule(module, [addZero], session)).toBe(module);
    const got = rewrite(module, [doubleNegation]);
    expect(got.functions.get('other')).toBe(module.functions.get('other'));
    expect(main(got).results).toEqual([main(module).params[0]]);
    expect(rewriteModule(module, [doubleNegation], session, (fn) => fn.name !== 'main')).toBe(module);
    const never: RewriteRule = { ...doubleNegation, apply: () => null };
    expect(rewriteModule(module, [never], session)).toBe(module);
  });

  it('replaces all results of an operator', () => {
    const rule: RewriteRule = { name: 'split', doc: 'split(x) → x, −x', pattern: op('t.split', [any('x')]), apply: ({ values }, b) => [values.get('x')!, b.call('t.neg', [values.get('x')!])] };
    const module = read(session, `
graph @main(%x: f32[4]) -> f32[4] {
  %a: f32[4], %b: f32[4] = t.split(%x)
  %c: f32[4] = t.sub(%b, %a)
  return %c
}`);
    expect(main(rewrite(module, [rule])).bindings.map((b) => b.callee)).toEqual(['t.neg', 't.sub']);
  });

  it('may put a constant in a value\'s place, and a result\'s', () => {
    const rule: RewriteRule = { name: 'zero', doc: 'x − x → 0', pattern: op('t.sub', [any('x'), any('x')]), apply: ({ values }, b) => [b.constant([0, 0, 0, 0], (values.get('x')!.type as TensorType).dtype, [4])] };
    const module = read(session, `
graph @main(%x: f32[4]) -> f32[4] {
  %0: f32[4] = t.sub(%x, %x)
  return %0
}`);
    const got = rewrite(module, [rule]);
    expect(main(got).results[0]).toMatchObject({ constant: true });
    expect(got.constants.size).toBe(1);
  });

  it('names rules that chase each other', async () => {
    const there: RewriteRule = { name: 'there', doc: 'neg → exp', pattern: op('t.neg', [any('x')]), apply: ({ values }, b) => [b.call('t.exp', [values.get('x')!])] };
    const back: RewriteRule = { name: 'back', doc: 'exp → neg', pattern: op('t.exp', [any('x')]), apply: ({ values }, b) => [b.call('t.neg', [values.get('x')!])] };
    const module = read(session, `
graph @main(%x: f32[4]) -> f32[4] {
  %0: f32[4] = t.neg(%x) loc("here")
  return %0
}`);
    expect(await failure(() => rewriteModule(module, [there, back], session))).toMatchObject({ code: 'rewrite/cycle', loc: 'here' });
  });

  it('refuses replacements that do not replace', async () => {
    const module = read(session, `
graph @main(%x: f32[4]) -> f32[4] {
  %0: f32[4] = t.neg(%x)
  return %0
}`);
    const few: RewriteRule = { name: 'few', doc: '', pattern: op('t.neg'), apply: () => [] };
    const same: RewriteRule = { name: 'same', doc: '', pattern: op('t.neg'), apply: ({ root }) => [root] };
    expect(await failure(() => rewriteModule(module, [few], session))).toMatchObject({ code: 'rewrite/results' });
    expect(await failure(() => rewriteModule(module, [same], session))).toMatchObject({ code: 'rewrite/results' });
  });

  it('of a long function takes time in proportion', () => {
    const b = session.module().graph('main', [{ name: 'x', type: session.types.tensor('f32', [4]) }]);
    let v = b.params[0]!;
    for (let i = 0; i < 10_000; i++) v = b.call('t.neg', [v]);
    const module = session.module();
    module.add(b.finish([v]));
    const begin = process.cpuUsage();
    const got = rewriteModule(module.finish(), [doubleNegation, addZero], session);
    expect(process.cpuUsage(begin).user / 1e6).toBeLessThan(2);
    expect(main(got).results).toEqual([b.params[0]]);
  });
});
