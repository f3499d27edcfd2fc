import type { Instruction } from '@tenon/artifact';
import { describe, expect, test } from 'vitest';
import { buildArtifact, call, param, result, ret, type TestArtifact, value } from '../test/build.ts';
import { failure } from '../test/failure.ts';
import { testDevice, testLoader, type TestLoader, type TestStep } from '../test/js-loader.ts';
import { createRuntime, type Model, Tensor } from './index.ts';

const load = async (artifact: TestArtifact, loader: TestLoader = testLoader()): Promise<Model> => createRuntime({ loaders: [loader] }).load(await buildArtifact(artifact));
const region = (name: string, rest: Partial<TestArtifact['regions'][number]> = {}): TestArtifact['regions'][number] => ({ name, on: [{ blob: 0 }], ...rest });
const entry = (...steps: TestStep[]) => ({ steps });
const runDim = (name: string, max: number | null = null, min = 0) => ({ name, min, max, binding: { kind: 'run' as const } });
const axisN = { name: 'n', binding: { kind: 'axis' as const, param: 0, axis: 0 } };

/** nonzero: i64[m] indices of the non-zero elements of x, m found while running; then their doubles in memory sized by m. */
const nonzero: TestArtifact = {
  blobs: { code: { entries: { find: entry({ op: 'nonzero', a: 0, out: 1 }), twice: entry({ op: 'add', dtype: 'i64', a: 0, b: 0, out: 1 }) } } },
  regions: [region('find', { runDims: ['count'] }), region('twice', { dims: ['m'], on: [{ blob: 0, dims: ['m'], guards: [[0, '$m', 'le']] }] })],
  params: [{ name: 'x' }],
  results: [{ name: 'indices', dtype: 'i64', shape: [['$m']] }, { name: 'twice', dtype: 'i64', shape: [['$m']] }],
  dims: [axisN, runDim('m')],
  values: [
    param(0),
    value({ kind: 'arena', arena: 0, offset: [0] }, { dtype: 'i64', shape: [['$m']], bytes: ['$n', 8, '*'] }),
    value({ kind: 'arena', arena: 1, offset: [0] }, { dtype: 'i64', shape: [['$m']], bytes: ['$m', 8, '*'] }),
  ],
  arenas: [{ device: 0, bytes: ['$n', 8, '*'] }, { device: 0, bytes: ['$m', 8, '*'] }],
  program: [call(0, [0], [1], [], ['m']), call(1, [1], [2], [['$m']]), ret(1, 2)],
};

describe('run-time dims', () => {
  test.each(['sync', 'async'])('size results and later memory (%s)', async (mode) => {
    const loader = testLoader();
    using model = await load(nonzero, loader);
    for (const x of [[0, 3, 0, 4], [0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 7, 0], [1, 1, 1, 1]]) {
      const found = x.flatMap((v, i) => (v ? [BigInt(i)] : []));
      const { indices, twice } = mode === 'sync' ? model.runSync({ x }) : await model.run({ x });
      expect(indices).toEqual(new Tensor('i64', [found.length], BigInt64Array.from(found)));
      expect(twice).toEqual(new Tensor('i64', [found.length], BigInt64Array.from(found, (i) => 2n * i)));
    }
    model.dispose();
    expect([loader.bound, loader.device.live.size]).toEqual([0, 0]);
  });
  test('work on a device with a queue', async () => {
    const onDevice = { ...nonzero, devices: [{ name: 'host', target: null }, { name: 'npu', target: 'code' }], values: nonzero.values.map((v) => ({ ...v, device: 1 })), arenas: nonzero.arenas!.map((a) => ({ ...a, device: 1 })) };
    using model = await load(onDevice, testLoader({ device: testDevice('npu', 'npu') }));
    for (const x of [[0, 3, 0, 4], [5], [1, 2, 3]]) {
      const found = x.flatMap((v, i) => (v ? [BigInt(i)] : []));
      const { twice } = await model.run({ x });
      expect([...twice!.data]).toEqual(found.map((i) => 2n * i));
    }
  });
  test('beyond their range they stop the run', async () => {
    using model = await load({ ...nonzero, dims: [axisN, runDim('m', 2)] });
    expect(await failure(() => model.run({ x: [1, 1, 1] }))).toMatchObject({ code: 'runtime/dim-range', message: expect.stringContaining("dim 'm', found while running, is 3: it must be in 0 … 2") });
    expect((await model.run({ x: [1, 0, 1] }))['indices']!.shape).toEqual([2]);
  });
  test('memory that is too small for a value is refused, not overrun', async () => {
    using model = await load({ ...nonzero, arenas: [{ device: 0, bytes: ['$n', 8, '*', 8, '-'] }, nonzero.arenas![1]!] });
    expect((await failure(() => model.run({ x: new Float32Array(100) }))).code).toBe('runtime/invalid-view');
  });
});

