import { describe, expect, it } from 'vitest';
import { definePlugin, type HostTensor, type IRModule } from '@tenon/plugin';
import { evaluateGraph } from '@tenon/interp';
import { commonSubexpressions } from '../src/passes/common-subexpressions.ts';
import { deadCode } from '../src/passes/dead-code.ts';
import { foldConstants } from '../src/passes/fold-constants.ts';
import { legalizePass } from '../src/passes/legalize.ts';
import { expectModule, failure, main, read, runPass, testSession, testTarget } from './harness.ts';

const fold = foldConstants('fold', 'canonicalize');
const cse = commonSubexpressions('cse', 'canonicalize');
const dce = deadCode('dce', 'canonicalize');

describe('fold-constants', () => {
  it('evaluates operators on constants, and what follows from them', async () => {
    const session = testSession();
    const got = await runPass(session, [fold, dce], read(session, `
const @a: f32[2] = [1, 2]
const @b: f32[2] = [10, 20]
graph @main(%x: f32[2]) -> f32[2] {
  %0: f32[2] = math.add(@a, @b)
  %1: f32[2] = math.mul(%0, @a)
  %2: f32[2] = math.add(%x, %1)
  return %2
}`));
    expectModule(session, got, `
const @c3: f32[2] = [11, 44]
graph @main(%x: f32[2]) -> f32[2] {
  %2: f32[2] = math.add(%x, @c3)
  return %2
}`);
  });

  it('keeps a module that it changes nothing in', async () => {
    const session = testSession();
    const module = read(session, `
const @a: f32[2] = [1, 2]
graph @main(%x: f32[2]) -> f32[2] {
  %0: f32[2] = math.add(%x, @a)
  return %0
}`);
    expect(await runPass(session, fold, module)).toBe(module);
  });

  it('reads constants by range, and keeps large results as bytes', async () => {
    const session = testSession();
    const values = Float32Array.from({ length: 100 }, (_, i) => i);
    const declared = session.addBytes('weights', new Uint8Array(values.buffer));
    const module = session.module();
    module.source(declared);
    const weights = module.constant('w', session.types.tensor('f32', [10, 10]), { kind: 'range', source: declared.name, offset: 0, bytes: 400 });
    const b = module.graph('main', []);
    b.finish([b.call('shape.transpose', [weights], { perm: [1, 0] })]);
    const got = await runPass(session, fold, module.finish());
    const fn = main(got);
    expect(fn.bindings).toEqual([]);
    expect(got.constants.get(fn.results[0]!.name)!.data).toMatchObject({ kind: 'range', offset: 0, bytes: 400 });
    const [result] = await evaluateGraph(got, fn, [], session);
    expect(Array.from(result!.data as Float32Array).slice(0, 3)).toEqual([0, 10, 20]);
  });

  it('leaves what would blow the model up, and what exceeds the configured limit', async () => {
    const expanded = (n: number): string => `
const @a: f32[1] = [1]
graph @main() -> f32[${n}] {
  %0: f32[${n}] = shape.expand(@a) {shape = [${n}]}
  return %0
}`;
    const made = (n: number): string => `
graph @main() -> f32[${n}] {
  %0: f32[${n}] = shape.full() {shape = [${n}], value = 1}
  return %0
}`;
    const mebi = 2 ** 20;
    for (const [text, limit, folded] of [
      [expanded(4 * mebi), null, true], [expanded(4 * mebi + 1), null, false], [expanded(100), 400, true], [expanded(100), 399, false],
      [made(16384), null, true], [made(16385), null, false],
    ] as const) {
      const session = testSession(limit === null ? {} : { foldLimit: limit });
      const got = await runPass(session, fold, read(session, text));
      expect(main(got).bindings.length, text.slice(0, 80)).toBe(folded ? 0 : 1);
    }
  });

  it('spells a chain of computations on shapes out as dims', async () => {
    const session = testSession();
    const got = await runPass(session, [fold, dce], read(session, `
dims n in 1..100
const @index: i64[1] = [0]
const @two: i64[1] = [2]
const @rest: i64[1] = [-1]
graph @main(%x: f32[n, 8]) -> i64[2] {
  %0: i64[2] = shape.shape_of(%x)
  %1: i64[1] = index.gather(%0, @index) {axis = 0}
  %2: i64[1] = math.mul(%1, @two)
  %3: i64[2] = shape.concat(%2, @rest) {axis = 0}
  return %3
}`));
    expectModule(session, got, `
dims n in 1..100
graph @main(%x: f32[n, 8]) -> i64[2] {
  %8: i64[2] = shape.dims() {dims = [(n * 2), (-1)], shape = [2]}
  return %8
}`);
    // The spelled-out form is a fixed point.
    expect(await runPass(session, fold, got)).toBe(got);
  });

  it('makes constants of shapes that are static', async () => {
    const session = testSession();
    const got = await runPass(session, [fold, dce], read(session, `
graph @main(%x: f32[4, 8]) -> i64[2] {
  %0: i64[2] = shape.shape_of(%x)
  %1: i64[2] = math.add(%0, %0)
  return %1
}`));
    expectModule(session, got, `
const @c1: i64[2] = [8, 16]
graph @main(%x: f32[4, 8]) -> i64[2] {
  return @c1
}`);
  });

  it('folds empty tensors and scalars', async () => {
    const session = testSession();
    const got = await runPass(session, fold, read(session, `
const @none: f32[0, 3] = []
const @one: f32[] = [3]
graph @main() -> (a: f32[0, 3], b: f32[]) {
  %0: f32[0, 3] = math.neg(@none)
  %1: f32[] = math.neg(@one)
  return %0, %1
}`));
    const results = await evaluateGraph(got, main(got), [], session);
    expect(main(got).bindings).toEqual([]);
    expect(results.map((r: HostTensor) => [r.shape, Array.from(r.data as Float32Array)])).toEqual([[[0, 3], []], [[], [-3]]]);
  });

  it('leaves operators on element types that it cannot evaluate', async () => {
    const session = testSession({ plugins: [definePlugin({ name: 'quantised', namespace: 'q' }, () => ({
      dtypes: [{ name: 'q4', kind: 'block', elements: 32, bytes: 18 }],
      ops: [{
        name: 'q.dequantize', doc: 'Block format to f32.', signature: { params: ['x'], attrs: {}, results: ['y'] },
        facets: { infer: (call) => [{ ...call.tensor(0), dtype: 'f32' }], reference: ({ results }) => [{ ...results[0]!, data: new Float32Array(32) }] },
      }],
    }))()] });
    const bytes = session.addBytes('q', new Uint8Array(18));
    const module = session.module();
    module.source(bytes);
    const q = module.constant('q', session.types.tensor('q4', [32]), { kind: 'range', source: bytes.name, offset: 0, bytes: 18 });
    const half = module.constant('h', session.types.tensor('f16', [2]), { kind: 'inline', values: [1, 2] });
    const b = module.graph('main', []);
    b.finish([b.call('q.dequantize', [q]), b.call('math.neg', [half])]);
    const built: IRModule = module.finish();
    const got = await runPass(session, fold, built);
    expect(main(got).bindings.map((x) => x.callee)).toContain('q.dequantize');
  });
});

