import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCli } from '../src/cli.ts';
import { exitCodes } from '../src/exit-codes.ts';
import { readNpy } from '../src/npy.ts';
import { doubledRelu, unsupportedModel } from './onnx.ts';
import { traceProblem, type Trace } from './trace.ts';

const folder = mkdtempSync(join(tmpdir(), 'tenon-cli-'));
const at = (name: string): string => join(folder, name);
const cacheBefore = process.env['TENON_CACHE'];
beforeAll(() => {
  process.env['TENON_CACHE'] = at('cache');
  writeFileSync(at('m.onnx'), doubledRelu());
  writeFileSync(at('bad.onnx'), doubledRelu().subarray(0, 60));
  writeFileSync(at('odd.onnx'), unsupportedModel());
});
afterAll(() => {
  if (cacheBefore === undefined) delete process.env['TENON_CACHE'];
  else process.env['TENON_CACHE'] = cacheBefore;
  rmSync(folder, { recursive: true, force: true });
});

interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}
async function tenon(...argv: string[]): Promise<Result> {
  const text = { out: '', err: '' };
  const code = await runCli(argv, { stdout: { write: (t) => (text.out += t) }, stderr: { write: (t) => (text.err += t) }, env: {} });
  return { code, ...text };
}
async function json(...argv: string[]): Promise<{ readonly code: number; readonly data: Record<string, never> & { readonly error?: { readonly code: string } } }> {
  const { code, out, err } = await tenon(...argv, '--json');
  expect(err).toBe('');
  return { code, data: JSON.parse(out) as never };
}

describe('help and version', () => {
  test('are text on the output', async () => {
    for (const argv of [[], ['help'], ['--help'], ['-h']]) expect(await tenon(...argv)).toMatchObject({ code: 0, err: '', out: expect.stringMatching(/Exit codes:[^]*70 {2}a defect/) });
    expect((await tenon('--version')).out).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect((await tenon('help', 'run')).out).toContain('--input NAME=VALUE');
    expect((await tenon('bench', '--help')).out).toBe((await tenon('help', 'bench')).out);
    expect((await json('help')).data['commands']).toHaveLength(9);
  });
});

describe('mistakes give one clear error, and their exit code', () => {
  test.each<[string, number, RegExp]>([
    ['frobnicate', 2, /^error\[usage\/unknown-command\]: there is no command "frobnicate"\n {2}hint: /],
    ['cmpile m.onnx', 2, /did you mean `tenon compile`\?/],
    ['run', 2, /MODEL\|ARTIFACT is missing/],
    ['run m.onnx --profle', 2, /did you mean --profile\?/],
    ['compile m.onnx --dim n', 2, /error\[usage\/dim\]/],
    ['compile m.onnx --emit c++', 2, /error\[usage\/arguments\]: --emit c\+\+ is not known\n {2}hint: write --emit artifact or --emit c/],
    ['compile m.onnx --name x', 2, /--name goes with --emit c/],
    ['compile m.onnx --target cpu-d --march portable', 2, /--march is for the target cpu-c/],
    ['compile m.onnx --emit c --name a-b', 2, /cpu-c\/standalone-name.*"a-b" is no name/],
    ['compile m.onnx --target cpu-d', 2, /error\[target\/unknown\].*\n.*cpu-c/],
    ['run m.onnx --input y=zeros', 2, /no input "y"/],
    ['run m.onnx', 2, /error\[runtime\/missing-input\]/],
    ['run m.onnx -i x=[2,4]:zeros', 2, /error\[runtime\/shape\]/],
    ['inspect m.onnx --phase fold', 2, /--phase is one of/],
    ['inspect m.onnx --pass fold-constant', 2, /did you mean fold-constants\?/],
    ['cache empty', 2, /info and clean/],
    ['run nothing.onnx', 3, /^error\[host\/not-found\]/],
    ['compile bad.onnx', 3, /^error\[onnx\/malformed\]/],
    ['check bad.onnx', 3, /^error\[onnx\/malformed\]/],
    ['verify m.onnx', 3, /^error\[artifact\/not-an-artifact\]/],
    ['run m.onnx -i x=bad.onnx.npy', 3, /^error\[file\/not-found\]/],
    ['compile m.onnx -c nowhere.ts', 3, /^error\[config\/not-found\]/],
    ['compile odd.onnx', 1, /Frobnicate ×1.*Wibble ×1/],
    ['compile m.onnx -o m.onnx/x.tenon', 4, /^error\[tenon\/unwritable\]/],
  ])('%s', async (line, code, message) => {
    const argv = line.split(' ').map((word) => (/^(m|bad|odd|nothing)\.onnx/.test(word) ? at(word) : word.replace(/=bad\.onnx/, `=${at('bad.onnx')}`)));
    const before = readdirSync(folder);
    const result = await tenon(...argv);
    expect(result.err).toMatch(message);
    expect(result.err).not.toMatch(/\n\s+at .*:\d+:\d+/);
    expect(result).toMatchObject({ code, out: '' });
    expect(readdirSync(folder).filter((name) => !before.includes(name) && name !== 'cache')).toEqual([]);
    const { data } = await json(...argv);
    expect(result.err).toContain(`error[${data.error!.code}]`);
  });

  test('a configuration with a typo', async () => {
    writeFileSync(at('typo.ts'), 'export default { targest: ["cpu-c"] };');
    const { code, err } = await tenon('compile', at('m.onnx'), '-c', at('typo.ts'));
    expect(code).toBe(exitCodes.badInput);
    expect(err).toMatch(/^error\[config\/invalid\]: .*typo\.ts.*did you mean targets/);
  });
});

