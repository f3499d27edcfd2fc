import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { info, model, node, raw } from '../packages/frontend-onnx/test/onnx-writer.ts';
import { repository } from './support/data.ts';
import { explain, tenon, type Explained } from './support/explained.ts';

const folder = mkdtempSync(join(tmpdir(), 'tenon-explain-schedule-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);

const weights = (name: string, shape: readonly number[]): ReturnType<typeof raw> =>
  raw(name, 'f32', shape, Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => ((i % 13) - 6) / 64));

/** Two convolutions with an activation each, and a dense layer on the mean of what comes out. */
beforeAll(() => {
  writeFileSync(at('m.onnx'), model({
    inputs: [info('x', 'f32', [1, 3, 16, 16])], outputs: [info('y', 'f32', [1, 10])],
    initializers: [weights('w1', [16, 3, 3, 3]), weights('w2', [32, 16, 3, 3]), weights('w3', [32, 10])],
    nodes: [
      node('Conv', ['x', 'w1'], ['a'], { name: 'one/Conv' }), node('Relu', ['a'], ['b'], { name: 'one/Relu' }),
      node('Conv', ['b', 'w2'], ['c'], { name: 'two/Conv' }), node('Relu', ['c'], ['d'], { name: 'two/Relu' }),
      node('GlobalAveragePool', ['d'], ['e'], { name: 'pool' }), node('Flatten', ['e'], ['f'], { name: 'flat' }),
      node('MatMul', ['f', 'w3'], ['g'], { name: 'dense' }), node('Softmax', ['g'], ['y'], { name: 'softmax' }),
    ],
  }));
  writeFileSync(at('tenon.config.ts'), `import rows from ${JSON.stringify(join(repository, 'examples/row-library/src/index.ts'))};
export default { plugins: [rows()] };
`);
});

const byOp = (explained: Explained, loc: string): NonNullable<Explained['schedules']>[number] => explained.schedules!.find((s) => s.locs.includes(loc))!;

it('explain says which rule took each kernel, and why the others did not', async () => {
  const explained = await explain(at('m.onnx'), '--no-config');
  const convolution = byOp(explained, 'two/Conv');
  expect(convolution).toMatchObject({ target: 'cpu-c', ops: ['nn.conv', 'nn.relu'], locs: ['two/Conv', 'two/Relu'], libraries: [] });
  // By the one algorithm or the other, as this machine is thought to be.
  if (convolution.rule === 'cpu-c/winograd') expect(convolution.choices.map((c) => c.name)).toEqual(['tile', 'block']);
  else expect(convolution.rejected).toContainEqual(expect.objectContaining({ rule: 'cpu-c/winograd', code: 'schedule/winograd-cost' }));
  const dense = byOp(explained, 'dense');
  expect(dense.rule).toBe('cpu-c/contraction');
  expect(dense.choices.map((c) => c.name)).toEqual(expect.arrayContaining(['rows', 'columns']));
  expect(dense.rejected).toContainEqual(expect.objectContaining({ rule: 'cpu-c/winograd', code: 'kernel/axes' }));
  expect(dense.rejected).toContainEqual({ rule: 'cpu-c/rows', code: 'schedule/less-specific', message: expect.stringMatching(/^its specificity is \d+, that of cpu-c\/contraction \d+$/), hint: null });
  const softmax = byOp(explained, 'softmax');
  expect(softmax.rule).toBe('cpu-c/rows');
  expect(softmax.rejected).toContainEqual(expect.objectContaining({ rule: 'cpu-c/contraction', code: 'kernel/reductions' }));
  // Every kernel that is launched came of one that a record tells of.
  const launched = new Set(explained.schedules!.flatMap((s) => s.launches));
  for (const kernel of explained.operators.flatMap((o) => o.kernels)) expect(launched).toContain(kernel);
  // The first convolution writes channels innermost, as the second reads them.
  expect(explained.layouts).toContainEqual(expect.objectContaining({ loc: 'one/Relu', order: [0, 2, 3, 1], type: 'f32[1, 14, 14, 16]' }));
});

it('explain --schedule prints it, of a model and of its artifact alike', async () => {
  const text = await tenon('explain', at('m.onnx'), '--no-config', '--schedule');
  expect(text).toMatch(/^schedules\ncpu-c: \d+ kernels, \d+ by cpu-c\/contraction, /m);
  expect(text).toMatch(/^conv_relu\S* by cpu-c\/contraction: rows = \d+, columns = \d+.*\n {4}nn\.conv nn\.relu\n {4}one\/Conv, one\/Relu\n {4}not cpu-c\/winograd: channels are not innermost \[schedule\/winograd\]\n {4}not cpu-c\/strassen: it sums over several axes \[schedule\/strassen\]\n {4}not cpu-c\/rows: .* \[schedule\/less-specific\]/m);
  expect(text).toMatch(/^otherwise in memory than in the model\nvalue +in the model +axes +as it lies in memory +inside of +region\n%\S+ +one\/Relu +0 2 3 1 +f32\[1, 14, 14, 16\] +region_0_cpu_c$/m);
  await tenon('compile', at('m.onnx'), '-o', at('m.tenon'), '--no-config');
  const artifact = await tenon('explain', at('m.tenon'), '--schedule');
  const from = (all: string): string => all.slice(all.indexOf('schedules\n'));
  expect(from(artifact)).toBe(from(text));
  const [ours, theirs] = [await explain(at('m.onnx'), '--no-config'), await explain(at('m.tenon'))];
  expect([theirs.schedules, theirs.layouts]).toEqual([ours.schedules, ours.layouts]);
});

it('explain --schedule tells of libraries: what they compute, and why not the rest', async () => {
  const explained = await explain(at('m.onnx'), '--config', at('tenon.config.ts'));
  const called = explained.operators.filter((o) => o.library !== undefined);
  expect(called.length).toBeGreaterThan(0);
  const convolution = byOp(explained, 'two/Conv');
  expect(convolution.libraries).toContainEqual(expect.objectContaining({ op: 'nn.relu', entry: 'acme-rows', code: 'dispatch/no-entry' }));
  const text = await tenon('explain', at('m.onnx'), '--config', at('tenon.config.ts'), '--schedule');
  expect(text).toMatch(/^ {4}not acme-rows for nn\.relu: .* \[dispatch\/no-entry\]/m);
  expect(text).toMatch(new RegExp(`^computed by libraries\\n.*\\n${called[0]!.op} .* ${called[0]!.library}$`, 'm'));
});

it('without code there are no schedules', async () => {
  expect((await explain(at('m.onnx'), '--no-config', '--no-codegen')).schedules).toBeNull();
  const failure = await tenon('explain', at('m.onnx'), '--schedule', '--no-codegen').then(() => null, (error: { readonly code: number; readonly stderr: string }) => error);
  expect(failure?.stderr).toMatch(/usage\/arguments.*--schedule and --no-codegen contradict each other/);
});
