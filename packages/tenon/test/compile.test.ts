import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { buildArtifact, compile, cpuC, definePlugin, diagnosticOf, load, type BuildOptions, type Diagnostic } from 'tenon';
import { doubledRelu, onnxModel } from './onnx.ts';

const root = mkdtempSync(join(tmpdir(), 'tenon-test-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let folder = root;
let options: BuildOptions;
beforeEach(() => {
  folder = mkdtempSync(join(root, 'case-'));
  options = { cache: join(root, 'objects', folder.slice(-6)) };
});

async function failure(work: () => Promise<unknown>): Promise<Diagnostic> {
  const error = await work().then(() => null, (e: unknown) => e);
  const diagnostic = diagnosticOf(error);
  if (diagnostic === null) throw error ?? new Error('nothing failed');
  return diagnostic;
}
const modelFile = (bytes = doubledRelu()): string => {
  const path = join(folder, 'm.onnx');
  writeFileSync(path, bytes);
  return path;
};
const values = (t: { readonly data: unknown } | undefined): number[] => Array.from(t!.data as Float32Array);

describe('compile', () => {
  test('a model from bytes, a path and a URL runs', async () => {
    const path = modelFile();
    for (const model of [doubledRelu(), path, new URL(`file://${path}`)]) {
      using m = await compile(model, options);
      expect(values((await m.run({ x: [[1, -2, 3]] }))['y'])).toEqual([2, 0, 6]);
      expect((await m.run({ x: [[1, -2, 3], [4, 5, 6]] }))['y']!.shape).toEqual([2, 3]);
    }
  });

  test('dims may be fixed', async () => {
    using m = await compile(doubledRelu(), { ...options, dims: { n: 2 } });
    expect(m.inputs).toEqual([{ name: 'x', dtype: 'f32', shape: [2, 3] }]);
  });

  test('reports progress, and stops where it is told to', async () => {
    const steps: string[] = [];
    await buildArtifact(doubledRelu(), { ...options, cache: false, onProgress: ({ step }) => steps.push(step) });
    expect(steps).toContain('codegen');
    const stop = new AbortController();
    const reason = new Error('enough');
    const output = join(folder, 'stopped.tenon');
    const stopped = buildArtifact(doubledRelu(), { ...options, output, cache: false, signal: stop.signal, onProgress: ({ step }) => step === 'codegen' && stop.abort(reason) });
    await expect(stopped).rejects.toBe(reason);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('says what is wrong', async () => {
    expect((await failure(() => compile(join(folder, 'none.onnx'), options))).code).toBe('host/not-found');
    expect((await failure(() => compile(doubledRelu().subarray(0, 40), options))).code).toMatch(/^onnx\//);
    expect((await failure(() => compile(doubledRelu(), { ...options, target: 'cpu-d' })))).toMatchObject({ code: 'target/unknown', hint: 'Did you mean cpu-c?' });
    expect((await failure(() => compile(doubledRelu(), { ...options, config: { verfy: 'pass' } as never })))).toMatchObject({ code: 'config/invalid', message: expect.stringContaining('did you mean verify') });
    expect((await failure(() => compile(doubledRelu(), { ...options, output: join(modelFile(), 'x.tenon') }))).code).toBe('tenon/unwritable');
  });
});

describe('artifacts', () => {
  test('are written whole, and load where native code is allowed', async () => {
    const output = join(folder, 'm.tenon');
    const built = await buildArtifact(modelFile(), { ...options, output });
    expect(built).toMatchObject({ path: output, cached: false, bytes: statSync(output).size });
    expect(readdirSync(folder).sort()).toEqual(['m.onnx', 'm.tenon']);
    expect(await failure(() => load(output))).toMatchObject({ code: 'runtime/no-variant', message: expect.stringContaining('allowNative') });
    using fromFile = await load(output, { allowNative: true });
    using fromBytes = await load(new Uint8Array(readFileSync(output)), { allowNative: true, threads: 1 });
    for (const m of [fromFile, fromBytes]) expect(values(m.runSync({ x: [[1, -1, 0]] })['y'])).toEqual([2, 0, 0]);
    expect(fromFile.digest).toBe(built.digest);
  });

  test('without a cache and an output stay in memory', async () => {
    const built = await buildArtifact(doubledRelu(), { cache: false });
    expect(built).toMatchObject({ path: null, key: null, uncached: 'caching is off' });
    expect((await built.read()).length).toBe(built.bytes);
  });

  test('are the same for the same input', async () => {
    const digests = await Promise.all([0, 1].map(async () => (await buildArtifact(doubledRelu(), { cache: false })).digest));
    expect(digests[0]).toBe(digests[1]);
  });
});

describe('loading an artifact with large constants', () => {
  const built = async (): Promise<{ path: string; artifact: string }> => {
    const path = modelFile(onnxModel([{ op: 'Mul', inputs: ['x', 'w'], output: 'y' }], ['x'], ['y'], [1_500_000], [{ name: 'w', shape: [1_500_000], data: { file: 'w.bin' } }]));
    writeFileSync(join(folder, 'w.bin'), new Uint8Array(Float32Array.from({ length: 1_500_000 }, (_, i) => i % 1000).buffer));
    const artifact = join(folder, 'large.tenon');
    await buildArtifact(path, { ...options, output: artifact });
    return { path, artifact };
  };
  const x = { dtype: 'f32', shape: [1_500_000], data: new Float32Array(1_500_000).fill(2) };

  test('finds damage before it gives results', async () => {
    const { artifact } = await built();
    const bytes = readFileSync(artifact);
    bytes[4_000_000]! ^= 1;
    writeFileSync(artifact, bytes);
    using m = await load(artifact, { allowNative: true });
    await expect(m.run({ x })).rejects.toMatchObject({ diagnostic: { code: 'artifact/corrupt' } });
  });

  test('a process may end at any time, with threads of the model still awake', async () => {
    const { artifact } = await built();
    const script = `const { load } = await import('tenon'); const m = await load(${JSON.stringify(artifact)}, { allowNative: true });
      for (let i = 0; i < 3; i++) await m.run({ x: { dtype: 'f32', shape: [1500000], data: new Float32Array(1500000) } });`;
    for (let i = 0; i < 4; i++) execFileSync(process.execPath, ['--conditions=tenon-source', '--input-type=module', '-e', script], { cwd: import.meta.dirname });
  });
});

describe('the cache of artifacts', () => {
  const again = async (model: string | Uint8Array, more: BuildOptions = {}): Promise<boolean> => (await buildArtifact(model, { ...options, ...more })).cached;

  test('answers where nothing changed', async () => {
    const path = modelFile();
    expect(await again(path)).toBe(false);
    expect(await again(path)).toBe(true);
    const output = join(folder, 'copy.tenon');
    expect(await again(path, { output })).toBe(true);
    using m = await load(output, { allowNative: true });
    expect(values((await m.run({ x: [[3, -1, 0]] }))['y'])).toEqual([6, 0, 0]);
  });

  test('does not answer for another model, other dims, other options', async () => {
    const path = modelFile();
    await again(path);
    expect(await again(path, { dims: { n: 2 } })).toBe(false);
    expect(await again(path, { dims: { n: { max: 8 } } })).toBe(false);
    expect(await again(path, { target: [['cpu-c', { vectorBytes: 16 }]] })).toBe(false);
    expect(await again(path, { config: { foldLimit: 0 } })).toBe(false);
    expect(await again(path, { config: { plugins: [cpuC({ threads: 1 })] } })).toBe(false);
    expect(await again(path, { config: { plugins: [cpuC({ threads: 1 })] } })).toBe(true);
    expect(await again(path, { config: { plugins: [cpuC({ vectorBytes: 16 })] } })).toBe(false);
    utimesSync(path, 1000, 1000);
    expect(await again(path)).toBe(false);
    expect(await again(doubledRelu())).toBe(false);
    expect(await again(doubledRelu())).toBe(true);
  });

  test('notices that external data changed', async () => {
    const weights = join(folder, 'w.bin');
    writeFileSync(weights, new Uint8Array(Float32Array.of(1, 2, 3).buffer));
    const path = modelFile(onnxModel([{ op: 'Add', inputs: ['x', 'w'], output: 'y' }], ['x'], ['y'], ['n', 3], [{ name: 'w', shape: [3], data: { file: 'w.bin' } }]));
    expect(await again(path)).toBe(false);
    expect(await again(path)).toBe(true);
    writeFileSync(weights, new Uint8Array(Float32Array.of(10, 20, 30).buffer));
    utimesSync(weights, 2000, 2000);
    using m = await compile(path, options);
    expect(values((await m.run({ x: [[0, 0, 0]] }))['y'])).toEqual([10, 20, 30]);
    expect(await again(path)).toBe(true);
  });

  test('does not answer for plugins whose code it cannot know', async () => {
    const pass = { name: 'mine', phase: 'canonicalize', doc: 'Nothing.', run: (module: never) => module } as const;
    const unnamed = definePlugin({ name: 'mine', namespace: 'mine' }, () => ({ passes: [pass] }));
    const named = definePlugin<{ readonly level?: number }>({ name: 'mine', namespace: 'mine', version: '1.0.0' }, () => ({ passes: [pass] }));
    const observer = definePlugin({ name: 'observer', namespace: 'observer', version: '1.0.0' }, () => ({ apply: () => {} }));
    const build = async (config: BuildOptions['config']): Promise<{ cached: boolean; uncached: string | null }> => buildArtifact(doubledRelu(), { ...options, config: config! });
    for (let i = 0; i < 2; i++) {
      expect(await build({ plugins: [unnamed()] })).toMatchObject({ cached: false, uncached: 'the plugin mine states no version' });
      expect(await build({ plugins: [observer()] })).toMatchObject({ cached: false, uncached: 'the plugin observer taps hooks' });
      expect(await build({ passes: { insert: [{ pass }] } })).toMatchObject({ cached: false });
      expect(await build({ plugins: [named()] })).toMatchObject({ cached: i === 1 });
      expect(await build({ plugins: [named({ level: 2 })] })).toMatchObject({ cached: i === 1 });
    }
  });

  test('damaged entries are made anew', async () => {
    const path = modelFile();
    const { path: kept } = await buildArtifact(path, options);
    const bytes = readFileSync(kept!);
    for (const damage of [(b: Uint8Array) => b.subarray(0, b.length - 64), (b: Uint8Array) => b.map((v, i) => (i === b.length - 4096 ? v ^ 255 : v))]) {
      writeFileSync(kept!, damage(bytes));
      using m = await compile(path, options);
      expect(values((await m.run({ x: [[1, 2, 3]] }))['y'])).toEqual([2, 4, 6]);
    }
    expect(await again(path)).toBe(true);
  });

  test('files outside may be written to: neither an entry nor another file changes with them', async () => {
    const path = modelFile();
    const [a, b] = [join(folder, 'a.tenon'), join(folder, 'b.tenon')];
    await buildArtifact(path, { ...options, output: a });
    const original = readFileSync(a);
    await buildArtifact(path, { ...options, output: b });
    expect(readFileSync(b)).toEqual(original);
    for (const output of [a, b]) {
      writeFileSync(output, 'something else');
      expect(await again(path, { output: join(folder, 'c.tenon') })).toBe(output === b);
      expect(readFileSync(join(folder, 'c.tenon'))).toEqual(original);
      expect(readFileSync(output, 'utf8')).toBe('something else');
    }
    expect(readFileSync(join(folder, 'c.tenon'))).toEqual(original);
    // Another time of change alone does no harm.
    utimesSync(join(folder, 'c.tenon'), 1000, 1000);
    expect(await again(path)).toBe(true);
  });

  test('a folder that cannot be written is told, and work goes on', async () => {
    const problems: string[] = [];
    const built = await buildArtifact(doubledRelu(), { cache: modelFile(), onDiagnostic: (d) => problems.push(d.code) });
    expect(built.path).toBeNull();
    expect(problems).toContain('tenon/cache-unwritable');
  });
});
