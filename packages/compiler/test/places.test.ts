import { describe, expect, it } from 'vitest';
import { definePlugin, type IRModule, type LayoutRecord, type ScheduleRule } from '@tenon/plugin';
import { parseModule, printModule, type Session } from '@tenon/core';
import { evaluateGraph } from '@tenon/interp';
import { layoutPass } from '../src/layout/layout.ts';
import { planRegion } from '../src/memory/plan-region.ts';
import { schedulePass } from '../src/schedule.ts';
import { generator } from '../../../tests/support/generator.ts';
import { expectModule, floats, main, read, runPass, testSession, testTarget } from './harness.ts';

/** A target in whose layouts rules have a say, which they do not use, unless a kernel's name is in `swapped`. */
const rule = (swapped: readonly string[]): ScheduleRule => ({
  id: 'k/none', target: 'k', specificity: 1, doc: 'A rule of a test.', require: [], apply: (fn) => fn, layouts: ({ name }) => (swapped.includes(name) ? { out: [1, 0] } : null),
});

interface Placed {
  readonly session: Session;
  readonly before: IRModule;
  readonly module: IRModule;
  readonly records: readonly LayoutRecord[];
}

async function placed(text: string, swapped: readonly string[] = []): Promise<Placed> {
  const session = testSession({ plugins: [testTarget({ name: 'k' }), definePlugin({ name: 'rules', namespace: 'r' }, () => ({ schedules: [rule(swapped)] }))()] });
  const before = read(session, text);
  const records: LayoutRecord[] = [];
  const module = await runPass(session, layoutPass(session, records), before, await session.resolveTarget('k', {}));
  return { session, before, module, records };
}

/** It computes the same as before, also when it is scheduled, and its text says all of it. */
async function same({ session, before, module }: Placed, dims: ReadonlyMap<string, number> = new Map()): Promise<IRModule> {
  const shapes = main(before).params.map((p) => (p.type.kind === 'tensor' ? p.type.shape.map((d) => session.exprs.valueOf(d) ?? dims.get(String(d.value))!) : []));
  const inputs = shapes.map((s, i) => floats(s, generator(i)));
  const want = await evaluateGraph(before, main(before), inputs, session, dims);
  expect(await evaluateGraph(module, main(module), inputs, session, dims)).toEqual(want);
  const text = printModule(module);
  expect(printModule(parseModule(text, session.exprs))).toBe(text);
  const scheduled = await runPass(session, schedulePass(session, []), module, await session.resolveTarget('k', {}));
  expect(await evaluateGraph(scheduled, main(scheduled), inputs, session, dims)).toEqual(want);
  return scheduled;
}

/** The kernels of the entry, with what they update. */
const calls = (module: IRModule): string[] => main(module).bindings.map((b) => (b.effects === null ? b.callee : `${b.callee} updates ${b.args[b.effects.mutates[0]!]!.name}`));

const unary = (name: string, rows: number | string, columns: number, value: string): string => `
tensor @${name}(a: f32[${rows}, ${columns}], out out: f32[${rows}, ${columns}]) {
  for i in 0..${rows}, j in 0..${columns} {
    block out(v: spatial = i, w: spatial = j) {
      out[v, w] = ${value}
    }
  }
}
`;
const slice = (name: string, rows: number, from: number, to: number, columns = 32): string => `
tensor @${name}(a: f32[${rows}, ${columns}], out out: f32[${to - from}, ${columns}]) {
  for i in 0..${to - from}, j in 0..${columns} {
    block out(v: spatial = i, w: spatial = j) {
      out[v, w] = a[v + ${from}, w]
    }
  }
}
`;
/** Along rows: all but the last part have four. */
const concat = (name: string, parts: readonly string[], rows: number, inputs: string, columns = 32): string => {
  const value = parts.reduceRight((rest, part, i) => (i === parts.length - 1 ? part : `select(v < ${4 * (i + 1)}, ${part}, ${rest})`), '');
  return `
tensor @${name}(${inputs}, out out: f32[${rows}, ${columns}]) {
  for i in 0..${rows}, j in 0..${columns} {
    block out(v: spatial = i, w: spatial = j) {
      out[v, w] = ${value}
    }
  }
}
`;
};
const two = concat('join', ['a[v, w]', 'b[v - 4, w]'], 8, 'a: f32[4, 32], b: f32[4, 32]');
const double = unary('double', 4, 32, 'a[v, w] * 2f');
const add = unary('add', 4, 32, 'a[v, w] + 1f');
const end = unary('end', 8, 32, 'a[v, w] * a[v, w]');

