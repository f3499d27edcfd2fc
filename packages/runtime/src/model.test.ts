import type { Loader } from '@tenon/plugin';
import { describe, expect, test } from 'vitest';
import { biasRelu, buildArtifact, call, param, result, ret, value } from '../test/build.ts';
import { failure } from '../test/failure.ts';
import { testDevice, testLoader } from '../test/js-loader.ts';
import { createRuntime, type Model, percentOfLimit, tensor, Tensor } from './index.ts';

const load = async (loader: Loader = testLoader(), artifact = biasRelu()): Promise<Model> => createRuntime({ loaders: [loader] }).load(await buildArtifact(artifact));

describe('run', () => {
  test('gives outputs by name, with their shapes', async () => {
    using model = await load();
    const { y } = await model.run({ x: Float32Array.of(3, 0, -2, 1.5) });
    expect(y).toEqual(new Tensor('f32', [4], Float32Array.of(2, 0, 0, 0.5)));
    expect(model.inputs).toEqual([{ name: 'x', dtype: 'f32', shape: ['n'] }]);
    expect(model.outputs).toEqual([{ name: 'y', dtype: 'f32', shape: ['n'] }]);
  });

  test('runSync gives the same', async () => {
    using model = await load();
    expect(model.runSync({ x: [3, 0, -2] })['y']!.data).toEqual(Float32Array.of(2, 0, 0));
  });

  test('results are the caller\'s: later runs leave them alone', async () => {
    using model = await load();
    const first = model.runSync({ x: [5] })['y']!;
    model.runSync({ x: [7] });
    expect(first.data).toEqual(Float32Array.of(4));
  });

  test('one bound call serves all runs of equal dims', async () => {
    const loader = testLoader();
    using model = await load(loader);
    for (let i = 0; i < 5; i++) await model.run({ x: new Float32Array(8) });
    expect([loader.binds, loader.runs]).toEqual([1, 5]);
    await model.run({ x: new Float32Array(9) });
    expect(loader.binds).toBe(2);
  });

  test('empty tensors run', async () => {
    using model = await load();
    expect((await model.run({ x: new Float32Array(0) }))['y']).toEqual(new Tensor('f32', [0], new Float32Array(0)));
  });

  test('overlapping runs do not disturb each other', async () => {
    const artifact = biasRelu();
    const slow = { ...artifact, blobs: { code: { entries: { r: { ...artifact.blobs['code']!.entries['r']!, delay: 5 } } } } };
    const loader = testLoader({ device: testDevice('npu', 'npu') });
    using model = await load(loader, { ...slow, devices: [{ name: 'host', target: null }, { name: 'npu', target: 'code' }], values: [param(0, { device: 1 }), result(0, { device: 1 })] });
    const results = await Promise.all(Array.from({ length: 12 }, (_, i) => model.run({ x: Float32Array.of(i, i + 1, i + 2).subarray(0, 1 + (i % 3)) })));
    results.forEach(({ y }, i) => expect([...y!.data]).toEqual([i, i + 1, i + 2].slice(0, 1 + (i % 3)).map((x) => Math.max(0, x - 1))));
  });

  test('an unknown entry is refused with a suggestion', async () => {
    using model = await load();
    expect(await failure(() => model.run({ x: [1] }, { entry: 'mian' }))).toMatchObject({ code: 'runtime/unknown-entry', hint: "did you mean 'main'?" });
  });
});

describe('memory of the caller', () => {
  test('outputs are filled where they are given', async () => {
    using model = await load();
    const memory = new Float32Array(6);
    const { y } = await model.run({ x: [2, 3] }, { outputs: { y: memory.subarray(2, 4) } });
    expect(memory).toEqual(Float32Array.of(0, 0, 1, 2, 0, 0));
    expect(y!.data.buffer).toBe(memory.buffer);
    const given = tensor(new Float32Array(2));
    model.runSync({ x: [9, 9] }, { outputs: { y: given } });
    expect(given.data).toEqual(Float32Array.of(8, 8));
  });
  test('of the wrong class, size or name it is refused', async () => {
    using model = await load();
    expect(await failure(() => model.run({ x: [2, 3] }, { outputs: { y: new Float64Array(2) } }))).toMatchObject({ code: 'runtime/output', message: expect.stringContaining('Float32Array of 2 elements') });
    expect((await failure(() => model.run({ x: [2, 3] }, { outputs: { y: new Float32Array(3) } }))).code).toBe('runtime/output');
    expect(await failure(() => model.run({ x: [2, 3] }, { outputs: { yy: new Float32Array(2) } }))).toMatchObject({ code: 'runtime/unknown-output', hint: "did you mean 'y'?" });
    expect((await model.run({ x: [2, 3] }))['y']!.data).toEqual(Float32Array.of(1, 2));
  });
});

