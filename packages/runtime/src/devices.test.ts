import { describe, expect, test } from 'vitest';
import { biasRelu, buildArtifact, call, param, result, ret, type TestArtifact, value } from '../test/build.ts';
import { failure } from '../test/failure.ts';
import { testDevice, testLoader } from '../test/js-loader.ts';
import { createRuntime } from './index.ts';

/** `y = relu(x + x) * x`: the sum on `npu`, the product on the host, with copies between. */
const split: TestArtifact = {
  blobs: {
    npu: { format: 'npu-test', entries: { sum: { steps: [{ op: 'add', dtype: 'f32', a: 0, b: 0, out: 1 }, { op: 'relu', dtype: 'f32', a: 1, out: 1 }], delay: 3 } } },
    host: { entries: { sum: { steps: [{ op: 'add', dtype: 'f32', a: 0, b: 0, out: 1 }, { op: 'relu', dtype: 'f32', a: 1, out: 1 }] }, product: { steps: [{ op: 'mul', dtype: 'f32', a: 0, b: 1, out: 2 }] } } },
  },
  devices: [{ name: 'host', target: null }, { name: 'npu', target: 'npu' }],
  regions: [{ name: 'sum', on: [{ blob: 0 }, { blob: 1 }] }, { name: 'product', on: [{ blob: 1 }] }],
  params: [{ name: 'x' }],
  results: [{ name: 'y' }],
  values: [param(0), value({ kind: 'arena', arena: 0, offset: [0] }, { device: 1 }), value({ kind: 'arena', arena: 0, offset: ['$n', 4, '*', 63, '+', 64, 'floordiv', 64, '*'] }, { device: 1 }), value({ kind: 'arena', arena: 1, offset: [0] }), result(0)],
  arenas: [{ device: 1, bytes: ['$n', 8, '*', 128, '+'] }, { device: 0, bytes: ['$n', 4, '*'] }],
  program: [{ op: 'copy', from: 0, to: 1 }, call(0, [1], [2]), { op: 'copy', from: 2, to: 3 }, call(1, [3, 0], [4]), ret(4)],
};
const expected = (x: readonly number[]): number[] => x.map((v) => Math.max(0, 2 * v) * v);

describe('two devices', () => {
  test('exchange values through the host', async () => {
    const npu = testLoader({ name: 'npu', format: 'npu-test', device: testDevice('npu', 'npu') });
    const host = testLoader();
    const model = await createRuntime({ loaders: [host, npu] }).load(await buildArtifact(split));
    for (const x of [[1, -2, 3], [4], [5, 6, 7]]) expect([...(await model.run({ x }))['y']!.data]).toEqual(expected(x));
    expect([npu.runs, host.runs]).toEqual([3, 3]);
    expect(npu.device.log.slice(0, 2)).toEqual(['npu: write 12', 'npu: read 12']);
    const overlapping = await Promise.all(Array.from({ length: 8 }, (_, i) => model.run({ x: [i, i + 1, i / 2] })));
    overlapping.forEach(({ y }, i) => expect([...y!.data]).toEqual(expected([i, i + 1, i / 2])));
    model.dispose();
    expect([npu.device.live.size, host.device.live.size, npu.bound, host.bound]).toEqual([0, 0, 0, 0]);
  });

  test('runSync is refused where one must be waited for', async () => {
    const npu = testLoader({ name: 'npu', format: 'npu-test', device: testDevice('npu', 'npu') });
    using model = await createRuntime({ loaders: [testLoader(), npu] }).load(await buildArtifact(split));
    expect((await failure(() => model.runSync({ x: [1] }))).code).toBe('runtime/not-synchronous');
    expect([...(await model.run({ x: [3] }))['y']!.data]).toEqual([18]);
  });

  test('without its loader a region runs where its next variant does', async () => {
    const host = testLoader();
    using model = await createRuntime({ loaders: [host] }).load(await buildArtifact(split));
    expect([...model.runSync({ x: [1, -2, 3] })['y']!.data]).toEqual(expected([1, -2, 3]));
    expect(host.runs).toBe(2);
    expect(model.reports).toMatchObject([{ severity: 'warning', code: 'runtime/target-unavailable', message: "npu cannot run here, so region 'sum' runs on host: no loader for npu-test" }]);
  });

  test('two loaders in one space exchange buffers as they are', async () => {
    const npu = testLoader({ name: 'npu', format: 'npu-test', device: testDevice('npu', 'host', true) });
    const host = testLoader();
    const shared: TestArtifact = { ...split, values: [param(0), param(0), value({ kind: 'arena', arena: 1, offset: [0] }), value({ kind: 'arena', arena: 1, offset: [0] }), result(0)], program: [call(0, [0], [2]), call(1, [2, 0], [4]), ret(4)] };
    using model = await createRuntime({ loaders: [host, npu] }).load(await buildArtifact(shared));
    // The second call must wait for the first, which ends later, although nothing is copied.
    for (const x of [[1, 2], [3, 4]]) expect([...(await model.run({ x }))['y']!.data]).toEqual(expected(x));
    expect(npu.device.log).toEqual([]);
  });
});

