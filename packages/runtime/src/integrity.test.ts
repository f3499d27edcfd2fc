import { hash64, openArtifact } from '@tenon/artifact';
import type { ByteSource, Host } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';
import { describe, expect, test } from 'vitest';
import { biasRelu, buildArtifact, type TestArtifact } from '../test/build.ts';
import { failure } from '../test/failure.ts';
import { testDevice, testLoader } from '../test/js-loader.ts';
import { bytesSource, createRuntime } from './index.ts';

/** Two constants in several chunks; the second is the one that the region uses. */
const artifact: TestArtifact = {
  ...biasRelu(),
  constants: [{ name: 'other', values: new Float32Array(1000) }, { name: 'w', values: new Float32Array(500).fill(-1) }],
  regions: [{ name: 'r', dims: ['n'], on: [{ blob: 0, constants: [1] }] }],
};
const build = (): Promise<Uint8Array> => buildArtifact(artifact, { chunkBytes: 256 });
const offsetOf = async (bytes: Uint8Array, name: string): Promise<number> => {
  const file = await openArtifact(bytesSource('test', bytes));
  return file.offsetOf(file.section(name));
};
const flipped = (bytes: Uint8Array, at: number): Uint8Array => {
  const copy = bytes.slice();
  copy[at]! ^= 1;
  return copy;
};

describe('a damaged artifact', () => {
  test.each([0, 300, 4032, 5999])('byte %i of the constants: no result is returned, ever', async (at) => {
    const bytes = await build();
    const loader = testLoader();
    using model = await createRuntime({ loaders: [loader] }).load(flipped(bytes, (await offsetOf(bytes, 'weights')) + at));
    const wanted = { code: 'artifact/corrupt', message: expect.stringContaining(`chunk ${Math.floor(at / 256)} of section 'weights'`) };
    expect(await failure(() => model.run({ x: [1] }))).toMatchObject(wanted);
    expect(await failure(() => model.runSync({ x: [1] }))).toMatchObject(wanted);
    expect(await failure(() => model.run({ x: [1] }))).toMatchObject(wanted);
    using bound = await model.bind({ x: [1] });
    expect(await failure(() => bound.run())).toMatchObject(wanted);
  });
  test('runSync before any run compares as well', async () => {
    const bytes = await build();
    using model = await createRuntime({ loaders: [testLoader()] }).load(flipped(bytes, (await offsetOf(bytes, 'weights')) + 700));
    expect((await failure(() => model.runSync({ x: [1] }))).message).toContain("chunk 2 of section 'weights'");
  });
  test('a blob is never loaded', async () => {
    const bytes = await build();
    const loader = testLoader();
    const damaged = flipped(bytes, (await offsetOf(bytes, 'code')) + 5);
    for (const verify of [true, false]) {
      expect(await failure(() => createRuntime({ loaders: [loader] }).load(damaged, { verify }))).toMatchObject({ code: 'artifact/corrupt', message: expect.stringContaining("section 'code'") });
    }
    expect([loader.blobs, loader.device.live.size]).toEqual([0, 0]);
  });
  test('on a device with memory of its own, loading says so', async () => {
    const bytes = await build();
    const at = await offsetOf(bytes, 'weights');
    const device = testDevice('npu', 'npu');
    const runtime = createRuntime({ loaders: [testLoader({ device })] });
    expect(await failure(() => runtime.load(flipped(bytes, at + 4500)))).toMatchObject({ code: 'artifact/corrupt', message: expect.stringContaining('chunk 17 of') });
    expect(device.live.size).toBe(0);
    // Chunks of constants that nobody uses are not read.
    using model = await runtime.load(flipped(bytes, at + 10));
    expect([...(await model.run({ x: [3] }))['y']!.data]).toEqual([2]);
  });
  test('verify: false leaves constants uncompared', async () => {
    const bytes = await build();
    using model = await createRuntime({ loaders: [testLoader()] }).load(flipped(bytes, (await offsetOf(bytes, 'weights')) + 10), { verify: false });
    expect([...(await model.run({ x: [3] }))['y']!.data]).toEqual([2]);
  });
  test('large sections are compared in slices; results wait for the end', async () => {
    const large: TestArtifact = { ...artifact, constants: [{ name: 'other', values: new Float32Array(6 << 20) }, artifact.constants![1]!] };
    const bytes = await buildArtifact(large);
    const damaged = flipped(bytes, (await offsetOf(bytes, 'weights')) + (24 << 20) - 1);
    using model = await createRuntime({ loaders: [testLoader()] }).load(damaged);
    expect((await failure(() => model.run({ x: [1] }))).message).toContain("chunk 23 of section 'weights'");
  });
});

