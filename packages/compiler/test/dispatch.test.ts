import { describe, expect, it } from 'vitest';
import { any, constraint, definePlugin, op, reject, typeOf, type Config, type GraphFunction, type IRModule, type Library, type LibraryEntry, type LibrarySupport, type Plugin, type RegionPlan } from '@tenon/plugin';
import { contextFor, parseModule, printModule, type Session } from '@tenon/core';
import { evaluateGraph } from '@tenon/interp';
import { standardOps } from '@tenon/ops';
import { compileModule } from '../src/compile.ts';
import { dispatchPass } from '../src/dispatch/dispatch.ts';
import type { DispatchRecord } from '../src/dispatch/report.ts';
import { fusePass } from '../src/fuse/fuse.ts';
import { planRegion } from '../src/memory/plan-region.ts';
import { deadCode } from '../src/passes/dead-code.ts';
import { schedulePass } from '../src/schedule.ts';
import { generator } from '../../../tests/support/generator.ts';
import { expectModule, failure, floats, host, main, read, runPass, testSession, testTarget } from './harness.ts';

const accepting: LibrarySupport = { formats: ['text'], link: () => ({ ok: true, guards: [] }) };

/** A kernel target that links libraries; arithmetic takes time there, so that figures mean something. */
function target(libraries: LibrarySupport | null): Plugin {
  const plugin = testTarget({ name: 'k', device: { peak: { f32: 1e9 }, bandwidth: 1e12, launch: { region: 0, kernel: 1e-6 } } });
  return libraries === null ? plugin : { ...plugin, targets: plugin.targets!.map((t) => ({ ...t, libraries })) };
}

const matmul: LibraryEntry = {
  id: 'matmul', pattern: op('nn.matmul', [any('x'), any('w')]), doc: 'x · w', require: [constraint.dtype('x', 'f32'), constraint.rank('x', 2)], benefit: 4,
  call: (match, ctx) => ({
    symbol: 'fast_matmul', operands: ['x', 'w'], scalars: [...typeOf(match, 'x')!.shape, typeOf(match, 'w')!.shape[1]!],
    workspace: ctx.exprs.mul(typeOf(match, 'x')!.shape[0]!, 8), attrs: { transposed: false },
  }),
};
const relu: LibraryEntry = {
  id: 'relu', pattern: op('nn.relu', [any('x')]), doc: 'relu', require: [constraint.dtype('x', 'f32')],
  call: (match, ctx) => ({ symbol: 'fast_relu', operands: ['x'], scalars: [ctx.exprs.product(typeOf(match, 'x')!.shape)], workspace: null, attrs: {} }),
};
const library = (entries: readonly LibraryEntry[], more: Partial<Library> = {}): Library => ({
  name: 'fast', target: 'k', doc: 'Fast routines.', entries, provides: [{ format: 'text', symbols: ['fast_matmul', 'fast_relu'], text: '…' }], ...more,
});
const plugin = (...libraries: readonly Library[]): Plugin => definePlugin({ name: 'fast-pack', namespace: 'fast' }, () => ({ libraries }))();

interface Dispatched {
  readonly session: Session;
  readonly before: ReturnType<typeof read>;
  readonly module: ReturnType<typeof read>;
  readonly records: readonly DispatchRecord[];
}

