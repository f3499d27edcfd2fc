import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Expr, GraphFunction, HostTensor, TensorType } from '@tenon/plugin';
import { printExpr, Session } from '@tenon/core';
import { onnx } from '@tenon/frontend-onnx';
import { info, model, node, raw, type ModelParts } from '../packages/frontend-onnx/test/onnx-writer.ts';
import { hostOf } from '../packages/frontend-onnx/test/session.ts';
import { failure, memory } from '../packages/frontend-onnx/test/source.ts';
import { evaluateGraph } from '@tenon/interp';
import { standardOps } from '@tenon/ops';

const ints = (name: string, values: readonly number[], shape: readonly number[] = [values.length]) => raw(name, 'i64', shape, BigInt64Array.from(values, BigInt));
const y = info('y', 'f32', null);

async function imported(parts: ModelParts, dims = {}) {
  const session = new Session({ config: { plugins: [standardOps(), onnx()] }, host: hostOf({}) });
  const frontend = session.registry.frontends[0]!;
  const module = await frontend.import(memory('model.onnx', model(parts)), session, { dims });
  const main = module.functions.get('main') as GraphFunction;
  return {
    session, module, main,
    /** Callees of the bindings that results need, in order. */
    live: () => {
      const needed = new Set(main.results);
      const kept = [...main.bindings].reverse().filter((b) => {
        if (!b.results.some((r) => needed.has(r))) return false;
        for (const arg of b.args) if (arg) needed.add(arg);
        return true;
      });
      return kept.reverse().map((b) => b.callee);
    },
    shape: () => (main.results[0]!.type as TensorType).shape.map((d: Expr) => printExpr(d)),
    run: (...inputs: HostTensor[]) => evaluateGraph(module, main, inputs, session),
  };
}
const f32 = (shape: readonly number[]): HostTensor => ({ dtype: 'f32', shape, data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i) });
const i64 = (values: readonly number[], shape: readonly number[] = [values.length]): HostTensor => ({ dtype: 'i64', shape, data: BigInt64Array.from(values, BigInt) });

