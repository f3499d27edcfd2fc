import { mkdir, mkdtemp, readdir, rm, stat, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { biasRelu, buildArtifact } from '../../test/build.ts';
import { failure } from '../../test/failure.ts';
import { testLoader } from '../../test/js-loader.ts';
import { createRuntime } from '../index.ts';
import { defaultCacheFolder, openDiskCache } from './disk-cache.ts';
import { nodeHost } from './host.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tenon-host-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));
const host = nodeHost({ cacheFolder: null });

describe('open', () => {
  test('reads by range, with path or URL', async () => {
    const path = join(folder, 'a b.bin');
    await writeFile(path, Uint8Array.from({ length: 1000 }, (_, i) => i & 255));
    for (const uri of [path, pathToFileURL(path).href]) {
      const source = await host.open(uri);
      expect(source.bytes).toBe(1000);
      expect([...(await source.read(254, 4))]).toEqual([254, 255, 0, 1]);
      expect([...source.readSync!(998, 2)]).toEqual([230, 231]);
      const memory = new Uint8Array(1000);
      await source.readInto!(0, memory);
      expect(memory[999]).toBe(231);
      expect((await source.read(1000, 0)).length).toBe(0);
      for (const [offset, length] of [[999, 2], [1001, 0], [-1, 2], [0.5, 1]] as const) {
        expect((await failure(() => source.read(offset, length))).code).toBe('host/past-end');
        expect((await failure(() => source.readSync!(offset, length))).code).toBe('host/past-end');
      }
      source.close();
      source.close();
      expect((await failure(() => source.read(0, 1))).code).toBe('host/closed');
    }
  });

  test('reads beyond 2 GiB and across 4 GiB', async () => {
    const path = join(folder, 'large.bin');
    const at = 2 ** 32 - 2;
    await writeFile(path, '');
    await truncate(path, at); // sparse: takes no room
    await writeFile(path, Uint8Array.of(1, 2, 3, 4), { flag: 'a' });
    const source = await host.open(path);
    expect(source.bytes).toBe(2 ** 32 + 2);
    expect([...(await source.read(at - 1, 5))]).toEqual([0, 1, 2, 3, 4]);
    expect([...source.readSync!(at + 2, 2)]).toEqual([3, 4]);
    source.close();
  });

  test('the id changes with the contents', async () => {
    const path = join(folder, 'x');
    const idOf = async (bytes: Uint8Array, seconds: number): Promise<string> => {
      await writeFile(path, bytes);
      await utimes(path, seconds, seconds);
      const source = await host.open(path);
      source.close();
      return source.id;
    };
    const big = new Uint8Array(300_000);
    const first = await idOf(big, 1000);
    expect(await idOf(big, 1000)).toBe(first);
    expect(await idOf(big, 1001)).not.toBe(first);
    big[299_999] = 1;
    expect(await idOf(big, 1000)).not.toBe(first);
    expect(await idOf(big.subarray(0, 299_999), 1000)).not.toBe(first);
    expect(await idOf(new Uint8Array(0), 1000)).not.toBe(first);
  });

  test('says what is wrong with a path', async () => {
    expect(await failure(() => host.open(join(folder, 'none')))).toMatchObject({ code: 'host/not-found', message: expect.stringContaining('none') });
    expect((await failure(() => host.open(folder))).code).toBe('host/not-a-file');
    expect((await failure(() => host.open(join(folder, 'none', 'x')))).code).toBe('host/not-found');
  });

  test('a file that shrinks while it is read is noticed', async () => {
    const path = join(folder, 'x');
    await writeFile(path, new Uint8Array(100));
    const source = await host.open(path);
    await truncate(path, 50);
    expect((await failure(() => source.read(0, 100))).code).toBe('host/changed');
    expect((await failure(() => source.readSync!(60, 10))).code).toBe('host/changed');
    source.close();
  });

  test('a model runs from a path', async () => {
    const path = join(folder, 'm.tenon');
    await writeFile(path, await buildArtifact(biasRelu()));
    using model = await createRuntime({ loaders: [testLoader()], host }).load(path);
    expect([...(await model.run({ x: [2, 3] }))['y']!.data]).toEqual([1, 2]);
    await truncate(path, 700);
    expect((await failure(() => createRuntime({ loaders: [testLoader()], host }).load(path))).code).toBe('artifact/truncated');
  });
});

describe('resolve', () => {
  test('finds files beside the model and below', () => {
    expect(host.resolve('/models/a/model.onnx', 'w.bin')).toBe('/models/a/w.bin');
    expect(host.resolve('/models/a/model.onnx', 'parts/w.bin')).toBe('/models/a/parts/w.bin');
    expect(host.resolve('/models/a/model.onnx', './parts/../w.bin')).toBe('/models/a/w.bin');
    expect(host.resolve('file:///models/model.onnx', 'w.bin')).toBe('/models/w.bin');
    expect(host.resolve('/models/model.onnx', '..w.bin')).toBe('/models/..w.bin');
    expect(host.resolve('https://x.org/m/model.onnx', 'w.bin')).toBe('https://x.org/m/w.bin');
  });
  test.each(['../w.bin', '/etc/passwd', 'a/../../w.bin', '', '.', 'file:///etc/passwd', 'https://x.org/w', '..\\w.bin', 'C:\\w.bin', 'a\0b'])('refuses %j', async (relative) => {
    expect((await failure(() => host.resolve('/models/a/model.onnx', relative))).code).toBe('host/outside-folder');
    if (relative !== '.') expect((await failure(() => host.resolve('https://x.org/m/model.onnx', relative.replace('https://x.org/w', 'https://y.org/m/w')))).code).toBe('host/outside-folder');
  });
  test('refuses links that lead out, and takes those that stay', async () => {
    const model = join(folder, 'model', 'm.onnx');
    await mkdir(join(folder, 'model'));
    await writeFile(join(folder, 'secret'), 'x');
    await writeFile(join(folder, 'model', 'w.bin'), 'x');
    await symlink(join(folder, 'secret'), join(folder, 'model', 'out.bin'));
    await symlink(folder, join(folder, 'model', 'up'));
    await symlink('w.bin', join(folder, 'model', 'in.bin'));
    for (const link of ['out.bin', 'up/secret']) expect((await failure(() => host.resolve(model, link))).code).toBe('host/outside-folder');
    expect(host.resolve(model, 'in.bin')).toBe(join(folder, 'model', 'in.bin'));
  });
});

describe('cache', () => {
  const key = (i: number): string => i.toString(16).padStart(8, '0');
  test('gives back what was put', async () => {
    const cache = openDiskCache({ folder: join(folder, 'c') });
    expect(await cache.get(key(1))).toBeNull();
    await cache.put(key(1), Uint8Array.of(1, 2, 3));
    await cache.put(key(1), Uint8Array.of(4));
    await cache.put(key(2), new Uint8Array(0));
    expect(await cache.get(key(1))).toEqual(Uint8Array.of(4));
    expect(await cache.get(key(2))).toEqual(new Uint8Array(0));
    expect(await openDiskCache({ folder: join(folder, 'c') }).get(key(1))).toEqual(Uint8Array.of(4));
    expect(await cache.usage()).toEqual({ entries: 2, bytes: 33 });
    expect(await cache.clean()).toEqual({ entries: 2, bytes: 33 });
    expect(await cache.get(key(1))).toBeNull();
    expect(await cache.usage()).toEqual({ entries: 0, bytes: 0 });
  });
  test('stays within its limit; the least recently used go first', async () => {
    const cache = openDiskCache({ folder, maxBytes: 10_000 });
    for (let i = 0; i < 8; i++) {
      await cache.put(key(i), new Uint8Array(1000));
      await utimes(join(folder, '00', `${key(i).slice(2)}.entry`), 1000 + i, 1000 + i);
    }
    expect(await cache.get(key(0))).not.toBeNull(); // used again: now the newest
    for (let i = 8; i < 12; i++) await cache.put(key(i), new Uint8Array(1000));
    expect((await cache.usage()).bytes).toBeLessThanOrEqual(10_000);
    const kept = await Promise.all(Array.from({ length: 12 }, async (_, i) => (await cache.get(key(i))) !== null));
    expect(kept[0]).toBe(true);
    expect(kept[1]).toBe(false);
    expect(kept[11]).toBe(true);
    await cache.put(key(99), new Uint8Array(20_000));
    expect(await cache.get(key(99))).toBeNull();
  });
  test('damaged entries are no entries, and leave', async () => {
    const cache = openDiskCache({ folder });
    for (const damage of [(file: string) => truncate(file, 20), (file: string) => truncate(file, 3), (file: string) => writeFile(file, new Uint8Array(100))]) {
      await cache.put(key(5), new Uint8Array(64).fill(1));
      const file = join(folder, '00', `${key(5).slice(2)}.entry`);
      await damage(file);
      expect(await cache.get(key(5))).toBeNull();
      await expect(stat(file)).rejects.toThrow();
    }
  });
  test('many writers at once leave whole entries and no other files', async () => {
    const caches = [openDiskCache({ folder }), openDiskCache({ folder })];
    await Promise.all(Array.from({ length: 60 }, (_, i) => caches[i % 2]!.put(key(i % 7), new Uint8Array(5000).fill(i))));
    for (let i = 0; i < 7; i++) {
      const bytes = await caches[0]!.get(key(i));
      expect(bytes!.every((byte) => byte === bytes![0])).toBe(true);
    }
    expect((await readdir(join(folder, '00'))).every((name) => name.endsWith('.entry'))).toBe(true);
  });
  test('a folder that cannot be written is told once; work goes on', async () => {
    await writeFile(join(folder, 'file'), '');
    const problems: string[] = [];
    const cache = openDiskCache({ folder: join(folder, 'file', 'c'), onProblem: (problem) => problems.push(problem.code) });
    await cache.put(key(1), Uint8Array.of(1));
    await cache.put(key(2), Uint8Array.of(1));
    expect(problems).toEqual(['host/cache-unwritable']);
    expect(await cache.get(key(1))).toBeNull();
  });
  test('keys are hex', async () => {
    for (const bad of ['', '../../etc', 'ABCD', 'abc']) expect((await failure(() => openDiskCache({ folder }).get(bad))).code).toBe('host/cache-key');
  });
  test('lies where the system keeps caches', () => {
    expect(defaultCacheFolder({ TENON_CACHE: '/x/y' }, 'linux')).toBe('/x/y');
    expect(defaultCacheFolder({ XDG_CACHE_HOME: '/c' }, 'linux')).toBe('/c/tenon');
    expect(defaultCacheFolder({}, 'linux')).toMatch(/\.cache\/tenon$/);
    expect(defaultCacheFolder({}, 'darwin')).toMatch(/Library\/Caches\/tenon$/);
  });
});