describe('dims from elements', () => {
  const fill: TestArtifact = {
    blobs: { code: { entries: { fill: entry({ op: 'fill', dtype: 'f32', dim: 0, out: 0 }) } } },
    regions: [region('fill', { dims: ['v'] })],
    params: [{ name: 'x', dtype: 'i64' }],
    results: [{ name: 'y', shape: [['$m', '$k', '+']] }],
    dims: [axisN, runDim('m', 100), runDim('k', 100)],
    values: [param(0, { dtype: 'i64', bytes: ['$n', 8, '*'] }), result(0, { shape: [['$m', '$k', '+']], bytes: ['$m', '$k', '+', 4, '*'] })],
    program: [
      { op: 'dim', name: 'm', value: { kind: 'element', value: 0, element: 1 } },
      { op: 'dim', name: 'k', value: { kind: 'formula', formula: ['$m', 2, 'floordiv'] } },
      call(0, [], [1], [['$m', 10, '*']]),
      ret(1),
    ],
  };
  test('are read while running', async () => {
    using model = await load(fill);
    for (const m of [4, 1, 7]) expect([...model.runSync({ x: [0, m] })['y']!.data]).toEqual(Array(m + Math.floor(m / 2)).fill(10 * m));
    expect((await failure(() => model.run({ x: [5] }))).code).toBe('runtime/invalid-view');
  });
  test('also from a device\'s memory', async () => {
    const onDevice = { ...fill, devices: [{ name: 'host', target: null }, { name: 'npu', target: 'code' }], values: fill.values.map((v) => ({ ...v, device: 1 })) };
    using model = await load(onDevice, testLoader({ device: testDevice('npu', 'npu') }));
    expect([...(await model.run({ x: [9, 2] }))['y']!.data]).toEqual([20, 20, 20]);
  });
});

describe('control flow', () => {
  const arithmetic = {
    code: { entries: {
      less: entry({ op: 'less', a: 0, value: 100, out: 1 }),
      double: entry({ op: 'add', dtype: 'f32', a: 0, b: 0, out: 1 }),
      square: entry({ op: 'mul', dtype: 'f32', a: 0, b: 0, out: 1 }),
    } },
  };
  const regions = [region('less'), region('double'), region('square')];
  const temporary = value({ kind: 'arena', arena: 0, offset: [0] });
  const flag = value({ kind: 'arena', arena: 1, offset: [0] }, { dtype: 'bool', shape: [], bytes: [1] });
  const base = { blobs: arithmetic, regions, params: [{ name: 'x' }], results: [{ name: 'y' }], dims: [axisN, runDim('i')], values: [param(0), result(0), temporary, flag], arenas: [{ device: 0, bytes: ['$n', 4, '*'] }, { device: 0, bytes: [64] }] } satisfies Partial<TestArtifact>;
  const condition = { kind: 'element', value: 3, element: 0 } as const;

  test('a branch takes one side', async () => {
    using model = await load({ ...base, program: [call(0, [0], [3]), { op: 'branch', condition, then: [call(1, [0], [1])], otherwise: [call(2, [0], [1])] }, ret(1)] });
    expect(model.runSync({ x: [50] })['y']!.data).toEqual(Float32Array.of(100));
    expect((await model.run({ x: [200] }))['y']!.data).toEqual(Float32Array.of(40000));
  });

  const doubling: Instruction = { op: 'loop', trips: null, condition, index: null, body: [call(1, [1], [2]), { op: 'copy', from: 2, to: 1 }, call(0, [1], [3])] };
  test.each([['host', 'host'], ['npu', 'npu']])('a loop runs while its condition holds (%s)', async (name, space) => {
    const onDevice = { devices: [{ name: 'host', target: null }, { name, target: 'code' }], values: base.values.map((v) => ({ ...v, device: 1 })), arenas: base.arenas.map((a) => ({ ...a, device: 1 })) };
    using model = await load({ ...base, ...onDevice, program: [{ op: 'copy', from: 0, to: 1 }, call(0, [0], [3]), doubling, ret(1)] }, testLoader({ device: testDevice(name, space) }));
    expect((await model.run({ x: [3] }))['y']!.data).toEqual(Float32Array.of(192));
    expect((await model.run({ x: [100] }))['y']!.data).toEqual(Float32Array.of(100));
    expect((await model.run({ x: [1, 7] }))['y']!.data).toEqual(Float32Array.of(128, 896));
  });

  test('a counted loop gives its index as a dim', async () => {
    const loader = testLoader();
    using model = await load({
      ...base,
      blobs: { code: { entries: { fill: entry({ op: 'fill', dtype: 'f32', dim: 0, out: 0 }), add: entry({ op: 'add', dtype: 'f32', a: 0, b: 1, out: 2 }) } } },
      regions: [region('fill', { dims: ['v'] }), region('add')],
      program: [call(0, [], [1], [[0]]), { op: 'loop', trips: { kind: 'formula', formula: ['$n'] }, condition: null, index: 'i', body: [call(0, [], [2], [['$i']]), call(1, [1, 2], [1])] }, ret(1)],
    }, loader);
    expect(model.runSync({ x: new Float32Array(5) })['y']!.data).toEqual(new Float32Array(5).fill(10));
    expect((await model.run({ x: new Float32Array(3) }))['y']!.data).toEqual(new Float32Array(3).fill(3));
    model.dispose();
    expect(loader.bound).toBe(0);
  });
});