async function dispatched(text: string, libraries: readonly Library[], config: Config = {}, support: LibrarySupport | null = accepting): Promise<Dispatched> {
  const session = testSession({ ...config, plugins: [target(support), plugin(...libraries)] });
  const before = read(session, text.replace(/ \{\n/, ' attrs {target = "k"} {\n'));
  const records: DispatchRecord[] = [];
  const passes = [fusePass(() => true), dispatchPass(session, records), deadCode('dead', 'dispatch')];
  return { session, before, records, module: await runPass(session, passes, before, await session.resolveTarget('k', {})) };
}

/** The memory plan after scheduling. */
async function planned(module: IRModule, session: Session): Promise<RegionPlan> {
  const scheduled = await runPass(session, schedulePass(session, []), module, await session.resolveTarget('k', {}));
  return planRegion(main(scheduled), scheduled, session).plan;
}

const reasons = (records: readonly DispatchRecord[]): string[] => records.flatMap((r) => r.rejected.map((x) => `${r.op}: ${x.rule} ${x.code}`));
const steps = (fn: GraphFunction): string[] => fn.bindings.map((b) => `${b.kind} ${(b.attrs['ops'] as string[]).map((o) => o.replace(/^.*\./, '')).join(' ')}`);

const dense = `
dims n in 1..64

graph @main(%x: f32[n, 64], %w: f32[64, 32], %b: f32[32]) -> (y: f32[n, 32]) {
  %1: f32[n, 32] = nn.matmul(%x, %w) loc("dense/MatMul")
  %2: f32[n, 32] = math.add(%1, %b) loc("dense/Add")
  %3: f32[n, 32] = nn.relu(%2) loc("dense/Relu")
  return %3
}`;

describe('dispatch', () => {
  it('replaces a whole kernel by a call that keeps what it means', async () => {
    const { session, module, records } = await dispatched('\ngraph @main(%x: f32[4]) -> (y: f32[4]) {\n  %1: f32[4] = nn.relu(%x) loc("relu")\n  return %1\n}', [library([relu])]);
    expectModule(session, module, `
graph @main(%x: f32[4]) -> (y: f32[4]) attrs {target = "k"} {
  %1: f32[4] = extern "fast_relu"(%x; 4) {library = "fast", entry = "relu", source = "fast_relu_ops", ops = ["nn.relu"], locs = ["relu"]} loc("relu")
  return %1
}

graph @fast_relu_ops(%x: f32[4]) -> ("1": f32[4]) {
  %1: f32[4] = nn.relu(%x) loc("relu")
  return %1
}`);
    expect(records).toMatchObject([{ op: 'nn.relu', results: ['1'], library: 'fast/relu', rejected: [] }]);
  });

  it('replaces a part where that pays, and fuses the rest again around it', async () => {
    const { session, before, module, records } = await dispatched(dense, [library([matmul])]);
    expect(steps(main(module))).toEqual(['extern matmul', 'kernel add relu']);
    expect(main(module).bindings[1]!.attrs['source']).toBeUndefined();
    expect([...module.functions.keys()].sort()).toEqual(['add_relu', 'fast_matmul_ops', 'main']);
    expect(records.map((r) => [r.op, r.library])).toEqual([['nn.matmul', 'fast/matmul'], ['math.add', null], ['nn.relu', null]]);
    expect(reasons(records)).toEqual(['math.add: fast dispatch/no-entry', 'nn.relu: fast dispatch/no-entry']);

    const inputs = [floats([3, 64], generator(1)), floats([64, 32], generator(2)), floats([32], generator(3))];
    const [want] = await evaluateGraph(before, main(before), inputs, session);
    const [got] = await evaluateGraph(module, main(module), inputs, session);
    (want!.data as Float32Array).forEach((v, i) => expect(Math.abs((got!.data as Float32Array)[i]! - v)).toBeLessThan(1e-5));

    const text = printModule(module);
    expect(printModule(parseModule(text, session.exprs))).toBe(text);
  });

  it('plans calls as launches with memory of their own', async () => {
    const { session, module } = await dispatched(dense, [library([matmul])]);
    const plan = await planned(module, session);
    const [call, rest] = plan.launches;
    expect(call).toMatchObject({ kernel: 'fast_matmul', ops: ['nn.matmul'], locs: ['dense/MatMul'], extern: { library: 'fast', entry: 'matmul', attrs: { transposed: false } } });
    expect(call!.scalars.map((s) => session.exprs.valueOf(s.value))).toEqual([null, 64, 32]);
    const [x, w, product] = call!.args.map((i) => plan.buffers[i]!);
    expect([x!.storage, w!.storage]).toEqual([{ kind: 'argument', index: 0 }, { kind: 'argument', index: 1 }]);
    // The element-wise rest works in place on the product, which is the region's result.
    expect(product!.storage).toEqual({ kind: 'result', index: 0 });
    expect(plan.buffers[rest!.args.at(-1)!]!.storage).toEqual({ kind: 'result', index: 0 });
    const workspace = plan.buffers[call!.extern!.workspace!]!;
    expect([workspace.dtype, workspace.storage.kind, workspace.bytes]).toEqual(['u8', 'workspace', session.exprs.mul(session.exprs.variable('n'), 8)]);
  });

  it('shares memory with an argument that dies only after the call', async () => {
    const { session, module } = await dispatched(`
graph @main(%x: f32[4, 4], %w: f32[4, 4]) -> (y: f32[4, 4]) {
  %1: f32[4, 4] = math.sin(%x)
  %2: f32[4, 4] = nn.matmul(%1, %w)
  %3: f32[4, 4] = math.exp(%2)
  %4: f32[4, 4] = nn.matmul(%3, %3)
  return %4
}`, [library([{ ...matmul, benefit: 1e9, require: [] }])]);
    const plan = await planned(module, session);
    const calls = plan.launches.filter((l) => l.extern !== undefined);
    expect(calls).toHaveLength(2);
    for (const call of calls) {
      const [x, w, y] = call.args.map((i) => plan.buffers[i]!.storage);
      expect(y).not.toEqual(x);
      expect(y).not.toEqual(w);
    }
  });

  it('keeps generated code where a library is slower, and says by how much', async () => {
    const { module, records } = await dispatched(dense, [library([{ ...matmul, benefit: 1 }])]);
    expect(steps(main(module))).toEqual(['kernel matmul add relu']);
    const refusal = records[0]!.rejected[0]!;
    expect(refusal).toMatchObject({ target: 'k', rule: 'fast/matmul', code: 'dispatch/cost' });
    expect(refusal.message).toMatch(/^with fast\/matmul the kernel takes .+ \(declared\), with generated code /);
  });

  it('takes measurements before formulas, and formulas before declarations', async () => {
    const costly: LibraryEntry = { ...relu, benefit: 100, cost: (_, ctx) => ctx.exprs.constant(1, 'f64') };
    const text = '\ngraph @main(%x: f32[4]) -> (y: f32[4]) {\n  %1: f32[4] = nn.relu(%x)\n  return %1\n}';
    const stated = await dispatched(text, [library([costly])]);
    expect(steps(main(stated.module))).toEqual(['kernel relu']);
    expect(stated.records[0]!.rejected[0]!.message).toContain('takes 1 s (rule)');
    const { costKey, typicalDims } = await import('../src/partition/estimate.ts');
    const key = costKey(main(stated.before).bindings, stated.session, typicalDims(stated.before));
    const measured = await dispatched(text, [library([costly])], { partition: { costs: { 'fast/relu': { [key]: 1e-9 } } } });
    expect(steps(main(measured.module))).toEqual(['extern relu']);
    const slow = await dispatched(text, [library([relu])], { partition: { costs: { 'fast/relu': { [key]: 2 }, k: { [key]: 1 } } } });
    expect(slow.records[0]!.rejected[0]!.message).toBe('with fast/relu the kernel takes 2 s (measured), with generated code 1 s');
    const misnamed = compileModule((session) => read(session, text), { config: { plugins: [standardOps(), target(accepting), plugin(library([relu]))], partition: { costs: { 'fast/rule': {} } } }, host });
    expect(await failure(() => misnamed)).toMatchObject({ code: 'partition/unknown-target' });
    const named = await compileModule((session) => read(session, text), {
      config: { plugins: [standardOps(), target(accepting), plugin(library([relu]))], partition: { costs: { 'fast/relu': { [key]: 1e-9 } } } }, host,
    });
    expect(named.placements).toMatchObject([{ op: 'nn.relu', target: 'k', library: 'fast/relu' }]);
  });

  it('compares measurements of operators, where there are, with measurements', async () => {
    const { before, session } = await dispatched(dense, []);
    const { costKey, typicalDims } = await import('../src/partition/estimate.ts');
    const keys = main(before).bindings.map((b) => costKey([b], session, typicalDims(before)));
    // Of one second the product takes nine tenths: as a call, a quarter of that.
    const costs = { k: Object.fromEntries(keys.map((key, i) => [key, [0.9, 0.05, 0.05][i]!])) };
    const { module, records } = await dispatched(dense, [library([matmul, { ...matmul, id: 'slow', benefit: 0.5 }])], { partition: { costs } });
    expect(steps(main(module))).toEqual(['extern matmul', 'kernel add relu']);
    expect(records[0]!.rejected[0]!.message).toBe('with fast/slow the kernel takes 1.9 s (declared), with fast/matmul 325 ms');
  });

  it('takes the fastest of several entries, and asks again for what is left', async () => {
    const { module, records } = await dispatched(dense, [library([matmul, { ...relu, benefit: 1000 }, { ...matmul, id: 'other', benefit: 2 }])]);
    expect(steps(main(module))).toEqual(['extern matmul', 'kernel add', 'extern relu']);
    expect(reasons(records)).toContain('nn.matmul: fast/other dispatch/cost');
  });

  it('refuses with a reason: pattern, constraint, check, symbolic dims, inner results, a bad call', async () => {
    const text = dense.replace('return %3', 'return %3');
    const fused: LibraryEntry = { ...relu, id: 'bias_relu', pattern: op('nn.relu', [op('math.add', [op('nn.matmul', [any('x'), any('w')]), any('b')])]) };
    const entries: LibraryEntry[] = [
      { ...fused, id: 'pattern', pattern: op('nn.relu', [op('math.mul')]) },
      { ...fused, id: 'constraint', require: [constraint.dtype('x', 'f64')] },
      { ...fused, id: 'check', require: [], check: () => reject('fast/no', 'not today', null) },
      { ...fused, id: 'symbolic', require: [constraint.multipleOf('x', 0, 4)] },
      { ...fused, id: 'guard', require: [], check: (match, ctx) => ({ ok: true, guards: [ctx.exprs.ge(typeOf(match, 'x')!.shape[0]!, 2)] }) },
      { ...fused, id: 'operands', require: [], call: () => ({ symbol: 'fast_relu', operands: ['x', 'w'], scalars: [], workspace: null, attrs: {} }) },
      { ...fused, id: 'symbol', require: [], call: () => ({ symbol: 'slow', operands: ['x', 'w', 'b'], scalars: [], workspace: null, attrs: {} }) },
      { ...fused, id: 'scalars', require: [], call: () => ({ symbol: 'fast_relu', operands: ['x', 'w', 'b'], scalars: [undefined as never], workspace: null, attrs: {} }) },
      { ...fused, id: 'throws', require: [], call: () => { throw new Error('no idea'); } },
    ];
    const { module, records } = await dispatched(text, [library(entries)]);
    expect(steps(main(module))).toEqual(['kernel matmul add relu']);
    expect(reasons(records).filter((r) => r.startsWith('nn.relu'))).toEqual([
      'nn.relu: fast/pattern dispatch/pattern', 'nn.relu: fast/constraint constraint/dtype', 'nn.relu: fast/check fast/no', 'nn.relu: fast/symbolic constraint/unproved',
      'nn.relu: fast/guard dispatch/guard', 'nn.relu: fast/operands dispatch/bad-call', 'nn.relu: fast/symbol dispatch/bad-call', 'nn.relu: fast/scalars dispatch/bad-call', 'nn.relu: fast/throws dispatch/bad-call',
    ]);
    const inner = await dispatched(`
graph @main(%x: f32[8]) -> (y: f32[8]) {
  %1: f32[8] = math.sin(%x)
  %2: f32[8] = nn.relu(%1)
  %3: f32[8] = math.mul(%1, %2)
  return %3
}`, [library([{ ...relu, pattern: op('nn.relu', [op('math.sin', [any('x')])]) }])]);
    expect(steps(main(inner.module))).toEqual(['kernel sin relu mul']);
    expect(reasons(inner.records)).toContain('nn.relu: fast/relu dispatch/inner-result');
  });

  it('falls back with one warning where the target has no use for the code, or cannot link it', async () => {
    const text = '\ngraph @main(%x: f32[4]) -> (y: f32[4], z: f32[4]) {\n  %1: f32[4] = nn.relu(%x) loc("first")\n  %2: f32[4] = nn.relu(%1) loc("second")\n  return %1, %2\n}';
    for (const [support, code, message] of [
      [null, 'dispatch/no-code', /^the library fast has no code that k links; nn\.relu and/],
      [{ ...accepting, formats: ['cubin'] }, 'dispatch/no-code', /^the library fast has no code/],
      [{ ...accepting, link: () => reject('k/broken', 'line 1: what?', null) }, 'dispatch/unusable-library', /^the library fast cannot be used: line 1: what\?/],
      [{ ...accepting, link: () => { throw new Error('no linker'); } }, 'dispatch/unusable-library', /no linker/],
    ] as const) {
      const { session, module, records } = await dispatched(text, [library([relu])], {}, support);
      expect(steps(main(module))).toEqual(['kernel relu', 'kernel relu']);
      expect(session.diagnostics).toMatchObject([{ code, op: 'nn.relu', loc: 'first', severity: 'warning', message: expect.stringMatching(message) as string }]);
      expect(reasons(records)).toEqual([`nn.relu: fast/relu ${code}`, `nn.relu: fast/relu ${code}`]);
    }
  });

  it('is asked whether libraries go together, and leaves out the one that does not', async () => {
    const asked: string[] = [];
    const support: LibrarySupport = {
      ...accepting,
      link: (libraries) => {
        asked.push(libraries.map((l) => l.name).join(' '));
        return libraries.length > 1 ? reject('k/twice', 'helper is defined twice', null) : { ok: true, guards: [] };
      },
    };
    const second = library([{ ...relu, id: 'relu', benefit: 1000, call: (m, ctx) => ({ ...relu.call(m, ctx), symbol: 'second_relu' }) }], { name: 'second', provides: [{ format: 'text', symbols: ['second_relu'] }] });
    const { module } = await dispatched(dense, [library([matmul]), second], {}, support);
    expect(asked).toEqual(['fast', 'fast second']);
    expect(steps(main(module))).toEqual(['extern matmul', 'kernel add relu']);
  });

  it('switches libraries and entries off, and knows what there is to switch off', async () => {
    for (const disable of [['fast'], ['fast/matmul']]) {
      const { module, records } = await dispatched(dense, [library([matmul])], { dispatch: { disable } });
      expect(steps(main(module))).toEqual(['kernel matmul add relu']);
      expect(records).toEqual([]);
    }
    expect(await failure(() => dispatched(dense, [library([matmul])], { dispatch: { disable: ['fats'] } }))).toMatchObject({ code: 'config/unknown-library', hint: 'Did you mean fast?' });
  });

  it('leaves targets alone that take operators, and says so', async () => {
    const session = testSession({ plugins: [testTarget({ name: 'g', form: 'graph' }), plugin(library([relu], { target: 'g' }))] });
    const module = read(session, '\ngraph @main(%x: f32[4]) -> (y: f32[4]) attrs {target = "g"} {\n  %1: f32[4] = nn.relu(%x)\n  return %1\n}');
    const after = await dispatchPass(session, []).run(module, contextFor(session, await session.resolveTarget('g', {})));
    expect(after).toBe(module);
    expect(session.diagnostics).toMatchObject([{ code: 'dispatch/graph-target' }]);
  });

  it('names both packages where two define one symbol', async () => {
    const other = definePlugin({ name: 'other-pack', namespace: 'other' }, () => ({ libraries: [library([], { name: 'other' })] }))();
    expect(await failure(() => testSession({ plugins: [plugin(library([relu])), other] }))).toMatchObject({
      code: 'session/conflict', message: 'library symbol fast_matmul for k is declared by both fast-pack and other-pack',
    });
  });
});