describe('values that are concatenated', () => {
  it('are written in place', async () => {
    const found = await placed(`
graph @main(%x: f32[4, 32]) -> (y: f32[8, 32]) attrs {target = "k"} {
  %1: f32[4, 32] = kernel @double(%x)
  %2: f32[4, 32] = kernel @add(%1)
  %3: f32[8, 32] = kernel @join(%1, %2)
  %4: f32[8, 32] = kernel @end(%3)
  return %4
}
${double}${add}${two}${end}`);
    expectModule(found.session, found.module, `
graph @main(%x: f32[4, 32]) -> (y: f32[8, 32]) attrs {target = "k"} {
  %1: f32[8, 32] = kernel @double_1(%x)
  %2: f32[8, 32] = kernel @add_1(%1, %1) effects(mutates 1; aliases 0 = 1)
  %4: f32[8, 32] = kernel @end(%2)
  return %4
}
${end}
tensor @double_1(a: f32[4, 32], out out: f32[8, 32]) attrs {touched = {out = [[0, 4]]}} {
  for i in 0..4, j in 0..32 {
    block out(v: spatial = i, w: spatial = j) {
      out[v, w] = a[v, w] * 2f
    }
  }
}

tensor @add_1(a: f32[8, 32], out_before_0: f32[8, 32], out out: f32[8, 32]) attrs {updates = {out = "out_before_0"}, touched = {a = [[0, 4]], out = [[0, 4]]}} {
  for i in 0..4, j in 0..32 {
    block out(v: spatial = i, w: spatial = j) {
      out[v + 4, w] = a[v, w] + 1f
    }
  }
}`);
    expect(found.records.map(({ value, type, within }) => [value, type, within])).toEqual([
      ['1', 'f32[8, 32]', { value: '3', before: [0, 0] }], ['2', 'f32[8, 32]', { value: '3', before: [4, 0] }],
    ]);
    const scheduled = await same(found);
    // One buffer for all that is in it, here the result's, and no byte counted that a kernel does not touch.
    const { plan } = planRegion(main(scheduled), scheduled, found.session);
    expect(plan.launches.map((l) => found.session.exprs.valueOf(l.bytes))).toEqual([2 * 512, 2 * 512, 2 * 1024]);
    expect(found.session.exprs.valueOf(plan.workspace)).toBe(0);
  });

  it('are the rest of a concatenation that a kernel computes or copies', async () => {
    const found = await placed(`
graph @main(%x: f32[4, 32]) -> (y: f32[12, 32]) attrs {target = "k"} {
  %1: f32[4, 32] = kernel @double(%x)
  %2: f32[12, 32] = kernel @mixed(%x, %1)
  return %2
}
${double}${concat('mixed', ['a[v, w]', 'b[v - 4, w]', 'exp(a[v - 8, w])'], 12, 'a: f32[4, 32], b: f32[4, 32]')}`);
    expect(calls(found.module)).toEqual(['double_1', 'mixed_1_1 updates 1', 'mixed_2_1 updates 2.part0']);
    await same(found);
  });

  it('lie in their slices, and in wholes of wholes', async () => {
    const found = await placed(`
graph @main(%x: f32[8, 32]) -> (y: f32[16, 32]) attrs {target = "k"} {
  %1: f32[8, 32] = kernel @end(%x)
  %2: f32[4, 32] = kernel @upper(%1)
  %3: f32[4, 32] = kernel @double(%2)
  %4: f32[12, 32] = kernel @three(%1, %2, %3)
  %5: f32[4, 32] = kernel @add(%3)
  %6: f32[16, 32] = kernel @four(%4, %5)
  %7: f32[16, 32] = kernel @last(%6)
  return %7
}
${unary('last', 16, 32, 'a[v, w]')}${end}${slice('upper', 8, 4, 8)}${double}${add}${concat('three', ['a[v, w]', 'b[v - 4, w]', 'c[v - 8, w]'], 12, 'a: f32[8, 32], b: f32[4, 32], c: f32[4, 32]')}
tensor @four(a: f32[12, 32], b: f32[4, 32], out out: f32[16, 32]) {
  for i in 0..16, j in 0..32 {
    block out(v: spatial = i, w: spatial = j) {
      out[v, w] = select(v < 12, a[v, w], b[v - 12, w])
    }
  }
}`);
    expect(calls(found.module)).toEqual(['end_1', 'double_1 updates 1', 'add_1 updates 3', 'last']);
    await same(found);
  });

  it('lie so in other orders of axes, and with dims', async () => {
    const found = await placed(`
dims n in 1..8

graph @main(%x: f32[n, 32]) -> (y: f32[n, 64]) attrs {target = "k"} {
  %1: f32[n, 32] = kernel @double(%x)
  %2: f32[n, 32] = kernel @add(%1)
  %3: f32[n, 64] = kernel @join(%1, %2)
  %4: f32[n, 64] = kernel @end(%3)
  return %4
}
${unary('double', 'n', 32, 'a[v, w] * 2f')}${unary('add', 'n', 32, 'a[v, w] + 1f')}${unary('end', 'n', 64, 'a[v, w]')}
tensor @join(a: f32[n, 32], b: f32[n, 32], out out: f32[n, 64]) {
  for i in 0..n, j in 0..64 {
    block out(v: spatial = i, w: spatial = j) {
      out[v, w] = select(w < 32, a[v, w], b[v, w - 32])
    }
  }
}`, ['double']);
    expect(calls(found.module)).toEqual(['double_1', 'add_1 updates 1', 'end_1']);
    expect(found.records.map((r) => [r.value, r.order, r.within?.before])).toEqual([['1', [1, 0], [0, 0]], ['2', [1, 0], [32, 0]], ['3', [1, 0], undefined]]);
    await same(found, new Map([['n', 3]]));
  });

  it('are written into a result where nobody else reads them, and are no results, parameters or views themselves', async () => {
    const graph = (body: string, results: string): string => `
graph @main(%x: f32[4, 32]) -> (${results.split(', ').map((_, i) => `y${i}: f32[${i === 0 ? 8 : 4}, 32]`).join(', ')}) attrs {target = "k"} {
  ${body}
  return ${results}
}
${double}${add}${two}`;
    const result = await placed(graph('%1: f32[4, 32] = kernel @double(%x)\n  %2: f32[8, 32] = kernel @join(%1, %x)', '%2'));
    expect(calls(result.module)).toEqual(['double_1', 'join_1_1 updates 1']);
    await same(result);
    const both = await placed(graph('%1: f32[4, 32] = kernel @double(%x)\n  %2: f32[8, 32] = kernel @join(%1, %x)', '%2, %1'));
    expect(both.module).toBe(both.before);
    const read = await placed(graph('%1: f32[4, 32] = kernel @double(%x)\n  %2: f32[4, 32] = kernel @add(%1)\n  %3: f32[8, 32] = kernel @join(%1, %2)', '%3'));
    expect(calls(read.module)).toEqual(['double', 'add_1', 'join_1_1 updates 2']);
    await same(read);
    const parameters = await placed(graph('%2: f32[8, 32] = kernel @join(%x, %x)', '%2'));
    expect(parameters.module).toBe(parameters.before);
    const view = await placed(graph('%1: f32[128] = shape.reshape(%x) {shape = [128]}\n  %2: f32[4, 32] = shape.reshape(%1) {shape = [4, 32]}\n  %3: f32[8, 32] = kernel @join(%2, %2)', '%3'));
    expect(view.module).toBe(view.before);
  });

  it('are copied where they are twice in it, or in another whole', async () => {
    const found = await placed(`
graph @main(%x: f32[4, 32]) -> (y: f32[8, 32], z: f32[8, 32]) attrs {target = "k"} {
  %1: f32[4, 32] = kernel @double(%x)
  %2: f32[8, 32] = kernel @join(%1, %1)
  %3: f32[8, 32] = kernel @join(%x, %1)
  %4: f32[8, 32] = kernel @end(%2)
  return %4, %3
}
${double}${two}${end}`);
    expect(calls(found.module)).toEqual(['double_1', 'join_1_1 updates 1', 'join_2', 'end']);
    await same(found);
  });

  it('are copied where runs of bytes would be short, or orders differ', async () => {
    const text = (columns: number): string => `
graph @main(%x: f32[4, ${columns}]) -> (y: f32[4, ${2 * columns}]) attrs {target = "k"} {
  %1: f32[4, ${columns}] = kernel @double(%x)
  %2: f32[4, ${2 * columns}] = kernel @join(%1, %x)
  return %2
}
${unary('double', 4, columns, 'a[v, w] * 2f')}
tensor @join(a: f32[4, ${columns}], b: f32[4, ${columns}], out out: f32[4, ${2 * columns}]) {
  for i in 0..4, j in 0..${2 * columns} {
    block out(v: spatial = i, w: spatial = j) {
      out[v, w] = select(w < ${columns}, a[v, w], b[v, w - ${columns}])
    }
  }
}`;
    const short = await placed(text(15));
    expect(short.module).toBe(short.before);
    const long = await placed(text(16));
    expect(calls(long.module)).toEqual(['double_1', 'join_1_1 updates 1']);
    await same(long);
    const across = await placed(text(16), ['double']);
    expect(calls(across.module)).toEqual(['double_1', 'join_1']);
    await same(across);
  });

  it('are copied where much else is written until all are there', async () => {
    const text = (rows: number): string => `
graph @main(%x: f32[4, 32], %z: f32[${rows}, 32]) -> (y: f32[8, 32], z: f32[${rows}, 32]) attrs {target = "k"} {
  %1: f32[4, 32] = kernel @double(%x)
  %2: f32[${rows}, 32] = kernel @other(%z)
  %3: f32[8, 32] = kernel @join(%1, %x)
  return %3, %2
}
${double}${two}${unary('other', rows, 32, 'a[v, w] * 2f')}`;
    expect(calls((await placed(text(1 << 14))).module)).toEqual(['double_1', 'other', 'join_1_1 updates 1']);
    const waits = await placed(text((1 << 14) + 1));
    expect(waits.module).toBe(waits.before);
  });
});