describe('bind', () => {
  test('runs in place, many times, without binding again', async () => {
    const loader = testLoader();
    using model = await load(loader);
    using bound = await model.bind({ x: [1, 2, 3] });
    expect(bound.inputs['x']!.shape).toEqual([3]);
    for (let i = 0; i < 4; i++) {
      (bound.inputs['x']!.data as Float32Array).set([i, i + 1, i + 2]);
      if (i % 2) bound.runSync();
      else await bound.run();
      expect([...bound.outputs['y']!.data]).toEqual([i, i + 1, i + 2].map((x) => Math.max(0, x - 1)));
    }
    expect([loader.binds, loader.runs]).toEqual([1, 4]);
  });
  test('serves a device with memory of its own', async () => {
    const device = testDevice('npu', 'npu');
    using model = await load(testLoader({ device }), { ...biasRelu(), devices: [{ name: 'host', target: null }, { name: 'npu', target: 'code' }], values: [param(0, { device: 1 }), result(0, { device: 1 })] });
    using bound = await model.bind({ x: [1, 2] });
    await bound.run();
    expect([...bound.outputs['y']!.data]).toEqual([0, 1]);
    (bound.inputs['x']!.data as Float32Array).fill(5);
    await bound.run();
    expect([...bound.outputs['y']!.data]).toEqual([4, 4]);
    expect((await failure(() => bound.runSync())).code).toBe('runtime/not-synchronous');
    await bound.run();
    expect([...bound.outputs['y']!.data]).toEqual([4, 4]);
  });
  test('does one run at a time', async () => {
    const artifact = { ...biasRelu(), devices: [{ name: 'host', target: null }, { name: 'npu', target: 'code' }], values: [param(0, { device: 1 }), result(0, { device: 1 })] };
    using model = await load(testLoader({ device: testDevice('npu', 'npu') }), artifact);
    using bound = await model.bind({ x: [1] });
    const first = bound.run();
    expect((await failure(() => bound.run())).code).toBe('runtime/busy');
    await first;
  });
});

describe('64-bit integers', () => {
  const sum = {
    blobs: { code: { entries: { r: { steps: [{ op: 'add' as const, dtype: 'i64' as const, a: 0, b: 0, out: 1 }] } } } },
    regions: [{ name: 'r', on: [{ blob: 0 }] }],
    params: [{ name: 'x', dtype: 'i64' }],
    results: [{ name: 'y', dtype: 'i64' }],
    values: [param(0, { dtype: 'i64', bytes: ['$n', 8, '*'] }), result(0, { dtype: 'i64', bytes: ['$n', 8, '*'] })],
    program: [call(0, [0], [1]), ret(1)],
  };
  test('are given as BigInt64Array, Int32Array, numbers or bigints', async () => {
    using model = await load(testLoader(), sum);
    const expected = BigInt64Array.of(-6n, 8n);
    for (const x of [BigInt64Array.of(-3n, 4n), Int32Array.of(-3, 4), tensor(Int32Array.of(-3, 4)), [-3, 4], [-3n, 4n]]) {
      expect((await model.run({ x }))['y']).toEqual(new Tensor('i64', [2], expected));
    }
  });
  test('come as Int32Array where that is asked for, if they fit', async () => {
    using model = await load(testLoader(), sum);
    expect((await model.run({ x: [2 ** 30 - 1, -(2 ** 30)] }, { int64: 'int32' }))['y']).toEqual(new Tensor('i32', [2], Int32Array.of(2 ** 31 - 2, -(2 ** 31))));
    expect(await failure(() => model.run({ x: [1, 2 ** 30] }, { int64: 'int32' }))).toMatchObject({ code: 'runtime/int64-overflow', message: expect.stringMatching(/'y': element 1 is 2147483648/) });
    const memory = new Int32Array(1);
    model.runSync({ x: [21] }, { outputs: { y: memory } });
    expect(memory[0]).toBe(42);
  });
});

