import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { compile, diagnosticOf, emitC, type BuildOptions } from 'tenon';
import toy from 'tenon-target-toy';
import { outputAgreement } from './support/compare.ts';
import { cacheFolder } from './support/data.ts';
import { convNet, denseNet, expanded, product, makeC, runC, type StandaloneCase } from './support/standalone.ts';

const execute = promisify(execFile);
const root = mkdtempSync(join(tmpdir(), 'tenon-standalone-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const options: BuildOptions = { cache: cacheFolder };
const fresh = (): string => mkdtempSync(join(root, 'c-'));

/** Compares the program with the runtime, bit for bit: both run the same code. */
async function expectSame(test: StandaloneCase, folder: string): Promise<void> {
  using normal = await compile(test.bytes, options);
  for (const run of test.runs) {
    const want = await normal.run(run.inputs);
    const got = await runC(folder, run, test.outputs);
    for (const name of test.outputs) {
      const { data } = want[name]!;
      const bytes = got.get(name)!;
      const same = { ...want[name]!, data: new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4) };
      expect(same.data.length, name).toBe(data.length);
      expect(outputAgreement(same, want[name]!), `${name} for ${JSON.stringify(run.dims)}`).toEqual({ error: 0, problem: null });
    }
  }
}

describe('C that stands alone', () => {
  it.each([['a dense network on any number of rows', denseNet()], ['a network of convolutions', convNet()]])('%s builds and computes what the runtime computes', async (_, test) => {
    const folder = fresh();
    const { files } = await emitC(test.bytes, { ...options, output: folder });
    for (const name of ['model.h', 'model.c', 'main.c', 'Makefile', 'model.weights']) expect(files).toContain(name);
    expect(await makeC(folder)).not.toMatch(/warning|error:/);
    await expectSame(test, folder);
  }, 120_000);

  it('takes dims from its caller and checks them against the contents of inputs', async () => {
    const test = expanded();
    const folder = fresh();
    const { manifest } = await emitC(test.bytes, { ...options, output: folder });
    await makeC(folder);
    const { dims } = manifest.entries[0]!;
    const element = dims.find((d) => d.binding.kind === 'element');
    expect(element).toBeDefined();
    const given = { [element!.name]: 3 };
    await expectSame({ ...test, runs: [{ ...test.runs[0]!, dims: given }] }, folder);
    await expect(runC(folder, { ...test.runs[0]!, dims: { [element!.name]: 2 } }, ['y'])).rejects.toMatchObject({ stderr: 'run: elements of an input contradict the dims given\n' });
  }, 60_000);

  it('two models go into one program, without a warning; errors are codes', async () => {
    const folder = fresh();
    await emitC(denseNet().bytes, { ...options, output: join(folder, 'first'), name: 'first' });
    await emitC(convNet().bytes, { ...options, output: join(folder, 'second'), name: 'second' });
    await makeC(join(folder, 'first'));
    await makeC(join(folder, 'second'));
    writeFileSync(join(folder, 'both.c'), `
#include "first/first.h"
#include "second/second.h"
#include <stdio.h>
#include <stdlib.h>
#define EXPECT(what) if (!(what)) { printf("line %d: " #what "\\n", __LINE__); return 1; }
int main(void) {
  first* a; second* b; int64_t shape[SECOND_MAX_RANK], dims[FIRST_DIMS] = {3};
  EXPECT(first_create("first/first.weights", 2, &a) == FIRST_OK)
  EXPECT(second_create("second/second.weights", 1, &b) == SECOND_OK)
  EXPECT(first_create("second/second.weights", 1, &a) == FIRST_ERROR_WEIGHTS)
  EXPECT(first_create("none", 1, &a) == FIRST_ERROR_FILE && !a)
  EXPECT(first_create("first/first.weights", -1, &a) == FIRST_ERROR_ARGUMENT)
  EXPECT(first_create("first/first.weights", 2, &a) == FIRST_OK)
  EXPECT(first_output_bytes(FIRST_OUTPUT_P, dims) == 3 * 10 * sizeof(float))
  EXPECT(second_output_shape(SECOND_OUTPUT_F, 0, shape) == SECOND_OK && shape[1] == 24 && shape[3] == 10)
  EXPECT(second_output_bytes(SECOND_OUTPUT_F, 0) == SECOND_OUTPUT_F_BYTES)
  EXPECT(first_run(a, dims, 0, 0) == FIRST_ERROR_ARGUMENT)
  dims[0] = -1;
  EXPECT(first_output_shape(0, dims, shape) == FIRST_ERROR_DIM && first_output_bytes(0, dims) == 0)
  EXPECT(second_input_shape(1, 0, shape) == SECOND_ERROR_ARGUMENT)
  /* Weights that the program holds itself. */
  FILE* file = fopen("second/second.weights", "rb");
  size_t bytes = 1 << 20;
  char* weights = aligned_alloc(64, bytes);
  bytes = fread(weights, 1, bytes, file);
  fclose(file);
  second_destroy(b);
  EXPECT(second_create_from_memory(weights, bytes - 1, 1, &b) == SECOND_ERROR_WEIGHTS)
  EXPECT(second_create_from_memory(weights + 4, bytes, 1, &b) == SECOND_ERROR_ARGUMENT)
  EXPECT(second_create_from_memory(weights, bytes, 1, &b) == SECOND_OK)
  static float x[SECOND_INPUT_X_ELEMENTS], y[SECOND_OUTPUT_Y_ELEMENTS], f[SECOND_OUTPUT_F_ELEMENTS];
  const void* inputs[] = {x};
  void* outputs[] = {y, f};
  EXPECT(second_run(b, 0, inputs, outputs) == SECOND_OK)
  second_destroy(b);
  first_destroy(a);
  free(weights);
  printf("%s\\n", first_message(FIRST_ERROR_DIM));
  return 0;
}`);
    const { stderr } = await execute('cc', ['-std=c11', '-D_DEFAULT_SOURCE', '-Wall', '-Wextra', '-o', 'both', 'both.c', 'first/libfirst.a', 'second/libsecond.a', '-lm', '-lpthread'], { cwd: folder });
    expect(stderr).toBe('');
    expect((await execute('./both', [], { cwd: folder, env: {} })).stdout).toBe('a dim is outside its range, or no multiple of what it must be\n');
  }, 60_000);

  it('the header is valid C++, and states shapes', async () => {
    const folder = fresh();
    await emitC(convNet().bytes, { ...options, output: folder });
    const header = readFileSync(join(folder, 'model.h'), 'utf8');
    expect(header).toContain('/* x: f32 [1, 3, 20, 20] */\n#define MODEL_INPUT_X 0\n#define MODEL_INPUT_X_ELEMENTS 1200\n#define MODEL_INPUT_X_BYTES 4800');
    expect(header).toMatch(/^#ifdef __cplusplus\nextern "C" \{/m);
  });

  it('models that run elsewhere too are refused, as are names that C does not allow', async () => {
    const code = async (work: () => Promise<unknown>): Promise<unknown> => diagnosticOf(await work().then(() => null, (e: unknown) => e));
    const elsewhere = { ...options, output: fresh(), config: { plugins: [toy()], targets: ['toy', 'cpu-c'], partition: { strategy: 'greedy' as const } } };
    expect(await code(() => emitC(product().bytes, elsewhere))).toMatchObject({ code: 'cpu-c/not-standalone', message: expect.stringContaining('runs on toy') });
    for (const name of ['9', 'a-b', 'int', 'main', 'tenon_x']) expect(await code(() => emitC(denseNet().bytes, { ...options, output: fresh(), name })), name).toMatchObject({ code: 'cpu-c/standalone-name' });
  });
});