describe('shapes computed in ONNX models', () => {
  it('follows Shape, Gather, Unsqueeze, Concat into Reshape', async () => {
    const got = await imported({
      inputs: [info('x', 'f32', ['batch', 'len', 64])], outputs: [y],
      initializers: [ints('i0', [0], []), ints('i1', [-2], []), ints('at', [0]), ints('rest', [-1, 16])],
      nodes: [
        node('Shape', ['x'], ['s']), node('Gather', ['s', 'i0'], ['b']), node('Gather', ['s', 'i1'], ['n']),
        node('Unsqueeze', ['b', 'at'], ['b1']), node('Unsqueeze', ['n', 'at'], ['n1']), node('Concat', ['b1', 'n1', 'rest'], ['to'], { attrs: { axis: { i: 0 } } }),
        node('Reshape', ['x', 'to'], ['y']),
      ],
    });
    expect(got.shape()).toEqual(['batch', 'len', '4', '16']);
    expect(got.live()).toEqual(['shape.reshape']);
  });

  it('follows arithmetic, Slice and Squeeze into Range and Expand', async () => {
    const got = await imported({
      inputs: [info('x', 'f32', ['batch', 'len'])], outputs: [info('y', 'i64', null)],
      initializers: [ints('one', [1]), ints('two', [2]), ints('s1', [1]), ints('e1', [2]), ints('zero', [0], []), ints('zero0', [0]), ints('step', [1], [])],
      nodes: [
        node('Shape', ['x'], ['s']), node('Slice', ['s', 's1', 'e1'], ['n']), node('Mul', ['n', 'two'], ['n2']), node('Add', ['n2', 'one'], ['m']),
        node('Squeeze', ['m'], ['limit']), node('Range', ['zero', 'limit', 'step'], ['r']), node('Unsqueeze', ['r', 'zero0'], ['row']),
        node('Slice', ['s', 'zero0', 's1'], ['b']), node('Concat', ['b', 'm'], ['to'], { attrs: { axis: { i: 0 } } }), node('Expand', ['row', 'to'], ['y']),
      ],
    });
    expect(got.shape()).toEqual(['batch', 'len * 2 + 1']);
    const [out] = await got.run(f32([2, 3]));
    expect(out!.shape).toEqual([2, 7]);
    expect(Array.from(out!.data as BigInt64Array, Number)).toEqual([0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 6]);
  });

  it('sees that sizes are never -1 in Where(Equal(shape, -1), …)', async () => {
    const got = await imported({
      inputs: [info('x', 'f32', [1, 'len']), info('z', 'f32', ['batch', 'len'])], outputs: [y], initializers: [ints('minus', [-1]), ints('ones', [1, 1])],
      nodes: [node('Shape', ['z'], ['s']), node('Equal', ['s', 'minus'], ['e']), node('Where', ['e', 'ones', 's'], ['to']), node('Expand', ['x', 'to'], ['y'])],
    });
    expect(got.shape()).toEqual(['batch', 'len']);
  });

  it('bounds a dim by the table that it is taken from, and says so', async () => {
    const got = await imported({
      inputs: [info('x', 'f32', ['batch', 'len', 2])], outputs: [y],
      initializers: [raw('table', 'f32', [512, 2], new Float32Array(1024)), ints('zero', [0]), ints('one', [1]), ints('two', [2])],
      nodes: [node('Shape', ['x'], ['s']), node('Slice', ['s', 'one', 'two'], ['n']), node('Slice', ['table', 'zero', 'n', 'zero'], ['t']), node('Add', ['x', 't'], ['y'])],
    });
    expect(got.shape()).toEqual(['batch', 'len', '2']);
    expect(got.module.dims.get('len')).toMatchObject({ min: 0, max: 512 });
    expect(got.session.diagnostics).toMatchObject([{ severity: 'note', code: 'onnx/dim-bounded' }]);
  });

  it('reshapes by a shape that is an input', async () => {
    const got = await imported({ inputs: [info('x', 'f32', [2, 3, 4]), info('to', 'i64', [3])], outputs: [y], nodes: [node('Reshape', ['x', 'to'], ['y'])] });
    for (const [to, shape] of [[[0, -1, 2], [2, 6, 2]], [[4, 3, 2], [4, 3, 2]], [[-1, 0, 1], [8, 3, 1]]] as const) {
      expect((await got.run(f32([2, 3, 4]), i64(to)))[0]!.shape).toEqual(shape);
    }
  });

  it('refuses shapes computed from data', async () => {
    const bad = failure(imported({
      inputs: [info('x', 'f32', [4]), info('ids', 'i64', [2, 20])], outputs: [y], initializers: [ints('axes', [0, 1]), ints('at', [0])],
      nodes: [node('ReduceSum', ['ids', 'axes'], ['n'], { attrs: { keepdims: { i: 0 } } }), node('Unsqueeze', ['n', 'at'], ['to']), node('Reshape', ['x', 'to'], ['y'])],
    }));
    expect((await bad).code).toMatch(/^onnx\//);
  });

  const x34 = info('x', 'f32', [3, 4]);
  const c = (name: string, values: readonly number[]) => ints(name, values);
  it.each([
    ['Slice-1', { opset: 9, nodes: [node('Slice', ['x'], ['y'], { attrs: { axes: { ints: [1, 0] }, starts: { ints: [-3, 0] }, ends: { ints: [2 ** 31 - 1, -1] } } })] }, [2, 3], [1, 2, 3, 5, 6, 7]],
    ['Pad-2', { opset: 10, nodes: [node('Pad', ['x'], ['y'], { attrs: { pads: { ints: [0, 1, -2, 0] }, value: { f: 9 } } })] }, [1, 5], [9, 0, 1, 2, 3]],
    ['Pad-18 of one axis', { opset: 18, initializers: [c('p', [1, 0]), c('a', [-1])], nodes: [node('Pad', ['x', 'p', '', 'a'], ['y'], { attrs: { mode: { s: 'reflect' } } })] }, [3, 5], [1, 0, 1, 2, 3, 5, 4, 5, 6, 7, 9, 8, 9, 10, 11]],
    ['Split-2', { opset: 11, nodes: [node('Split', ['x'], ['a', 'y'], { attrs: { axis: { i: -1 }, split: { ints: [3, 1] } } })] }, [3, 1], [3, 7, 11]],
    ['Split-18 into uneven parts', { opset: 18, nodes: [node('Split', ['x'], ['a', 'y'], { attrs: { num_outputs: { i: 2 } } })] }, [1, 4], [8, 9, 10, 11]],
    ['Squeeze-1 and Unsqueeze-1', { opset: 11, nodes: [node('Unsqueeze', ['x'], ['a'], { attrs: { axes: { ints: [0, -1] } } }), node('Squeeze', ['a'], ['y'], { attrs: { axes: { ints: [0] } } })] }, [3, 4, 1], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]],
    ['Squeeze without axes', { opset: 13, initializers: [c('i', [2])], nodes: [node('Gather', ['x', 'i'], ['a'], { attrs: { axis: { i: 1 } } }), node('Squeeze', ['a'], ['y'])] }, [3], [2, 6, 10]],
    ['TopK-1', { opset: 9, nodes: [node('TopK', ['x'], ['y', 'i'], { attrs: { k: { i: 2 }, axis: { i: 0 } } })] }, [2, 4], [8, 9, 10, 11, 4, 5, 6, 7]],
    ['TopK-11 of the smallest', { opset: 11, initializers: [c('k', [1])], nodes: [node('TopK', ['x', 'k'], ['y', 'i'], { attrs: { largest: { i: 0 } } })] }, [3, 1], [0, 4, 8]],
    ['Scatter-9', { opset: 10, initializers: [ints('i', [2, 0], [1, 2]), raw('u', 'f32', [1, 2], Float32Array.of(-1, -2))], nodes: [node('Scatter', ['x', 'i', 'u'], ['y'])] }, [3, 4], [0, -2, 2, 3, 4, 5, 6, 7, -1, 9, 10, 11]],
    ['Flatten from the back', { opset: 13, nodes: [node('Flatten', ['x'], ['y'], { attrs: { axis: { i: -2 } } })] }, [1, 12], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]],
    ['Compress by a constant', { opset: 11, initializers: [raw('m', 'bool', [3], Uint8Array.of(0, 1, 1))], nodes: [node('Compress', ['x', 'm'], ['y'], { attrs: { axis: { i: 1 } } })] }, [3, 2], [1, 2, 5, 6, 9, 10]],
    ['Tile and Expand', { opset: 13, initializers: [c('r', [1, 2]), c('i', [0]), c('to', [3, 1])], nodes: [node('Gather', ['x', 'i'], ['a'], { attrs: { axis: { i: 1 } } }), node('Tile', ['a', 'r'], ['t']), node('Expand', ['t', 'to'], ['y'])] }, [3, 2], [0, 0, 4, 4, 8, 8]],
  ] as const)('converts %s', async (_, parts, shape, values) => {
    const got = await (await imported({ inputs: [x34], outputs: [y], ...parts })).run(f32([3, 4]));
    expect(got[0]!.shape).toEqual(shape);
    expect(Array.from(got[0]!.data as Float32Array)).toEqual(values);
  });

  it.each([
    ['a shape of another size', [node('Reshape', ['x', 'two'], ['y'])], 'op/reshape'],
    ['an axis that is not there', [node('Gather', ['x', 'two'], ['y'], { attrs: { axis: { i: 2 } } })], 'onnx/axis-out-of-range'],
    ['parts that do not add up', [node('Split', ['x', 'two'], ['y', 'z'])], 'onnx/invalid-shape'],
    ['squeezing an axis of size 3', [node('Squeeze', ['x', 'at0'], ['y'])], 'onnx/invalid-shape'],
    ['elements that are counted by data', [node('NonZero', ['x'], ['y'])], 'onnx/dynamic-shape'],
    ['a step of 0', [node('Slice', ['x', 'at0', 'at0', 'at0', 'at0'], ['y'])], 'onnx/invalid-shape'],
  ] as const)('refuses %s', async (_, nodes, code) => {
    const d = await failure(imported({ inputs: [x34], outputs: [y], initializers: [c('two', [2, 5]), c('at0', [0])], nodes }));
    expect([d.code, ...d.related.map((r) => r.code)]).toContain(code);
  });

  it('slices as ONNX does, for every start, end and step, with constant and symbolic bounds and sizes', async () => {
    const bound = fc.integer({ min: -9, max: 9 });
    const step = fc.integer({ min: -3, max: 3 }).filter((s) => s !== 0);
    await fc.assert(fc.asyncProperty(fc.integer({ min: 0, max: 6 }), bound, bound, step, fc.boolean(), fc.boolean(), async (size, start, end, by, given, fixed) => {
      const want = sliced(size, start, end, by);
      const data = f32([size]);
      const axis = { inputs: [info('x', 'f32', [fixed ? size : 'n'])], outputs: [y] };
      const values = [ints('s', [start]), ints('e', [end]), ints('a', [0]), ints('d', [by])];
      const nodes = [node('Slice', ['x', 's', 'e', 'a', 'd'], ['y'])];
      const got = given
        ? await (await imported({ ...axis, inputs: [...axis.inputs, ...['s', 'e', 'a', 'd'].map((n) => info(n, 'i64', [1]))], nodes })).run(data, i64([start]), i64([end]), i64([0]), i64([by]))
        : await (await imported({ ...axis, initializers: values, nodes })).run(data);
      expect(Array.from(got[0]!.data as Float32Array)).toEqual(want);
    }), { numRuns: 200, seed: 1 });
  });
});

/** Positions that ONNX's Slice takes of `size` elements. */
function sliced(size: number, start: number, end: number, step: number): number[] {
  if (size === 0) return [];
  const wrap = (i: number): number => (i < 0 ? i + size : i);
  const clamp = (i: number, low: number, high: number): number => Math.min(Math.max(i, low), high);
  const result: number[] = [];
  if (step > 0) for (let i = clamp(wrap(start), 0, size); i < clamp(wrap(end), 0, size); i += step) result.push(i);
  else for (let i = clamp(wrap(start), 0, size - 1); i > clamp(wrap(end), -1, size - 1); i += step) result.push(i);
  return result;
}
