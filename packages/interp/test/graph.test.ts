import { describe, expect, it } from 'vitest';
import { definePlugin, diagnosticOf, TenonError, type Expr, type GraphFunction, type HostTensor, type IRModule } from '@tenon/plugin';
import { parseModule, Session } from '@tenon/core';
import { evaluateGraph } from '../src/index.ts';

const doubled = definePlugin({ name: 'ops', namespace: 't' }, () => ({
  ops: [
    {
      name: 't.double', doc: '2x', signature: { params: ['x'], attrs: {}, results: ['y'] },
      facets: { infer: (c) => [c.tensor(0)], reference: ({ args }) => [{ ...args[0]!, data: (args[0]!.data as Float32Array).map((v) => 2 * v) }] },
    },
    { name: 't.unknown', doc: '?', signature: { params: ['x'], attrs: {}, results: ['y'] }, facets: { infer: (c) => [c.tensor(0)] } },
    {
      name: 't.full', doc: 'A vector of length n.', signature: { params: [], attrs: { n: null }, results: ['y'] },
      facets: { infer: (c) => [{ kind: 'tensor', dtype: 'f32', shape: [typeof c.attrs['n'] === 'number' ? c.exprs.int(c.attrs['n']) : (c.attrs['n'] as Expr)], annotations: {} }], reference: ({ attrs }) => [{ dtype: 'f32', shape: [attrs['n'] as number], data: new Float32Array(attrs['n'] as number).fill(3) }] },
    },
  ],
}))();
const session = new Session({
  config: { plugins: [doubled] },
  host: { name: 'test', now: () => 0, resolve: (_, p) => p, cache: null, open: () => Promise.reject(new TenonError({ code: 'host/not-found', message: 'no files' })) },
});
const floats = (...values: number[]): HostTensor => ({ dtype: 'f32', shape: [values.length], data: Float32Array.from(values) });
const elements = (t: HostTensor | undefined): unknown => Array.from(t!.data as ArrayLike<number>);
async function run(text: string, inputs: readonly HostTensor[], dims?: ReadonlyMap<string, number>): Promise<HostTensor[]> {
  const module: IRModule = parseModule(text, session.exprs);
  return evaluateGraph(module, module.functions.get('main') as GraphFunction, inputs, session, dims);
}
const code = (error: unknown): string | undefined => diagnosticOf(error)?.code;

describe('a graph function is evaluated', () => {
  it('operator by operator; results may be parameters, constants, or the same twice', async () => {
    const results = await run(`
const @c: f32[2] = [5, 6]
graph @main(%x: f32[n]) -> (a: f32[n], b: f32[n], c: f32[2], d: f32[n]) {
  %0: f32[n] = t.double(%x)
  return %0, %x, @c, %0
}`, [floats(1, 2, 3)]);
    expect(results.map(elements)).toEqual([[2, 4, 6], [1, 2, 3], [5, 6], [2, 4, 6]]);
  });

  it('with kernels, their scalars, and the memory that they go on with', async () => {
    const results = await run(`
dims n in 1..9
tensor @first(X: f32[4], out Y: f32[4], scalar k) { for i in 0..4 { Y[i] = select(i < k, X[i], 0f) } }
tensor @second(Y_before: f32[4], out Y: f32[4]) { Y[3] = Y[0] + 1f }
graph @main(%x: f32[4], %l: f32[n]) -> f32[4] {
  %0: f32[4] = kernel @first(%x; n + 1)
  %1: f32[4] = kernel @second(%0) effects(mutates 0; aliases 0 = 0)
  return %1
}`, [floats(1, 2, 3, 4), floats(0)]);
    expect(results.map(elements)).toEqual([[1, 2, 0, 2]]);
  });

  it('through regions', async () => {
    const results = await run(`
graph @region(%y: f32[n]) -> f32[n] {
  %0: f32[n] = t.double(%y)
  return %0
}
graph @main(%x: f32[n]) -> f32[n] {
  %0: f32[n] = region @region(%x)
  %1: f32[n] = region @region(%0)
  return %1
}`, [floats(1, 2)]);
    expect(results.map(elements)).toEqual([[4, 8]]);
  });

  it('with dims from shapes, from contents and from the caller', async () => {
    const text = `
dims k in 0..
graph @main(%s: i64[1; contents = [(k)]]) -> (a: f32[k], b: f32[2 * m]) {
  %0: f32[k] = t.full() {n = (k)}
  %1: f32[2 * m] = t.full() {n = (2 * m)}
  return %0, %1
}`;
    const results = await run(text, [{ dtype: 'i64', shape: [1], data: BigInt64Array.of(2n) }], new Map([['m', 1]]));
    expect(results.map(elements)).toEqual([[3, 3], [3, 3]]);
  });

  it('with calls of libraries, as the operators that they stand for', async () => {
    const results = await run(`
const @c: f32[1] = [3]
graph @ops(%x: f32[n], %again: f32[n]) -> f32[n] {
  %0: f32[n] = t.double(%x)
  return %0
}
graph @main(%x: f32[n]) -> f32[n] {
  %0: f32[n] = extern "f"(%x, @c, %x; n) {source = "ops"}
  return %0
}`, [floats(1, 2)]);
    expect(results.map(elements)).toEqual([[2, 4]]);
  });

  it('or refused with a code', async () => {
    await expect(run('graph @main(%x: f32[2]) -> f32[2] {\n return %x }', [])).rejects.toSatisfy((e) => code(e) === 'interp/arguments');
    await expect(run('graph @main(%x: f32[2]) -> f32[2] {\n %0: f32[2] = t.unknown(%x)\n return %0 }', [floats(1, 2)])).rejects.toSatisfy((e) => code(e) === 'interp/no-reference');
    await expect(run('graph @main(%x: f32[2]) -> f32[2] {\n %0: f32[2] = kernel @main(%x)\n return %0 }', [floats(1, 2)])).rejects.toSatisfy((e) => code(e) === 'interp/callee');
    await expect(run('graph @main(%x: f32[2]) -> f32[2] {\n %0: f32[2] = extern "f"(%x)\n return %0 }', [floats(1, 2)])).rejects.toSatisfy((e) => code(e) === 'interp/binding');
  });
});