describe('abort', () => {
  const slow = { ...biasRelu(), blobs: { code: { entries: { r: { ...biasRelu().blobs['code']!.entries['r']!, delay: 30 } } } }, devices: [{ name: 'host', target: null }, { name: 'npu', target: 'code' }], values: [param(0, { device: 1 }), result(0, { device: 1 })] };
  test('rejects at once with the reason; the model stays usable and frees the memory', async () => {
    const device = testDevice('npu', 'npu');
    const loader = testLoader({ device });
    const model = await load(loader, slow);
    const controller = new AbortController();
    const running = model.run({ x: [1] }, { signal: controller.signal });
    setTimeout(() => controller.abort(new Error('enough')), 8);
    await expect(running).rejects.toThrow('enough');
    expect(loader.bound).toBe(1); // the device is still at work
    expect((await model.run({ x: [4] }))['y']!.data).toEqual(Float32Array.of(3));
    await new Promise((resolve) => setTimeout(resolve, 10));
    model.dispose();
    expect([loader.bound, loader.blobs, device.live.size]).toEqual([0, 0, 0]);
  });
  test('before the start nothing runs', async () => {
    const loader = testLoader();
    using model = await load(loader);
    await expect(model.run({ x: [1] }, { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' });
    expect(loader.runs).toBe(0);
  });
});

describe('dispose', () => {
  test('frees everything, and later calls say so', async () => {
    const loader = testLoader();
    const model = await load(loader);
    const bound = await model.bind({ x: [1] });
    await model.run({ x: [1, 2] });
    bound.runSync();
    expect(loader.device.live.size).toBeGreaterThan(0);
    model.dispose();
    model.dispose();
    bound.dispose();
    expect([loader.bound, loader.blobs, loader.device.live.size]).toEqual([0, 0, 0]);
    expect((await failure(() => model.run({ x: [1] }))).code).toBe('runtime/disposed');
    expect((await failure(() => model.runSync({ x: [1] }))).code).toBe('runtime/disposed');
    expect((await failure(() => bound.run())).code).toBe('runtime/disposed');
  });
  test('lets runs under way end', async () => {
    const loader = testLoader({ device: testDevice('npu', 'npu') });
    const model = await load(loader, { ...biasRelu(), devices: [{ name: 'host', target: null }, { name: 'npu', target: 'code' }], values: [param(0, { device: 1 }), result(0, { device: 1 })] });
    const running = model.run({ x: [4, 5] });
    model.dispose();
    expect((await running)['y']!.data).toEqual(Float32Array.of(3, 4));
    expect([loader.bound, loader.blobs, loader.device.live.size]).toEqual([0, 0, 0]);
  });
  test('idle memory stays within its limit', async () => {
    const loader = testLoader();
    using model = await createRuntime({ loaders: [loader], idleBytes: 4096 }).load(await buildArtifact(biasRelu()));
    for (let n = 1; n <= 40; n++) await model.run({ x: new Float32Array(n * 10) });
    const bytes = [...loader.device.live].reduce((sum, buffer) => sum + buffer.bytes, 0);
    expect(bytes).toBeLessThanOrEqual(4096 + 64);
    expect(loader.bound).toBeGreaterThan(0);
  });
});

describe('profile', () => {
  test('gives kernels with their operators, rates and memory, and a trace', async () => {
    using model = await load();
    const { outputs, profile } = await model.run({ x: new Float32Array(1000).fill(2) }, { profile: true });
    expect(outputs['y']!.data[999]).toBe(1);
    expect(profile.kernels.map(({ kernel, ops, locs, flops, bytes, milliseconds }) => ({ kernel, ops, locs, flops, bytes, milliseconds }))).toEqual([
      { kernel: 'k0', ops: ['math.add'], locs: ['add'], flops: 1000, bytes: 8000, milliseconds: 0.0005 },
      { kernel: 'k1', ops: ['nn.relu'], locs: ['relu'], flops: 1000, bytes: 8000, milliseconds: 0.0005 },
    ]);
    expect(profile.kernels[0]!.gflopsPerSecond).toBeCloseTo(2);
    expect(profile.kernels[0]!.gigabytesPerSecond).toBeCloseTo(16);
    expect(profile.memory).toEqual([{ device: 'js', purpose: 'parameter', bytes: 4000 }, { device: 'js', purpose: 'result', bytes: 4000 }]);
    expect(profile.constants).toEqual({ host: 64 });
    expect(profile.milliseconds).toBeGreaterThan(0);
    const trace = JSON.parse(JSON.stringify(profile.chromeTrace())) as ReturnType<typeof profile.chromeTrace>;
    expect(trace.traceEvents.filter((event) => event.cat === 'kernel').map((event) => [event.name, event.dur])).toEqual([['k0', 0.5], ['k1', 0.5]]);
    expect(trace.traceEvents.filter((event) => event.ph === 'M').map((event) => event.args['name'])).toEqual(['Tenon', 'run', 'transfers', 'js']);
  });
  test('says how near kernels come to the limits of their device', async () => {
    const loader = testLoader();
    const limited: Loader = { ...loader, load: async (...args) => {
      const blob = await loader.load(...args);
      return { bind: (...bound) => blob.bind(...bound), dispose: () => blob.dispose(), limits: () => ({ flops: 4e9, bandwidth: 20e9, source: 'declared' }) };
    } };
    using model = await load(limited);
    const { profile } = await model.run({ x: new Float32Array(1000).fill(2) }, { profile: true });
    const limits = await model.limits();
    expect(limits).toEqual({ js: { flops: 4e9, bandwidth: 20e9, source: 'declared' } });
    // 1000 operations take 0.25 µs at best, 8000 bytes 0.4 µs: of 0.5 µs, 80 %.
    expect(profile.kernels.map((k) => Math.round(percentOfLimit(k, limits)!))).toEqual([80, 80]);
    expect(percentOfLimit({ ...profile.kernels[0]!, bytes: null }, limits)).toBeCloseTo(50);
    expect(percentOfLimit({ ...profile.kernels[0]!, bytes: null, flops: null }, limits)).toBeNull();
    expect(percentOfLimit({ ...profile.kernels[0]!, loader: 'other' }, limits)).toBeNull();
    expect(profile.chromeTrace(limits).traceEvents.filter((e) => e.cat === 'kernel').map((e) => Math.round(Number(e.args['percentOfLimit'])))).toEqual([80, 80]);
    using other = await load();
    expect(await other.limits()).toEqual({});
  });
  test('shows transfers between devices', async () => {
    const loader = testLoader({ device: testDevice('npu', 'npu') });
    using model = await load(loader, { ...biasRelu(), values: [param(0), result(0)] });
    const { profile } = await model.run({ x: [1, 2] }, { profile: true });
    expect(profile.transfers.map(({ from, to, bytes }) => [from, to, bytes])).toEqual([['host', 'npu', 8], ['npu', 'host', 8]]);
    expect(profile.calls.map((c) => c.region)).toEqual(['r']);
  });
  test('runs without it do not measure', async () => {
    using model = await load();
    const outputs = await model.run({ x: [1] });
    expect(Object.keys(outputs)).toEqual(['y']);
    expect(Object.keys(model.runSync({ x: [1] }, { profile: true }).outputs)).toEqual(['y']);
  });
});

test('a result may be a parameter, a constant or a temporary', async () => {
  const loader = testLoader();
  using model = await load(loader, {
    ...biasRelu(2),
    results: [{ name: 'p' }, { name: 'c', shape: [[1]] }, { name: 't' }],
    values: [param(0), value({ kind: 'arena', arena: 0, offset: [64] }), value({ kind: 'constant', index: 0 }, { shape: [[1]], bytes: [4] })],
    arenas: [{ device: 0, bytes: ['$n', 4, '*', 64, '+'] }],
    program: [call(0, [0], [1], [['$n']]), ret(0, 2, 1)],
  });
  const { p, c, t } = await model.run({ x: [1, -5] });
  expect([[...p!.data], [...c!.data], [...t!.data]]).toEqual([[1, -5], [2], [3, 0]]);
});