describe('commands', () => {
  test('compile, verify, inspect, explain and run an artifact', async () => {
    const artifact = at('m.tenon');
    await tenon('cache', 'clean');
    expect(await json('compile', at('m.onnx'), '-o', artifact)).toMatchObject({ code: 0, data: { output: artifact, cached: false, operators: 2, targets: ['cpu-c'] } });
    expect((await json('compile', at('m.onnx'), '-o', artifact)).data).toMatchObject({ cached: true });
    const portable = await json('compile', at('m.onnx'), '-o', at('portable.tenon'), '--march', 'portable');
    expect(portable).toMatchObject({ code: 0, data: { cached: false } });
    expect((await tenon('run', at('portable.tenon'), '-i', 'x=[1,3]:ones')).code).toBe(0);
    const emitted = await json('compile', at('m.onnx'), '--emit', 'c', '-o', at('as-c'));
    expect(emitted).toMatchObject({ code: 0, data: { output: at('as-c'), cached: false, files: expect.arrayContaining(['model.h', 'model.c', 'main.c', 'Makefile', 'model.weights']) } });
    expect(readdirSync(at('as-c')).sort()).toEqual(['Makefile', 'generated', 'main.c', 'model.c', 'model.h', 'model.weights']);
    const { data: verified } = await json('verify', artifact);
    expect(verified).toMatchObject({ ok: true });
    expect((await tenon('verify', artifact)).out).toMatch(/^intact/);
    expect(await json('verify', artifact, '--digest', 'abc')).toMatchObject({ code: 1, data: { ok: false } });
    expect((await json('inspect', artifact)).data).toMatchObject({ digest: verified['digest'], inputs: [{ name: 'x', type: 'f32[n, 3]' }] });
    expect((await json('explain', artifact)).data['operators']).toHaveLength(2);
    const { data } = await json('run', artifact, '-i', 'x=[2,3]:-1', '--profile', '--trace', at('trace.json'));
    expect(data['outputs']).toEqual([expect.objectContaining({ name: 'y', shape: [2, 3], min: 0, max: 0, file: null })]);
    expect(data['profile']).toMatchObject({ kernels: [expect.objectContaining({ ops: ['math.add', 'nn.relu'] })] });
    expect(data['profile']).toMatchObject({ limits: { 'cpu-c': { source: 'measured' } }, kernels: [expect.objectContaining({ percentOfLimit: expect.any(Number) })] });
    const { flops, bandwidth } = (data['profile'] as unknown as { readonly limits: { readonly [loader: string]: { readonly flops: number; readonly bandwidth: number } } }).limits['cpu-c']!;
    // Any processor since 2005 computes and reads more than that, and none so far a thousand times as much.
    expect([flops > 1e9, flops < 1e14, bandwidth > 1e8, bandwidth < 1e13]).toEqual([true, true, true, true]);
    const trace = JSON.parse(readFileSync(at('trace.json'), 'utf8')) as unknown;
    expect(traceProblem(trace)).toBeNull();
    expect((trace as Trace).traceEvents.filter((e) => e.cat === 'kernel')).toEqual([
      expect.objectContaining({ ph: 'X', name: expect.stringContaining('add_relu'), args: expect.objectContaining({ ops: ['math.add', 'nn.relu'], flops: expect.any(Number), bytes: 48, percentOfLimit: expect.any(Number) }) }),
    ]);
    expect((await tenon('run', artifact, '-i', 'x=[2,3]:-1', '--profile')).out).toMatch(/^kernel +time +share +of limit +GFLOP\/s +GB\/s +operators +in the model\nadd_relu.* %.*\nlimit of cpu-c, measured: \d+ GFLOP\/s, [\d.]+ GB\/s from memory\nabove 100 %: from caches, or with fewer operations than the model has\n1 of 1 kernels/m);
    expect((await tenon('run', artifact, '-i', 'ones', '--target', 'cpu-c')).err).toContain('compiled already');

    const bytes = readFileSync(artifact);
    bytes[bytes.length - 100]! ^= 1;
    writeFileSync(at('damaged.tenon'), bytes);
    expect(await json('verify', at('damaged.tenon'))).toMatchObject({ code: 1, data: { ok: false, code: 'artifact/corrupt' } });
    expect(await json('verify', at('m.onnx'))).toMatchObject({ code: 3 });
    writeFileSync(at('short.tenon'), bytes.subarray(0, 500));
    expect(await tenon('run', at('short.tenon'))).toMatchObject({ code: 3, err: expect.stringContaining('artifact/truncated') });
  });

  test('run reads and writes files', async () => {
    const out = at('out');
    expect((await tenon('run', at('m.onnx'), '-i', 'x=[2,3]:iota', '-o', out)).code).toBe(0);
    const y = readNpy(readFileSync(join(out, 'y.npy')));
    expect(y).toEqual({ dtype: 'f32', shape: [2, 3], data: Float32Array.of(0, 2, 4, 6, 8, 10) });
    await tenon('run', at('m.onnx'), '-i', `x=${join(out, 'y.npy')}`, '-o', out, '--format', 'pb');
    await tenon('run', at('m.onnx'), '-i', join(out, 'y.pb'), '-o', out);
    expect(readNpy(readFileSync(join(out, 'y.npy'))).data).toEqual(Float32Array.of(0, 8, 16, 24, 32, 40));
    expect(readdirSync(out).sort()).toEqual(['y.npy', 'y.pb']);
  });

  test('bench', async () => {
    const { data } = await json('bench', at('m.onnx'), '--dim', 'n=4', '--rounds', '3', '--threads', '1');
    expect(data).toMatchObject({ rounds: 3, threads: 1, inputs: { x: 'f32[4, 3]' } });
    for (const key of ['median', 'min', 'p95', 'firstRunMilliseconds', 'loadMilliseconds', 'compileMilliseconds']) expect(data[key]).toBeGreaterThan(0);
    expect((await tenon('bench', at('m.onnx'))).err).toContain('--dim n=1');
  });

  test('warnings go beside the result', async () => {
    const { code, err } = await tenon('check', at('m.onnx'), '--dim', 'm=2');
    expect({ code, err }).toEqual({ code: 0, err: 'warning[onnx/unknown-dim]: no input of the model has a dim "m"\n  hint: its dims are: n\n' });
    expect((await json('check', at('m.onnx'), '--dim', 'm=2')).data).toMatchObject({ supported: true, warnings: [{ code: 'onnx/unknown-dim' }] });
  });

  test('check and explain', async () => {
    expect((await tenon('check', at('m.onnx'))).out).toBe('every operator is supported (2)\ncpu-c: 2 operators in 1 region (math.add × 1, nn.relu × 1)\n');
    const { code, data } = await json('check', at('odd.onnx'));
    expect(code).toBe(1);
    expect(data).toMatchObject({ supported: false, unsupported: [{ op: 'Frobnicate' }, { op: 'Wibble' }] });
    expect((await tenon('check', at('odd.onnx'))).out).toMatch(/^2 operators not supported/);
    expect((await tenon('explain', at('m.onnx'))).out).toMatch(/^cpu-c: 2 of 2 operators, 1 region, 1 kernel, 100 % of FLOPs.*\n\noperator +in the model +target +rule +region +kernel.*\nmath\.add +Add_s +cpu-c +cpu-c\/generic +region_0_cpu_c +add_relu/s);
  });

  test('inspect', async () => {
    const inspect = async (...options: string[]): Promise<string> => (await tenon('inspect', at('m.onnx'), ...options)).out;
    expect(await inspect()).toMatch(/inputs +x f32\[n, 3\]\noutputs +y f32\[n, 3\]\ndims +n in 0 … ∞/);
    expect(await inspect('--phase', 'import')).toMatch(/%\d: f32\[n, 3\] = math\.add\(%x, %x\) loc\("Add_s"\)/);
    expect(await inspect('--phase', 'fuse')).toContain('kernel @');
    expect(await inspect('--show', 'kernels')).toMatch(/^\/\/ after schedule for cpu-c[^]*tensor @/);
    expect(await inspect('--pass', 'dead-code')).toMatch(/^\/\/ after dead-code/);
    expect(await inspect('--show', 'code')).toContain('static');
    expect(await inspect('--show', 'sizes')).toContain('code for cpu-c');
    expect(await inspect('--show', 'memory')).toContain('1 launches, workspace 0 B');
    expect(await inspect('--show', 'passes')).toContain('fold-constants');
    for (const view of ['summary', 'graph', 'kernels', 'code', 'memory', 'sizes', 'passes']) expect((await json('inspect', at('m.onnx'), '--show', view)).code).toBe(0);
  });

  test('doctor and cache', async () => {
    const { code, data } = await json('doctor');
    expect(code).toBe(0);
    expect(data).toMatchObject({ node: process.version, selfTest: { ok: true, problem: null }, targets: [{ name: 'cpu-c', device: { features: { vectorBytes: expect.any(Number) } } }] });
    expect((await tenon('doctor')).out).toContain('a small model compiles, loads and runs');
    const { data: held } = await json('cache');
    expect(held).toMatchObject({ folder: at('cache') });
    expect(held['bytes']).toBeGreaterThan(0);
    expect((await tenon('cache', 'clean')).out).toMatch(/^removed \d+ objects and \d+ artifacts/);
    expect((await json('cache', 'info')).data['bytes']).toBe(0);
  });

  test('without a C compiler the error says what to install', async () => {
    const before = process.env['CC'];
    process.env['CC'] = '/no/such/compiler';
    try {
      expect(await tenon('compile', at('m.onnx'), '-o', at('none.tenon'))).toMatchObject({ code: 4, err: expect.stringMatching(/cpu-c\/no-compiler[^]*hint: install/) });
      const { code, data } = await json('doctor');
      expect(code).toBe(4);
      expect(data['problems']).toEqual([expect.objectContaining({ code: 'cpu-c/no-compiler' })]);
    } finally {
      if (before === undefined) delete process.env['CC'];
      else process.env['CC'] = before;
    }
  });
});