describe('common-subexpressions', () => {
  it('merges equal calls, also those that become equal', async () => {
    const session = testSession();
    const got = await runPass(session, cse, read(session, `
graph @main(%x: f32[2, 3]) -> (a: f32[2, 3], b: f32[2, 3]) {
  %0: f32[2, 3] = math.tanh(%x) loc("first")
  %1: f32[2, 3] = math.tanh(%x) loc("second")
  %2: f32[2, 3] = math.neg(%0)
  %3: f32[2, 3] = math.neg(%1)
  return %2, %3
}`));
    expectModule(session, got, `
graph @main(%x: f32[2, 3]) -> (a: f32[2, 3], b: f32[2, 3]) {
  %0: f32[2, 3] = math.tanh(%x)
  %2: f32[2, 3] = math.neg(%0)
  return %2, %2
}`);
  });

  it('keeps calls apart that differ in attributes, arguments or their order', async () => {
    const session = testSession();
    const module = read(session, `
graph @main(%x: f32[2, 2], %y: f32[2, 2]) -> (a: f32[2], b: f32[2], c: f32[2, 2], d: f32[2, 2]) {
  %0: f32[2] = reduce.sum(%x) {axes = [0], keepdims = false}
  %1: f32[2] = reduce.sum(%x) {axes = [1], keepdims = false}
  %2: f32[2, 2] = math.sub(%x, %y)
  %3: f32[2, 2] = math.sub(%y, %x)
  return %0, %1, %2, %3
}`);
    expect(await runPass(session, cse, module)).toBe(module);
  });

  it('never merges impure calls', async () => {
    const session = testSession({ plugins: [definePlugin({ name: 'random', namespace: 'r' }, () => ({
      ops: [{ name: 'r.noise', doc: 'Random.', signature: { params: ['x'], attrs: {}, results: ['y'] }, facets: { infer: (c) => [c.tensor(0)], impure: true } }],
    }))()] });
    const module = read(session, `
graph @main(%x: f32[2]) -> f32[2] {
  %0: f32[2] = r.noise(%x)
  %1: f32[2] = r.noise(%x)
  %2: f32[2] = math.add(%0, %1)
  return %2
}`);
    expect(await runPass(session, cse, module)).toBe(module);
    // Nor are they dropped where nobody uses the result.
    const unused = read(session, `
graph @main(%x: f32[2]) -> f32[2] {
  %0: f32[2] = r.noise(%x)
  return %x
}`);
    expect(await runPass(session, dce, unused)).toBe(unused);
  });
});

