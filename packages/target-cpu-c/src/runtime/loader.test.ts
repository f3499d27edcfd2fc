import { hash64 } from '@tenon/artifact';
import { createExprs } from '@tenon/core';
import type { RegionPlan } from '@tenon/plugin';
import { beforeAll, describe, expect, test } from 'vitest';
import { compileAll, region, regionOf, statements, targetContext, viewOf, type Compiled } from '../../test/harness.ts';
import { answer, cpuC } from './loader.ts';

const exprs = createExprs();
const s = statements(exprs);
const { v } = s;
const n = exprs.variable('n');
const X = s.buffer('X', 'f32', [n]);
const Y = s.buffer('Y', 'f32', [n]);
const one = exprs.constant(1, 'f32');
const increment = s.fn('increment', [X], [Y], s.loop('i', n, 'parallel', s.store(Y, [v('i')], exprs.add(s.load(X, v('i')), one))));
const countPositive = (() => {
  const C = s.buffer('C', 'i64', []);
  const zero = exprs.constant(0, 'f32');
  return s.fn('count', [X], [C], { kind: 'seq', body: [
    s.store(C, [], 0),
    s.loop('i', n, 'serial', s.if(exprs.lt(zero, s.load(X, v('i'))), s.store(C, [], exprs.add(s.load(C), 1)))),
  ] });
})();
const ones = (() => {
  const out = s.buffer('Z', 'f32', [exprs.variable('k')]);
  return s.fn('ones', [], [out], s.loop('i', exprs.variable('k'), 'parallel', s.store(out, [v('i')], one)));
})();

/** increment twice through the workspace, then count the positive elements, then write as many ones. */
const chain: RegionPlan = {
  entry: 'region.chain/1', dims: ['n'], params: 1, results: 1, constants: [],
  runDims: [{ name: 'found', buffer: 2, after: 2 }],
  workspace: exprs.add(exprs.mul(n, 4), 64),
  buffers: [
    { name: 'x', dtype: 'f32', shape: [n], bytes: exprs.mul(n, 4), storage: { kind: 'argument', index: 0 } },
    { name: 'y', dtype: 'f32', shape: [n], bytes: exprs.mul(n, 4), storage: { kind: 'result', index: 0 } },
    { name: 'c', dtype: 'i64', shape: [], bytes: exprs.int(8), storage: { kind: 'workspace', offset: exprs.int(0) } },
    { name: 'w', dtype: 'f32', shape: [n], bytes: exprs.mul(n, 4), storage: { kind: 'workspace', offset: exprs.int(64) } },
  ],
  launches: [
    { kernel: 'increment', args: [0, 3], scalars: [{ name: 'n', value: n }], locs: ['a'], ops: ['x.inc'], flops: n, bytes: n },
    { kernel: 'increment', args: [3, 3], scalars: [{ name: 'n', value: n }], locs: ['b'], ops: ['x.inc'], flops: n, bytes: n },
    { kernel: 'count', args: [3, 2], scalars: [{ name: 'n', value: n }], locs: ['c'], ops: ['x.count'], flops: n, bytes: n },
    { kernel: 'ones', args: [1], scalars: [{ name: 'k', value: exprs.variable('found') }], locs: ['d'], ops: ['x.ones'], flops: n, bytes: n },
  ],
};

let compiled: Compiled;
beforeAll(async () => {
  compiled = await compileAll([region(chain, [increment, countPositive, ones]), regionOf(increment, exprs)], await targetContext(undefined, { exprs }), 4);
}, 60_000);

const chainSymbol = 'tenon_region_2e_chain_2f_1';
const input = (length: number): Float32Array => Float32Array.from({ length }, (_, i) => (i % 5) - 4);