describe('slices', () => {
  it('are read where they are, in parameters as well', async () => {
    const found = await placed(`
graph @main(%x: f32[8, 32]) -> (y: f32[4, 32]) attrs {target = "k"} {
  %1: f32[6, 32] = kernel @most(%x)
  %2: f32[4, 32] = kernel @lower(%1)
  %3: f32[4, 32] = kernel @double(%2)
  return %3
}
${slice('most', 8, 2, 8)}${slice('lower', 6, 1, 5)}${double}`);
    expectModule(found.session, found.module, `
graph @main(%x: f32[8, 32]) -> (y: f32[4, 32]) attrs {target = "k"} {
  %3: f32[4, 32] = kernel @double_1(%x)
  return %3
}

tensor @double_1(a: f32[8, 32], out out: f32[4, 32]) attrs {touched = {a = [[0, 4]]}} {
  for i in 0..4, j in 0..32 {
    block out(v: spatial = i, w: spatial = j) {
      out[v, w] = a[v + 3, w] * 2f
    }
  }
}`);
    await same(found);
  });

  it('are copied where they are results', async () => {
    const result = await placed(`
graph @main(%x: f32[8, 32]) -> (y: f32[4, 32]) attrs {target = "k"} {
  %1: f32[4, 32] = kernel @lower(%x)
  return %1
}
${slice('lower', 8, 0, 4)}`);
    expect(result.module).toBe(result.before);
  });
});