describe('as a process', () => {
  const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
  const start = (argv: readonly string[], env: Record<string, string> = {}): ReturnType<typeof spawn> =>
    spawn(process.execPath, ['--conditions=tenon-source', main, ...argv], { cwd: folder, env: { ...process.env, TENON_CACHE: at('cache'), ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = (child: ReturnType<typeof spawn>): Promise<Result> => new Promise((resolve) => {
    const text = { out: '', err: '' };
    child.stdout!.on('data', (chunk) => (text.out += String(chunk)));
    child.stderr!.on('data', (chunk) => (text.err += String(chunk)));
    child.on('close', (code) => resolve({ code: code ?? -1, ...text }));
  });

  test('exit codes reach the shell, and a configuration in the folder is used', async () => {
    expect(await ended(start(['run', 'nothing.onnx']))).toEqual({ code: 3, out: '', err: 'error[host/not-found]: there is no file nothing.onnx\n' });
    writeFileSync(at('tenon.config.ts'), 'export default { targets: ["cpu-x"] };');
    expect(await ended(start(['check', 'm.onnx']))).toMatchObject({ code: 2, err: expect.stringContaining('cpu-x') });
    expect(await ended(start(['check', 'm.onnx', '--no-config']))).toMatchObject({ code: 0 });
    rmSync(at('tenon.config.ts'));
  });

  test('Ctrl-C ends it with 130, without a half-written file', async () => {
    mkdirSync(at('slow'), { recursive: true });
    // A compiler that answers questions and then never ends.
    writeFileSync(at('slow/cc'), '#!/bin/sh\nfor a in "$@"; do case "$a" in --version|-dM) exec cc "$@";; esac; done\nsleep 60\n', { mode: 0o755 });
    const child = start(['compile', 'm.onnx', '--no-cache', '-o', 'slow/m.tenon'], { CC: at('slow/cc') });
    const result = ended(child);
    await new Promise((resolve) => setTimeout(resolve, 2500));
    child.kill('SIGINT');
    expect(await result).toEqual({ code: 130, out: '', err: 'interrupted\n' });
    expect(readdirSync(at('slow'))).toEqual(['cc']);
  });
});