describe('a region of several launches', () => {
  test('runs in order, through the workspace, and returns run-time dims', () => {
    const entry = compiled.blob.entries[0]!;
    expect(entry.symbol).toBe(chainSymbol);
    expect(entry.kernels.map((k) => [k.name, ...k.ops, ...k.locs])).toEqual([['increment', 'x.inc', 'a'], ['increment', 'x.inc', 'b'], ['count', 'x.count', 'c'], ['ones', 'x.ones', 'd']]);
    const y = new Float32Array(1000);
    expect(compiled.run('region.chain/1', [input(1000), y], [1000], 4064)).toEqual([400]);
    expect(y).toEqual(Float32Array.from({ length: 1000 }, (_, i) => (i < 400 ? 1 : 0)));
  });

  test('asynchronous calls run in the order of their queue, and are measured', async () => {
    const queue = cpuC().device.createQueue();
    const length = 100_000;
    const [x, y, w] = [input(length), new Float32Array(length), new Uint8Array(length * 4 + 64)] as const;
    const call = compiled.loaded.bind(chainSymbol, [x, y, w].map((d) => viewOf(d)), [length]);
    call.profile!(true);
    const seen: string[] = [];
    const filled = queue.write(new Uint8Array(new Float32Array(length).fill(5).buffer), viewOf(x));
    const fence = call.enqueue(queue);
    expect(fence.done).toBe(false);
    void filled.wait().then(() => seen.push('written'));
    await fence.wait().then(() => seen.push('ran'));
    expect(seen).toEqual(['written', 'ran']);
    expect(fence.done).toBe(true);
    expect(call.runDims).toEqual([length]);
    const back = new Uint8Array(8);
    await queue.read({ ...viewOf(y), bytes: 8 }, back).wait();
    expect(new Float32Array(back.buffer)).toEqual(new Float32Array([1, 1]));
    const times = call.kernelTimes!;
    expect(times.map((t) => t.kernel)).toEqual(['increment', 'increment', 'count', 'ones']);
    times.forEach((t, i) => {
      expect(t.end).toBeGreaterThan(t.begin);
      if (i > 0) expect(t.begin).toBeGreaterThanOrEqual(times[i - 1]!.end);
    });
  });

  test('refuses a wrong number of dims and unknown entries', () => {
    expect(() => compiled.loaded.bind(chainSymbol, [], [1, 2])).toThrow('cpu-c/wrong-dims');
    expect(() => compiled.loaded.bind('nothing', [], [])).toThrow('cpu-c/no-entry');
  });
});

describe('memory of the user', () => {
  const { userMemory } = cpuC();
  const bytesOf = (data: Float32Array): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

  test('takes the place of other memory between runs, whatever its alignment', () => {
    const length = 5000;
    const [x, y] = [new Float32Array(length), new Float32Array(length)];
    const call = compiled.loaded.bind(compiled.blob.entries[1]!.symbol, [x, y].map(viewOf), [length]);
    for (let shift = 0; shift < 5; shift++) {
      const given = new Float32Array(length + shift).subarray(shift).fill(shift);
      const made = new Float32Array(userMemory!.allocate(length * 4));
      [given, made].forEach((data, i) => {
        call.rebind!(i, null);
        call.rebind!(i, { buffer: userMemory!.borrow(bytesOf(data))!, byteOffset: 0, bytes: length * 4 });
      });
      call.runSync!();
      expect(made.every((value) => value === shift + 1)).toBe(true);
    }
    expect([x, y].every((data) => data.every((value) => value === 0))).toBe(true);
  });

  test('is not what may shrink or be shared', () => {
    expect(userMemory!.borrow(new Uint8Array(new SharedArrayBuffer(1 << 16)))).toBeNull();
    expect(userMemory!.borrow(new Uint8Array(new ArrayBuffer(1 << 16, { maxByteLength: 1 << 17 })))).toBeNull();
    expect(userMemory!.borrow(new Uint8Array(1 << 16))).not.toBeNull();
    expect(userMemory!.allocate(100_000).byteLength).toBe(100_000);
  });
});

test('memory that moves to large pages keeps what is in it', async () => {
  const { device } = cpuC();
  const [kept, freed] = [device.allocate(5 << 20), device.allocate(3 << 20)];
  kept.host!.forEach((_, i, all) => (all[i] = i % 251));
  device.free(freed);
  await new Promise((resolve) => setTimeout(resolve, 400));
  expect(kept.host!.every((value, i) => value === i % 251)).toBe(true);
});

test('hashes are those of the artifact', async () => {
  const bytes = Uint8Array.from({ length: 100_003 }, (_, i) => (i * 131 + (i >> 8) * 17) & 255);
  for (const [from, chunk] of [[0, 1 << 20], [3, 4096], [64, 1000], [99_990, 8], [100_003, 64]] as const) {
    const part = bytes.subarray(from);
    const want = Array.from({ length: Math.ceil(part.length / chunk) }, (_, i) => hash64(part.subarray(i * chunk, (i + 1) * chunk)));
    expect([...(await compiled.loaded.hashes!(part, chunk))]).toEqual(want);
  }
});

