import { readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Cache } from '@tenon/plugin';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { describeDevice, vectorBytesOf } from './device.ts';
import { buildSharedObject, findToolchain } from './toolchain.ts';

/** Every test has its own folder for temporary files, which must be empty again at its end. */
let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'toolchain-test-'));
  vi.stubEnv('TMPDIR', folder);
});
afterEach(async () => {
  const left = readdirSync(folder);
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
  expect(left).toEqual([]);
});

const unit = (name: string, text: string): { name: string; text: string } => ({ name, text });
const diagnosticOf = async (run: Promise<unknown>): Promise<{ code: string; message: string; hint: string | null }> => {
  const error = (await run.then(() => null, (e: unknown) => e)) as { diagnostic: { code: string; message: string; hint: string | null } } | null;
  return error!.diagnostic;
};

describe('finding the compiler', () => {
  test('a compiler that is named and absent', async () => {
    const d = await diagnosticOf(findToolchain({ cc: '/nowhere/cc' }));
    expect(d.code).toBe('cpu-c/no-compiler');
    expect(d.message).toContain('/nowhere/cc');
    expect(d.hint).toMatch(/apt-get.*dnf.*xcode-select/);
  });
  test('no compiler at all', async () => {
    vi.stubEnv('PATH', folder);
    vi.stubEnv('CC', '');
    const d = await diagnosticOf(findToolchain({}));
    expect(d.code).toBe('cpu-c/no-compiler');
    expect(d.message).toContain('tried cc, gcc and clang');
  });
  test('a processor that the compiler does not know', async () => {
    expect((await diagnosticOf(findToolchain({ march: 'z80' }))).code).toBe('cpu-c/unknown-march');
  });
  test('flags change the identity', async () => {
    const [a, b, c] = [await findToolchain({}), await findToolchain({}), await findToolchain({ march: process.arch === 'x64' ? 'x86-64' : 'armv8-a' })];
    expect(a.identity).toBe(b.identity);
    expect(c.identity).not.toBe(a.identity);
    expect(vectorBytesOf(c.macros)).toBe(16);
    expect(describeDevice(a, { threads: 3 }).features['threads']).toBe(3);
  });
});

describe('building', () => {
  test('objects are taken from the cache', async () => {
    const toolchain = await findToolchain({});
    const stored = new Map<string, Uint8Array>();
    const cache: Cache = { get: async (key) => stored.get(key) ?? null, put: async (key, bytes) => void stored.set(key, bytes) };
    const units = [unit('a', 'int a(void) { return 1; }'), unit('b', 'int b(void) { return 2; }')];
    const progress: string[] = [];
    const first = await buildSharedObject(toolchain, units, { cache, progress: (done, total) => progress.push(`${done}/${total}`) });
    expect(progress).toEqual(['1/2', '2/2']);
    expect(stored.size).toBe(2);
    const keys = [...stored.keys()];
    const again = await buildSharedObject(toolchain, units, { cache });
    expect([...stored.keys()]).toEqual(keys);
    expect(again).toEqual(first);
    await buildSharedObject(toolchain, [units[0]!, unit('b', 'int b(void) { return 3; }')], { cache });
    expect(stored.size).toBe(3);
  });
  test('an error of the compiler names the kernel', async () => {
    const d = await diagnosticOf(findToolchain({}).then((t) => buildSharedObject(t, [unit('kernel good', 'int x;'), unit('kernel bad', 'int f( {')], { cache: null })));
    expect(d.code).toBe('cpu-c/compile-failed');
    expect(d.message).toMatch(/kernel bad[^]*error/);
  });
  test('aborting ends the compilers', async () => {
    const toolchain = await findToolchain({});
    const controller = new AbortController();
    // Takes the compiler many seconds.
    const slow = `#define A(x) x x x x x x x x x x\nint f(volatile int* p) { ${'A(A(A(A(A(*p += *p * 3;)))))'} return 0; }`;
    const started = performance.now();
    const run = buildSharedObject(toolchain, [unit('slow', slow), unit('slow too', `${slow}\n`)], { cache: null, signal: controller.signal });
    setTimeout(() => controller.abort(new Error('enough')), 150);
    await expect(run).rejects.toThrow('enough');
    expect(performance.now() - started).toBeLessThan(3000);
  });
});
