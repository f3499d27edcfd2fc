import { describe, expect, test } from 'vitest';
import { biasRelu, buildArtifact, call, param, result, ret, type TestArtifact, value } from '../test/build.ts';
import { failure } from '../test/failure.ts';
import { testDevice, testLoader } from '../test/js-loader.ts';
import { createRuntime } from './index.ts';

const lending = (options: Parameters<typeof testLoader>[0] = {}) => testLoader({ device: testDevice('js', 'host', true), userMemory: true, ...options });
const loadWith = async (loader: ReturnType<typeof testLoader>, artifact: TestArtifact = biasRelu()) => createRuntime({ loaders: [loader] }).load(await buildArtifact(artifact));

/** `y = a - b`, `z = a`, a region each. */
const two: TestArtifact = {
  blobs: { code: { entries: { sub: { steps: [{ op: 'sub', dtype: 'f32', a: 0, b: 1, out: 2 }], delay: 2 }, copy: { steps: [{ op: 'copy', dtype: 'f32', a: 0, out: 1 }], delay: 2 } } } },
  regions: [{ name: 'sub', on: [{ blob: 0 }] }, { name: 'copy', on: [{ blob: 0 }] }],
  params: [{ name: 'a' }, { name: 'b' }], results: [{ name: 'y' }, { name: 'z' }],
  values: [param(0), param(1), result(0), result(1)],
  program: [call(0, [0, 1], [2]), call(1, [0], [3]), ret(2, 3)],
};
const a = Float32Array.of(5, 7, 9);
const b = Float32Array.of(1, 2, 3);

describe('a run in memory of the user', () => {
  test('copies neither inputs nor results, and binds once', async () => {
    const loader = lending();
    using model = await loadWith(loader);
    const x = Float32Array.of(3, 0, -2, 1.5);
    const { outputs, profile } = await model.run({ x }, { profile: true });
    expect([...outputs['y']!.data]).toEqual([2, 0, 0, 0.5]);
    expect(profile.memory).toEqual([]);
    const again = await model.run({ x: Float32Array.of(1, 2, 3, 4) });
    expect([[...again['y']!.data], [...outputs['y']!.data]]).toEqual([[0, 1, 2, 3], [2, 0, 0, 0.5]]);
    expect([...model.runSync({ x })['y']!.data]).toEqual([2, 0, 0, 0.5]);
    expect(loader.binds).toBe(1);
  });

  test('leaves the memory alone afterwards', async () => {
    const loader = lending();
    using model = await loadWith(loader);
    const x = new Float32Array(4);
    const { y } = await model.run({ x });
    expect(loader.held.has(x.buffer) || loader.held.has(y!.data.buffer)).toBe(false);
    expect(y!.data.buffer.byteLength).toBe(16);
  });

  test('a result that is disposed of gives its memory to the next of its size', async () => {
    using model = await loadWith(lending());
    const { y } = await model.run({ x: Float32Array.of(3, 0, -2, 1.5) });
    const all = new Uint8Array(y!.data.buffer);
    y!.dispose();
    expect([y!.data.length, all.length]).toEqual([0, 0]);
    y!.dispose();
    const first = await model.run({ x: [1, 2, 3, 4] });
    const second = await model.run({ x: Float32Array.of(1, 2, 3, 4, 5) });
    using third = (await model.run({ x: Float32Array.of(5, 6, 7, 8) }))['y']!;
    expect([first['y']!, second['y']!, third].map(({ data }) => [...data])).toEqual([[0, 1, 2, 3], [0, 1, 2, 3, 4], [4, 5, 6, 7]]);
    const memory = new Float32Array(4);
    const { y: kept } = await model.run({ x: Float32Array.of(1, 2, 3, 4) }, { outputs: { y: memory } });
    kept!.dispose();
    expect([...memory]).toEqual([0, 1, 2, 3]);
  });

  test('small arrays and those that cannot be borrowed are copied, from run to run', async () => {
    const loader = lending();
    const memory = { ...loader.userMemory!, borrow: (bytes: Uint8Array) => (bytes.buffer instanceof SharedArrayBuffer ? null : loader.userMemory!.borrow(bytes)) };
    using model = await createRuntime({ loaders: [{ ...loader, userMemory: memory }] }).load(await buildArtifact(biasRelu()));
    expect([...(await model.run({ x: [4] }))['y']!.data]).toEqual([3]);
    const shared = new Float32Array(new SharedArrayBuffer(8));
    for (const x of [shared, Float32Array.of(2, 3), shared, Float32Array.of(5, 6)]) {
      if (x === shared) x.set([x[0]! + 10, 20]);
      expect([...(await model.run({ x }))['y']!.data]).toEqual([...x].map((v) => v - 1));
    }
  });

  test('one array may be two inputs, and overlapping runs have their own', async () => {
    using model = await loadWith(lending(), two);
    const runs = await Promise.all([model.run({ a, b: a }), model.run({ a, b }), model.run({ a: b, b: a })]);
    expect(runs.map(({ y, z }) => [[...y!.data], [...z!.data]])).toEqual([[[0, 0, 0], [5, 7, 9]], [[4, 5, 6], [5, 7, 9]], [[-4, -5, -6], [1, 2, 3]]]);
  });

  test('a signal keeps the copies: work may go on after the run was given up', async () => {
    const loader = lending();
    using model = await loadWith(loader, two);
    const controller = new AbortController();
    const out = new Float32Array(3);
    const run = model.run({ a, b }, { signal: controller.signal, outputs: { y: out } });
    controller.abort();
    await expect(run).rejects.toThrow('abort');
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([...out]).toEqual([0, 0, 0]);
  });

  test('a run that failed has left the memory when it rejects', async () => {
    const failing: TestArtifact = { ...two, blobs: { code: { entries: { ...two.blobs['code']!.entries, sub: { steps: [{ op: 'fail' }], delay: 3 } } } } };
    using model = await loadWith(lending(), failing);
    const z = new Float32Array(3);
    expect((await failure(() => model.run({ a, b }, { outputs: { z } }))).code).toBe('runtime/region-failed');
    const before = [...z];
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([...z]).toEqual(before);
  });
});