describe('variants', () => {
  const guarded: TestArtifact = {
    ...biasRelu(),
    blobs: {
      fast: { entries: { r: { steps: [{ op: 'fill', dtype: 'f32', dim: 0, out: 1 }] } } },
      general: { entries: { r: { steps: [{ op: 'copy', dtype: 'f32', a: 0, out: 1 }] } } },
    },
    constants: [],
    regions: [{ name: 'r', dims: ['n'], on: [{ blob: 0, guards: [['$n', 4, 'mod', 0, 'eq']] }, { blob: 1 }] }],
  };
  test('the first whose guards hold runs', async () => {
    using model = await createRuntime({ loaders: [testLoader()] }).load(await buildArtifact(guarded));
    expect([...model.runSync({ x: [9, 9, 9, 9] })['y']!.data]).toEqual([4, 4, 4, 4]);
    expect([...model.runSync({ x: [9, 9, 9] })['y']!.data]).toEqual([9, 9, 9]);
    expect(model.reports).toEqual([]);
  });
  test('where none can run the error says why for each', async () => {
    const bytes = await buildArtifact({ ...guarded, regions: [{ name: 'r', dims: ['n'], on: [{ blob: 0, guards: [['$n', 4, 'mod', 0, 'eq']] }] }] });
    using model = await createRuntime({ loaders: [testLoader()] }).load(bytes);
    expect(await failure(() => model.run({ x: [1] }))).toMatchObject({ code: 'runtime/no-variant', message: expect.stringContaining('its condition n % 4 == 0 does not hold') });
  });
  test('loaders that cannot take an artifact say so when it is loaded', async () => {
    const bytes = await buildArtifact(split);
    const npu = testLoader({ name: 'npu', format: 'npu-test', answer: () => ({ kind: 'recompile', code: 'npu/revision', reason: 'made for revision B' }) });
    const native = testLoader({ name: 'native', native: true });
    const problem = await failure(() => createRuntime({ loaders: [npu, native] }).load(bytes));
    expect(problem.code).toBe('runtime/no-variant');
    expect(problem.message).toMatch(/npu says recompile \[npu\/revision\]: made for revision B; host: loader native runs native code, which is not allowed here/);
    expect((await failure(() => createRuntime({ loaders: [] }).load(bytes))).message).toContain('npu: no loader for npu-test; host: no loader for js-test');
    using model = await createRuntime({ loaders: [npu, native], allowNative: true }).load(bytes);
    expect([...model.runSync({ x: [2] })['y']!.data]).toEqual([8]);
  });
  test('an optimal loader is preferred to a usable one', async () => {
    const usable = testLoader({ answer: () => ({ kind: 'usable' }) });
    const optimal = testLoader();
    using model = await createRuntime({ loaders: [usable, optimal] }).load(await buildArtifact(biasRelu()));
    await model.run({ x: [1] });
    expect([usable.runs, optimal.runs]).toEqual([0, 1]);
  });
});

describe('a region that fails', () => {
  const failing = (fail: 'bind' | 'run' | 'fence'): TestArtifact => ({ ...split, blobs: { ...split.blobs, npu: { format: 'npu-test', entries: { sum: { ...split.blobs['npu']!.entries['sum']!, fail } } } } });
  test.each(['bind', 'run', 'fence'] as const)('falls back to its next variant, once, and reports it (%s)', async (fail) => {
    const npu = testLoader({ name: 'npu', format: 'npu-test', device: testDevice('npu', 'npu') });
    const host = testLoader();
    const model = await createRuntime({ loaders: [npu, host] }).load(await buildArtifact(failing(fail)));
    for (const x of [[1, -2, 3], [4, 5, 6], [7]]) expect([...(await model.run({ x }))['y']!.data]).toEqual(expected(x));
    expect(model.reports).toHaveLength(1);
    expect(model.reports[0]).toMatchObject({ code: 'runtime/region-fallback', severity: 'warning', message: expect.stringMatching(/'sum' failed on npu and runs on host from now on: (cannot bind|it broke)/) });
    model.dispose();
    expect([npu.bound, host.bound, npu.device.live.size, host.device.live.size]).toEqual([0, 0, 0, 0]);
  });
  test('also in runSync', async () => {
    const npu = testLoader({ name: 'npu', format: 'npu-test', device: testDevice('npu', 'host') });
    using model = await createRuntime({ loaders: [npu, testLoader()] }).load(await buildArtifact(failing('run')));
    expect([...model.runSync({ x: [3] })['y']!.data]).toEqual([18]);
    expect(model.reports).toHaveLength(1);
  });
  test('the last variant is never given up: the next input may do', async () => {
    const artifact: TestArtifact = { ...biasRelu(), blobs: { code: { entries: { r: { steps: [{ op: 'fail' }] } } } } };
    using model = await createRuntime({ loaders: [testLoader()] }).load(await buildArtifact(artifact));
    for (let i = 0; i < 2; i++) expect(await failure(() => model.run({ x: [1] }))).toMatchObject({ code: 'runtime/region-failed', message: expect.stringContaining("region 'r' failed: js: a kernel failed") });
    expect((await failure(() => model.runSync({ x: [1] }))).code).toBe('runtime/region-failed');
    expect(model.reports).toEqual([]);
  });
  test('where all variants fail all say why', async () => {
    const artifact = failing('run');
    const all = { ...artifact, blobs: { ...artifact.blobs, host: { entries: { sum: { steps: [{ op: 'fail' as const }] }, product: artifact.blobs['host']!.entries['product']! } } } };
    using model = await createRuntime({ loaders: [testLoader(), testLoader({ name: 'npu', format: 'npu-test', device: testDevice('npu', 'npu') })] }).load(await buildArtifact(all));
    expect(await failure(() => model.run({ x: [1] }))).toMatchObject({ code: 'runtime/region-failed', message: expect.stringContaining('npu: it broke; js: a kernel failed') });
    expect(model.reports).toEqual([]);
  });
});