describe('the thread pool', () => {
  test('every iteration runs once, whatever the sizes, and with several callers at a time', async () => {
    const symbol = compiled.blob.entries[1]!.symbol;
    const jobs = Array.from({ length: 6 }, (_, k) => {
      const length = [1, 1000, 30_011, 200_003, 65_536, 99_999][k]!;
      const data = new Float32Array(length);
      return { data, queue: cpuC().device.createQueue(), call: compiled.loaded.bind(symbol, [data, data].map(viewOf), [length]) };
    });
    const rounds = 300;
    const fences = jobs.flatMap(({ call, queue }) => Array.from({ length: rounds }, () => call.enqueue(queue)));
    await Promise.all(fences.map((f) => f.wait()));
    for (const { data } of jobs) expect(data.every((x) => x === rounds)).toBe(true);
  });

  test('several pools may be made and given back', async () => {
    const setup = await targetContext(undefined, { exprs });
    const blobs = await setup.target.codegen([regionOf(increment, exprs)], setup.ctx);
    const blob = blobs[0]!;
    const info = { format: blob.format, formatVersion: blob.formatVersion, requires: blob.requires, entries: [{ symbol: blob.entries[0]!.symbol, kernels: ['increment'] }] };
    const data = new Float32Array(100_000);
    for (let round = 0; round < 10; round++) {
      const loaded = await Promise.all([1, 2, 5].map((threads) => cpuC().load(info, blob.bytes, { threads })));
      for (const l of loaded) l.bind(info.entries[0]!.symbol, [data, data].map(viewOf), [data.length]).runSync!();
      for (const l of loaded) l.dispose();
    }
    expect(data.every((x) => x === 30)).toBe(true);
  });

  test('disposing waits for what runs, and refuses what comes after', async () => {
    const own = await compileAll([regionOf(increment, exprs)], await targetContext(undefined, { exprs }), 2);
    const data = new Float32Array(1 << 20);
    const queue = cpuC().device.createQueue();
    const call = own.loaded.bind(own.blob.entries[0]!.symbol, [data, data].map(viewOf), [data.length]);
    const fence = call.enqueue(queue);
    await Promise.resolve();
    await Promise.resolve();
    own.loaded.dispose();
    await fence.wait().then(
      () => expect(data.every((x) => x === 1)).toBe(true),
      (error: Error) => expect(error.message).toContain('cpu-c/disposed'),
    );
    expect(() => call.runSync!()).toThrow('cpu-c/disposed');
  });
});

describe('the answer to a blob', () => {
  const machine = { arch: 'x64', platform: 'linux' };
  const needs = { ...machine, features: ['avx2', 'fma'] };
  test('compares architecture, system and extensions', () => {
    expect(answer(needs, machine, new Set(['avx2', 'fma', 'sse']))).toEqual({ kind: 'optimal' });
    expect(answer(needs, machine, null)).toEqual({ kind: 'usable' });
    expect(answer(needs, machine, new Set(['fma']))).toMatchObject({ kind: 'recompile', reason: expect.stringContaining('avx2') });
    expect(answer({ ...needs, arch: 'arm64' }, machine, null)).toMatchObject({ kind: 'recompile', code: 'cpu-c/other-machine' });
    expect(answer({ ...needs, platform: 'darwin' }, machine, null)).toMatchObject({ kind: 'recompile' });
  });
  test('this machine runs what it compiled', () => {
    const { format, formatVersion, requires } = compiled.blob;
    expect(cpuC().answer({ format, formatVersion, requires, entries: [] }).kind).toMatch(/optimal|usable/);
  });
  test('bytes that are no shared object', () => {
    expect(() => cpuC().load({ format: '', formatVersion: 1, requires: {}, entries: [] }, new Uint8Array(100), { threads: 1 })).toThrow('cpu-c/load-failed');
  });
  test('memory is aligned and zero', () => {
    const { host } = cpuC().device.allocate(1000);
    expect(host!.length).toBe(1000);
    expect(host!.every((b) => b === 0)).toBe(true);
  });
});