describe('dead-code', () => {
  it('removes what no result depends on, and constants and sources with it', async () => {
    const session = testSession();
    const got = await runPass(session, dce, read(session, `
source weights = file("w.bin", id "1", 8 bytes)
const @w: f32[2] = weights[0..8]
const @used: f32[2] = [1, 2]
graph @main(%x: f32[2]) -> f32[2] {
  %0: f32[2] = math.add(%x, @w)
  %1: f32[2] = math.neg(%0)
  %2: f32[2] = math.add(%x, @used)
  return %2
}`));
    expectModule(session, got, `
const @used: f32[2] = [1, 2]
graph @main(%x: f32[2]) -> f32[2] {
  %2: f32[2] = math.add(%x, @used)
  return %2
}`);
    expect(await runPass(session, dce, got)).toBe(got);
  });

  it('removes sources that no constant reads', async () => {
    const session = testSession();
    const got = await runPass(session, dce, read(session, `
source weights = file("w.bin", id "1", 8 bytes)
graph @main(%x: f32[2]) -> f32[2] {
  return %x
}`));
    expect([...got.sources.keys()]).toEqual([]);
  });

  it('keeps an operator of which one result is used', async () => {
    const session = testSession();
    const module = read(session, `
graph @main(%x: f32[4]) -> i64[2] {
  %values: f32[2], %indices: i64[2] = index.topk(%x) {k = 2, axis = 0}
  return %indices
}`);
    expect(await runPass(session, dce, module)).toBe(module);
  });
});

describe('legalize-operators', () => {
  const composed = definePlugin({ name: 'composed', namespace: 'c' }, () => ({
    ops: [
      {
        name: 'c.twice', doc: '2x', signature: { params: ['x'], attrs: {}, results: ['y'] },
        facets: { infer: (call) => [call.tensor(0)], decompose: ({ args }, b) => [b.call('math.add', [args[0]!, args[0]!])] },
      },
      {
        name: 'c.fourfold', doc: '4x', signature: { params: ['x'], attrs: {}, results: ['y'] },
        facets: { infer: (call) => [call.tensor(0)], decompose: ({ args }, b) => [b.call('c.twice', [b.call('c.twice', [args[0]!])])] },
      },
      {
        name: 'c.nothing', doc: 'x', signature: { params: ['x'], attrs: {}, results: ['y'] },
        facets: { infer: (call) => [call.tensor(0)], decompose: ({ args }) => [args[0]!] },
      },
    ],
  }))();
  const text = `
graph @region(%x: f32[2]) -> f32[2] attrs {target = "k"} {
  %a: f32[2] = c.fourfold(%x) loc("four")
  %b: f32[2] = c.nothing(%a)
  %c: f32[2] = math.neg(%b)
  return %c
}
graph @other(%x: f32[2]) -> f32[2] attrs {target = "somebody"} {
  %a: f32[2] = c.twice(%x)
  return %a
}`;

  it('decomposes to the end, only in regions of its target, and keeps locations', async () => {
    const session = testSession({ plugins: [composed, testTarget({ name: 'k' })] });
    const got = await runPass(session, legalizePass, read(session, text), await session.resolveTarget('k', {}));
    expectModule(session, got, `
graph @region(%x: f32[2]) -> f32[2] attrs {target = "k"} {
  %6: f32[2] = math.add(%x, %x)
  %7: f32[2] = math.add(%6, %6)
  %c: f32[2] = math.neg(%7)
  return %c
}
graph @other(%x: f32[2]) -> f32[2] attrs {target = "somebody"} {
  %a: f32[2] = c.twice(%x)
  return %a
}`);
    const region = got.functions.get('region');
    expect(region?.kind === 'graph' && region.bindings.map((b) => b.loc)).toEqual(['four', 'four', null]);
  });

  it('leaves regions whose code generator takes operators', async () => {
    const session = testSession({ plugins: [composed, testTarget({ name: 'k', form: 'graph' })] });
    const module = read(session, text);
    expect(await runPass(session, legalizePass, module, await session.resolveTarget('k', {}))).toBe(module);
  });

  it('refuses nothing by itself: fusion names the operator without a definition', async () => {
    const { fusePass } = await import('../src/fuse/fuse.ts');
    const bare = definePlugin({ name: 'bare', namespace: 'b' }, () => ({
      ops: [{ name: 'b.opaque', doc: 'No definition.', signature: { params: ['x'], attrs: {}, results: ['y'] }, facets: { infer: (c) => [c.tensor(0)] } }],
    }))();
    const session = testSession({ plugins: [bare, testTarget({ name: 'k' })] });
    const module = read(session, `
graph @region(%x: f32[2]) -> f32[2] attrs {target = "k"} {
  %0: f32[2] = b.opaque(%x) loc("layer/opaque")
  return %0
}`);
    const target = await session.resolveTarget('k', {});
    expect(await runPass(session, legalizePass, module, target)).toBe(module);
    expect(await failure(() => runPass(session, fusePass(() => false), module, target))).toMatchObject({ code: 'fuse/no-definition', op: 'b.opaque', loc: 'layer/opaque' });
  });
});