describe('outputs in memory of the caller', () => {
  test('are written where they belong', async () => {
    using model = await loadWith(lending(), two);
    const y = new Float32Array(8).subarray(2, 5);
    const { outputs, profile } = await model.run({ a, b }, { outputs: { y }, profile: true });
    expect([outputs['y']!.data, [...y], [...outputs['z']!.data], profile.memory]).toEqual([y, [4, 5, 6], [5, 7, 9], []]);
  });

  test('may be an input, or overlap one or each other: then they are copied at the end', async () => {
    using model = await loadWith(lending(), two);
    const buffer = new Float32Array([5, 7, 9, 0, 0]);
    const x = buffer.subarray(0, 3);
    const { y, z } = await model.run({ a: x, b }, { outputs: { y: buffer.subarray(1, 4), z: new Float32Array(3) } });
    expect([[...y!.data], [...z!.data]]).toEqual([[4, 5, 6], [5, 7, 9]]);
    const both = new Float32Array(4);
    await model.run({ a, b }, { outputs: { y: both.subarray(0, 3), z: both.subarray(1) } });
    expect([...both]).toEqual([4, 5, 7, 9]);
  });

  test('of another class or length are refused as before', async () => {
    using model = await loadWith(lending(), two);
    for (const y of [new Float32Array(4), new Int32Array(3)]) expect((await failure(() => model.run({ a, b }, { outputs: { y } }))).code).toBe('runtime/output');
  });
});

describe('what does not lie in memory of the user', () => {
  test('registers that two loaders touch', async () => {
    const other = testLoader({ name: 'other', format: 'other-test', device: testDevice('other', 'host', true) });
    const mixed: TestArtifact = {
      ...two,
      blobs: { ...two.blobs, other: { format: 'other-test', entries: { copy: two.blobs['code']!.entries['copy']! } } },
      regions: [two.regions[0]!, { name: 'copy', on: [{ blob: 1 }] }],
    };
    using model = await createRuntime({ loaders: [lending(), other] }).load(await buildArtifact(mixed));
    const { outputs, profile } = await model.run({ a, b }, { profile: true });
    expect([[...outputs['y']!.data], [...outputs['z']!.data]]).toEqual([[4, 5, 6], [5, 7, 9]]);
    // `a`, and `z`, which the other loader writes.
    expect(profile.memory.map((m) => m.purpose).sort()).toEqual(['parameter', 'result']);
  });

  test('results that are copied from parameters', async () => {
    const same: TestArtifact = { ...biasRelu(), results: [{ name: 'y' }, { name: 'x' }], values: [param(0), result(0), result(1)], program: [call(0, [0], [1], [['$n']]), { op: 'copy', from: 0, to: 2 }, ret(1, 2)] };
    using model = await loadWith(lending(), same);
    const x = Float32Array.of(4, 5);
    const outputs = await model.run({ x });
    expect([...outputs['x']!.data]).toEqual([4, 5]);
    expect(outputs['x']!.data.buffer).not.toBe(x.buffer);
  });

  test('values inside of the entry, and bound models', async () => {
    const chain: TestArtifact = { ...two, values: [param(0), param(1), value({ kind: 'arena', arena: 0, offset: [0] }), result(0), result(1)], arenas: [{ device: 0, bytes: ['$n', 4, '*'] }], program: [call(0, [0, 1], [2]), call(1, [2], [3]), call(1, [0], [4]), ret(3, 4)] };
    using model = await loadWith(lending(), chain);
    const bound = await model.bind({ a, b });
    await bound.run();
    bound.inputs['a']!.data.fill(3 as never);
    await bound.run();
    expect([...bound.outputs['y']!.data]).toEqual([2, 1, 0]);
    bound.dispose();
    expect([...(await model.run({ a, b }))['y']!.data]).toEqual([4, 5, 6]);
    expect([...a]).toEqual([5, 7, 9]);
  });
});