describe('hashes that a blob computes', () => {
  const slow = (change: bigint = 0n) => async (memory: Uint8Array, chunkBytes: number): Promise<BigUint64Array> => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    return BigUint64Array.from({ length: Math.ceil(memory.length / chunkBytes) }, (_, i) => hash64(memory.subarray(i * chunkBytes, (i + 1) * chunkBytes)) + change);
  };
  const damaged = async (): Promise<Uint8Array> => {
    const bytes = await build();
    return flipped(bytes, (await offsetOf(bytes, 'weights')) + 700);
  };

  test('results wait for them', async () => {
    using model = await createRuntime({ loaders: [testLoader({ hashes: slow() })] }).load(await build());
    expect([...(await model.run({ x: [3] }))['y']!.data]).toEqual([2]);
    using other = await createRuntime({ loaders: [testLoader({ hashes: slow(1n) })] }).load(await build());
    for (let i = 0; i < 2; i++) expect((await failure(() => other.run({ x: [3] }))).code).toBe('artifact/corrupt');
  });
  test('damage is told by run and by runSync, which does not wait', async () => {
    for (const run of ['run', 'runSync'] as const) {
      using model = await createRuntime({ loaders: [testLoader({ hashes: slow() })] }).load(await damaged());
      for (let i = 0; i < 2; i++) expect((await failure(() => (run === 'run' ? model.run({ x: [1] }) : model.runSync({ x: [1] })))).message).toContain("chunk 2 of section 'weights'");
    }
  });
  test('where it cannot, the runtime does', async () => {
    const hashes = (): Promise<BigUint64Array> => Promise.reject(new Error('no'));
    using model = await createRuntime({ loaders: [testLoader({ hashes })] }).load(await build());
    expect([...(await model.run({ x: [3] }))['y']!.data]).toEqual([2]);
    using other = await createRuntime({ loaders: [testLoader({ hashes })] }).load(await damaged());
    expect((await failure(() => other.run({ x: [1] }))).message).toContain("chunk 2 of section 'weights'");
  });
  test('a model may be disposed while they are computed', async () => {
    const model = await createRuntime({ loaders: [testLoader({ hashes: slow() })] }).load(await damaged());
    model.dispose();
    await new Promise((resolve) => setTimeout(resolve, 20));
  });
});

describe('a truncated artifact', () => {
  test('is refused with its section named', async () => {
    const bytes = await build();
    const runtime = createRuntime({ loaders: [testLoader()] });
    for (const length of [10, 127, 128, 500, bytes.length - 1, bytes.length - 300, bytes.length >> 1]) {
      expect((await failure(() => runtime.load(bytes.subarray(0, length)))).code, `${length} bytes`).toBe('artifact/truncated');
    }
    expect((await failure(() => runtime.load(bytes.subarray(0, bytes.length - 1)))).message).toContain("section 'code'");
  });
});

describe('constants outside the artifact', () => {
  const values = Float32Array.of(-2);
  const contents = new Uint8Array(values.buffer);
  const files: { [uri: string]: Uint8Array } = { 'models/w.bin': contents };
  const opened = new Set<string>();
  const host: Host = {
    name: 'test',
    now: () => 0,
    cache: null,
    resolve: (base, relative) => `${base.slice(0, base.lastIndexOf('/') + 1)}${relative}`,
    async open(uri): Promise<ByteSource> {
      if (!files[uri]) throw new TenonError({ code: 'host/not-found', message: `there is no file ${uri}` });
      opened.add(uri);
      return { ...bytesSource(uri, files[uri]), close: () => void opened.delete(uri) };
    },
  };
  const outside = (id: string | null): TestArtifact => ({ ...biasRelu(), constants: [{ name: 'w', values, external: { uri: 'w.bin', id } }] });
  const loadFrom = async (id: string | null, loader = testLoader()) => {
    files['models/m.tenon'] = await buildArtifact(outside(id));
    return createRuntime({ loaders: [loader], host }).load('models/m.tenon');
  };

  test('are read from beside it, also for a device', async () => {
    for (const device of [testDevice('js'), testDevice('npu', 'npu')]) {
      const model = await loadFrom(bytesSource('', contents).id, testLoader({ device }));
      expect([...(await model.run({ x: [5] }))['y']!.data]).toEqual([3]);
      model.dispose();
      await Promise.resolve();
      expect([...opened]).toEqual([]);
    }
  });
  test('of another identity are refused', async () => {
    expect((await failure(() => loadFrom('4-123'))).code).toBe('runtime/external-changed');
    expect([...opened]).toEqual([]);
  });
  test('need a host', async () => {
    const bytes = await buildArtifact(outside(null));
    expect((await failure(() => createRuntime({ loaders: [testLoader()] }).load(bytes))).code).toBe('runtime/no-host');
    expect((await failure(() => createRuntime({ loaders: [testLoader()] }).load('x.tenon'))).code).toBe('runtime/no-host');
  });
  test('that are missing, the error of the host says so', async () => {
    const bytes = await buildArtifact({ ...biasRelu(), constants: [{ name: 'w', values, external: { uri: 'v.bin', id: null } }] });
    expect((await failure(() => createRuntime({ loaders: [testLoader()], host }).load(bytes))).message).toContain('v.bin');
  });
});
