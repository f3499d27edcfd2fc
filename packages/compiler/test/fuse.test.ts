import { describe, expect, it } from 'vitest';
import type { GraphFunction, HostTensor, IRModule, ScheduleRecord, Value } from '@tenon/plugin';
import { buffersOf, stagesText } from './stages.ts';
import { evaluateGraph } from '@tenon/interp';
import type { Session } from '@tenon/core';
import { fusePass } from '../src/fuse/fuse.ts';
import { schedulePass } from '../src/schedule.ts';
import { generator } from '../../../tests/support/generator.ts';
import { floats, kernels, main, read, runPass, testSession, testTarget } from './harness.ts';

/** A module whose entry is a region of the kernel target. */
async function fused(text: string): Promise<{ module: IRModule; before: IRModule; session: Session }> {
  const session = testSession({ plugins: [testTarget({ name: 'k' })] });
  const before = read(session, text.replace(/ \{\n/, ' attrs {target = "k"} {\n'));
  return { module: await runPass(session, fusePass(() => false), before, await session.resolveTarget('k', {})), before, session };
}
/** The operators of each kernel, in program order; views in brackets. */
const groups = (fn: GraphFunction): string[] =>
  fn.bindings.map((b) => (b.kind === 'kernel' ? (b.attrs['ops'] as string[]).map((o) => o.replace(/^.*\./, '')).join(' ') : `[${b.callee.replace(/^.*\./, '')}]`));

async function agree(module: IRModule, before: IRModule, session: Session, inputs: readonly HostTensor[], dims?: ReadonlyMap<string, number>): Promise<void> {
  const want = await evaluateGraph(before, main(before), inputs, session, dims);
  const got = await evaluateGraph(module, main(module), inputs, session, dims);
  want.forEach((w, i) => {
    expect(got[i]!.shape).toEqual(w.shape);
    const x = got[i]!.data as Float32Array;
    (w.data as Float32Array).forEach((v, k) => expect(Math.abs(x[k]! - v), `result ${i}, element ${k}: ${x[k]}, not ${v}`).toBeLessThanOrEqual(1e-5 * Math.max(1, Math.abs(v))));
  });
}

describe('fusion takes together', () => {
  it('a chain of elementwise operators, also where shapes broadcast', async () => {
    const { module, before, session } = await fused(`
graph @main(%x: f32[4, 3], %b: f32[3]) -> f32[4, 3] {
  %0: f32[4, 3] = math.tanh(%x)
  %1: f32[4, 3] = math.add(%0, %b)
  %2: f32[4, 3] = math.mul(%1, %0)
  %3: f32[4, 3] = nn.relu(%2)
  return %3
}`);
    expect(groups(main(module))).toEqual(['tanh add mul relu']);
    expect(kernels(module)).toHaveLength(1);
    expect(buffersOf(kernels(module)[0]!)).toEqual(['x', 'b', 'out3']);
    await agree(module, before, session, [floats([4, 3], generator(1)), floats([3], generator(2))]);
  });

  it('a matrix product and what follows element by element', async () => {
    const { module, before, session } = await fused(`
const @w: f32[5, 3] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
graph @main(%x: f32[4, 5], %b: f32[3], %r: f32[4, 3]) -> f32[4, 3] {
  %0: f32[4, 3] = nn.matmul(%x, @w)
  %1: f32[4, 3] = math.add(%0, %b)
  %2: f32[4, 3] = nn.relu(%1)
  %3: f32[4, 3] = math.add(%r, %2)
  return %3
}`);
    expect(groups(main(module))).toEqual(['matmul add relu add']);
    expect(stagesText(kernels(module)[0]!)).toEqual(['reduce', 'compute']);
    await agree(module, before, session, [floats([4, 5], generator(1)), floats([3], generator(2)), floats([4, 3], generator(3))]);
  });

  it('a convolution and its epilogue', async () => {
    const { module, before, session } = await fused(`
graph @main(%x: f32[1, 2, 5, 5], %w: f32[3, 2, 3, 3], %b: f32[3]) -> f32[1, 3, 5, 5] {
  %0: f32[1, 3, 5, 5] = nn.conv(%x, %w, %b) {pads = [1, 1, 1, 1]}
  %1: f32[1, 3, 5, 5] = math.sigmoid(%0)
  return %1
}`);
    expect(groups(main(module))).toEqual(['conv sigmoid']);
    await agree(module, before, session, [floats([1, 2, 5, 5], generator(1)), floats([3, 2, 3, 3], generator(2)), floats([3], generator(3))]);
  });

  it('elementwise work and the reduction that reads it once', async () => {
    const { module, before, session } = await fused(`
graph @main(%x: f32[4, 5]) -> f32[4] {
  %0: f32[4, 5] = math.mul(%x, %x)
  %1: f32[4] = reduce.sum(%0) {axes = [1], keepdims = false}
  %2: f32[4] = math.sqrt(%1)
  return %2
}`);
    expect(groups(main(module))).toEqual(['mul sum sqrt']);
    await agree(module, before, session, [floats([4, 5], generator(1))]);
  });

  it('operators around a change of layout', async () => {
    const { module, before, session } = await fused(`
graph @main(%x: f32[4, 5]) -> f32[5, 4] {
  %0: f32[4, 5] = math.neg(%x)
  %1: f32[5, 4] = shape.transpose(%0) {perm = [1, 0]}
  %2: f32[5, 4] = math.exp(%1)
  return %2
}`);
    expect(groups(main(module))).toEqual(['neg transpose exp']);
    await agree(module, before, session, [floats([4, 5], generator(1))]);
  });

  it('parts of moved data with the movement, where together they are no more than all of it', async () => {
    for (const [first, kernels] of [[0, ['transpose reshape slice reshape transpose', 'transpose reshape slice tanh']], [1, ['transpose', 'slice reshape transpose', 'slice tanh']]] as const) {
      const { module, before, session } = await fused(`
graph @main(%x: f32[5, 3, 6]) -> (a: f32[3, 5, 2], b: f32[2, 5, 6]) {
  %1: f32[5, 3, 1, 6] = shape.reshape(%x) {shape = [5, 3, 1, 6]}
  %2: f32[3, 5, 1, 6] = shape.transpose(%1) {perm = [1, 0, 2, 3]}
  %3: f32[3, 5, 6] = shape.reshape(%2) {shape = [3, 5, 6]}
  %4: f32[1, 5, 6] = shape.slice(%3) {starts = [0], sizes = [1], axes = [0]}
  %5: f32[5, 3, 2] = shape.reshape(%4) {shape = [5, 3, 2]}
  %6: f32[3, 5, 2] = shape.transpose(%5) {perm = [1, 0, 2]}
  %7: f32[${2 + first}, 5, 6] = shape.slice(%3) {starts = [${1 - first}], sizes = [${2 + first}], axes = [0]}
  %8: f32[${2 + first}, 5, 6] = math.tanh(%7)
  return %6, %8
}`.replace('b: f32[2', `b: f32[${2 + first}`));
      expect(groups(main(module)).filter((g) => !g.startsWith('['))).toEqual(kernels);
      await agree(module, before, session, [floats([5, 3, 6], generator(1))]);
    }
  });

  it('constants of one element, as literals', async () => {
    const { module } = await fused(`
const @half: f32[] = [0.5]
graph @main(%x: f32[4]) -> f32[4] {
  %0: f32[4] = math.mul(%x, @half)
  return %0
}`);
    expect(main(module).bindings[0]!.args.map((a) => a!.name)).toEqual(['x']);
  });
});

describe('fusion keeps apart', () => {
  it('what several kernels read', async () => {
    const { module } = await fused(`
graph @main(%x: f32[4, 5]) -> (a: f32[4], b: f32[5]) {
  %0: f32[4, 5] = math.tanh(%x)
  %1: f32[4] = reduce.sum(%0) {axes = [1], keepdims = false}
  %2: f32[5] = reduce.sum(%0) {axes = [0], keepdims = false}
  return %1, %2
}`);
    expect(groups(main(module))).toEqual(['tanh', 'sum', 'sum']);
  });

  it('what is a result', async () => {
    const { module } = await fused(`
graph @main(%x: f32[4]) -> (a: f32[4], b: f32[4]) {
  %0: f32[4] = math.tanh(%x)
  %1: f32[4] = math.neg(%0)
  return %0, %1
}`);
    expect(groups(main(module))).toEqual(['tanh', 'neg']);
  });

  it('a value that the operands of a product read again and again', async () => {
    const { module } = await fused(`
graph @main(%x: f32[4, 5], %w: f32[5, 6]) -> f32[4, 6] {
  %0: f32[4, 5] = math.tanh(%x)
  %1: f32[4, 6] = nn.matmul(%0, %w)
  return %1
}`);
    expect(groups(main(module))).toEqual(['tanh', 'matmul']);
  });

  it('a value that is broadcast', async () => {
    const { module } = await fused(`
graph @main(%x: f32[5], %y: f32[40, 5]) -> f32[40, 5] {
  %0: f32[5] = math.tanh(%x)
  %1: f32[40, 5] = math.add(%y, %0)
  return %1
}`);
    expect(groups(main(module))).toEqual(['tanh', 'add']);
  });

  it('two reductions', async () => {
    const { module } = await fused(`
graph @main(%x: f32[4, 5], %y: f32[4, 5]) -> f32[4] {
  %0: f32[4] = reduce.sum(%x) {axes = [1], keepdims = false}
  %1: f32[4] = reduce.max(%y) {axes = [1], keepdims = false}
  %2: f32[4] = math.add(%0, %1)
  return %2
}`);
    expect(groups(main(module))).toEqual(['max', 'sum add']);
  });

  it('a reduction and work that does not happen in place', async () => {
    const { module } = await fused(`
graph @main(%x: f32[4, 5], %w: f32[5, 6]) -> f32[6, 4] {
  %0: f32[4, 6] = nn.matmul(%x, %w)
  %1: f32[6, 4] = shape.transpose(%0) {perm = [1, 0]}
  return %1
}`);
    expect(groups(main(module))).toEqual(['matmul', 'transpose']);
  });

  it('operators on both sides of a view', async () => {
    const { module, before, session } = await fused(`
graph @main(%x: f32[4, 6]) -> f32[24] {
  %0: f32[4, 6] = math.tanh(%x)
  %1: f32[24] = shape.reshape(%0) {shape = [24]}
  %2: f32[24] = math.neg(%1)
  return %2
}`);
    expect(groups(main(module))).toEqual(['tanh', '[reshape]', 'neg']);
    await agree(module, before, session, [floats([4, 6], generator(1))]);
  });

  it('kernels whose expressions would grow without end', async () => {
    const session = testSession({ plugins: [testTarget({ name: 'k' })] });
    const builder = session.module();
    const b = builder.graph('main', [{ name: 'x', type: session.types.tensor('f32', [4]) }], { target: 'k' });
    let value: Value = b.params[0]!;
    // Each step reads the one before twice: written out as one expression, 2^100 loads.
    for (let i = 0; i < 100; i++) value = b.call('math.add', [value, b.call('math.tanh', [value])]);
    b.finish([value]);
    const before = builder.finish();
    const module = await runPass(session, fusePass(() => false), before, await session.resolveTarget('k', {}));
    expect(main(module).bindings.length).toBeGreaterThan(5);
    expect(main(module).bindings.length).toBeLessThan(50);
    await agree(module, before, session, [floats([4], generator(1))]);
  });
});

it('equal kernels are one function, whatever dims their scalars name', async () => {
  const { module, before, session } = await fused(`
dims n in 1..9
dims m in 1..9
graph @main(%x: f32[12], %p: f32[n], %q: f32[m]) -> (a: f32[], b: f32[], c: f32[n], d: f32[m]) {
  %0: f32[n] = shape.slice(%x) {starts = [0], sizes = [(n)], axes = [0]}
  %1: f32[m] = shape.slice(%x) {starts = [0], sizes = [(m)], axes = [0]}
  %2: f32[] = reduce.sum(%0) {axes = [0], keepdims = false}
  %3: f32[] = reduce.sum(%1) {axes = [0], keepdims = false}
  %4: f32[n] = math.tanh(%p)
  %5: f32[m] = math.tanh(%q)
  return %2, %3, %4, %5
}`);
  expect(groups(main(module))).toEqual(['slice sum', 'slice sum', 'tanh', 'tanh']);
  expect(main(module).bindings[0]!.callee).toBe(main(module).bindings[1]!.callee);
  expect(main(module).bindings.map((b) => b.scalars.map((s) => s.value))).toEqual([['n'], ['m'], [], []]);
  const dims = new Map([['n', 3], ['m', 7]]);
  await agree(module, before, session, [floats([12], generator(1)), floats([3], generator(2)), floats([7], generator(3))], dims);
});

describe('scheduling', () => {
  async function scheduled(before: IRModule, session: Session): Promise<{ module: IRModule; records: ScheduleRecord[] }> {
    const records: ScheduleRecord[] = [];
    const target = await session.resolveTarget('k', {});
    const module = await runPass(session, [fusePass(() => false), schedulePass(session, records)], before, target);
    return { module, records };
  }

  it('cuts a kernel into launches; one that goes on with a buffer says so', async () => {
    const session = testSession({ plugins: [testTarget({ name: 'k' })] });
    const before = read(session, `
const @at: i64[2] = [3, 0]
graph @main(%x: f32[4], %u: f32[2]) -> f32[4] attrs {target = "k"} {
  %0: f32[4] = index.scatter_elements(%x, @at, %u) {axis = 0}
  return %0
}`);
    const { module, records } = await scheduled(before, session);
    const launches = main(module).bindings;
    expect(launches.length).toBe(2);
    expect(launches[0]!.effects).toBeNull();
    expect(launches[1]!.effects).toEqual({ mutates: [launches[1]!.args.length - 1], aliases: [[0, launches[1]!.args.length - 1]] });
    expect(launches[1]!.args.at(-1)).toBe(launches[0]!.results[0]);
    expect(launches[1]!.results).toEqual(main(module).results);
    expect(records).toEqual([{ kernel: 'scatter_elements', target: 'k', launches: ['scatter_elements_0', 'scatter_elements_1'], rule: null, rejected: [], choices: [] }]);
    await agree(module, before, session, [floats([4], generator(1)), floats([2], generator(2))]);
  });

  it('keeps the meaning of random graphs, with static and symbolic dims, empty ones among them', async () => {
    let launches = 0;
    for (let seed = 1; seed <= 80; seed++) {
      const random = generator(seed);
      const session = testSession({ plugins: [testTarget({ name: 'k' })] });
      const [n, m] = [[3, 4], [1, 1], [0, 5], [2, 0]][seed % 4]!;
      const { module: before, inputs, dims } = randomModule(session, random, n!, m!, seed % 3 === 0);
      const { module } = await scheduled(before, session);
      launches += main(module).bindings.length;
      await agree(module, before, session, inputs, dims);
    }
    expect(launches).toBeGreaterThan(200);
  });
});

/** A random region over tensors of shapes [n, m], [n, 1], [m], [m, n], static or symbolic. */
function randomModule(session: Session, random: () => number, n: number, m: number, symbolic: boolean): { module: IRModule; inputs: HostTensor[]; dims: Map<string, number> } {
  const builder = session.module();
  const N = symbolic ? builder.dim({ name: 'n', min: 0, max: 100 }) : session.exprs.int(n);
  const M = symbolic ? builder.dim({ name: 'm', min: 0, max: 100 }) : session.exprs.int(m);
  const b = builder.graph('main', [
    { name: 'x', type: session.types.tensor('f32', [N, M]) }, { name: 'y', type: session.types.tensor('f32', [N, M]) }, { name: 'r', type: session.types.tensor('f32', [M]) },
  ], { target: 'k' });
  const full: Value[] = b.params.slice(0, 2);
  const pick = (from: readonly Value[]): Value => from[Math.floor((random() < 0.5 ? 1 - random() * 0.3 : random()) * (from.length - 0.001))]!;
  const steps: (() => Value)[] = [
    () => b.call(['math.tanh', 'math.neg', 'math.abs', 'nn.relu'][Math.floor(random() * 4)]!, [pick(full)]),
    () => b.call(['math.add', 'math.sub', 'math.mul', 'math.max'][Math.floor(random() * 4)]!, [pick(full), pick(full)]),
    () => b.call('math.add', [pick(full), b.params[2]!]),
    () => b.call('math.mul', [pick(full), b.constant([0.5], 'f32', [])]),
    () => b.call('math.sub', [pick(full), b.call('reduce.sum', [pick(full)], { axes: [1], keepdims: true })]),
    () => b.call('math.add', [pick(full), b.call('reduce.mean', [pick(full)], { axes: [0], keepdims: true })]),
    () => b.call('shape.transpose', [b.call('math.neg', [b.call('shape.transpose', [pick(full)], { perm: [1, 0] })])], { perm: [1, 0] }),
    () => b.call('nn.matmul', [b.call('nn.matmul', [pick(full), b.call('shape.transpose', [pick(full)], { perm: [1, 0] })]), pick(full)]),
    () => b.call('nn.softmax', [pick(full)], { axis: 1 }),
    () => b.call('shape.reshape', [b.call('math.tanh', [b.call('shape.reshape', [pick(full)], { shape: [session.exprs.mul(N, M)] })])], { shape: [N, M] }),
  ];
  const size = 3 + Math.floor(random() * 12);
  for (let i = 0; i < size; i++) full.push(steps[Math.floor(random() * steps.length)]!());
  b.finish([full.at(-1)!, pick(full)], ['a', 'b']);
  return {
    module: builder.finish(), dims: new Map([['n', n], ['m', m]]),
    inputs: [floats([n, m], random), floats([n, m], random), floats([m], random)],
  };
}
