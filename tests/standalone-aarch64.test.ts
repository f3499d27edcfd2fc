import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { compile, emitC } from 'tenon';
import { outputAgreement } from './support/compare.ts';
import { cacheFolder } from './support/data.ts';
import { convNet, denseNet, elementwise, makeC, product, runC } from './support/standalone.ts';

const cc = 'aarch64-linux-gnu-gcc';
const emulator = ['qemu-aarch64', 'qemu-aarch64-static'].find((name) => runs(name));
const missing = [...(runs(cc) ? [] : [cc]), ...(emulator === undefined ? ['qemu-aarch64'] : [])];

function runs(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const root = mkdtempSync(join(tmpdir(), 'tenon-aarch64-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe(`AArch64 under emulation${missing.length === 0 ? '' : ` (skipped: ${missing.join(' and ')} not installed)`}`, () => {
  it.skipIf(missing.length > 0).each([
    ['a dense network on any number of rows', denseNet()], ['a network of convolutions', convNet()], ['a matrix product', product()],
    ['elementwise functions, with NaN and infinities', elementwise()],
  ])('%s computes what this machine computes', async (_, test) => {
    const folder = mkdtempSync(join(root, 'c-'));
    // `armv8-a` has vectors of 16 bytes and fused multiply-add.
    const { manifest } = await emitC(test.bytes, { cache: cacheFolder, output: folder, target: [['cpu-c', { cc, march: 'armv8-a' }]] });
    expect(manifest.blobs[0]!.requires).toMatchObject({ arch: 'arm64' });
    expect(await makeC(folder, `CC=${cc}`, 'LDFLAGS=-static')).not.toMatch(/warning:|error:/);
    using native = await compile(test.bytes, { cache: cacheFolder });
    for (const run of test.runs) {
      const want = await native.run(run.inputs);
      const got = await runC(folder, run, test.outputs, [emulator!]);
      for (const name of test.outputs) {
        const bytes = got.get(name)!;
        const { error, problem } = outputAgreement({ ...want[name]!, data: new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4) }, want[name]!);
        expect(problem, name).toBeNull();
        expect(error, name).toBeLessThan(1e-5);
      }
    }
  }, 120_000);
});
