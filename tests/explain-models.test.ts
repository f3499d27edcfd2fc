/**
 * `explain` accounts for every operator of the models under test, placed by cost on the toy accelerator and the host. Of the
 * benchmark models only the structure counts here: their weights are zeros that take no room. `test:models` explains
 * them with weights, on the host alone.
 */
import { closeSync, copyFileSync, existsSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { Absent, models, type TestModel } from './models/models.ts';
import { dataFolder, repository } from './support/data.ts';
import { explain, unexplained } from './support/explained.ts';

const folder = mkdtempSync(join(tmpdir(), 'tenon-explain-models-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const config = join(folder, 'tenon.config.ts');
writeFileSync(config, `import toy from ${JSON.stringify(join(repository, 'examples/toy-accelerator/src/index.ts'))};
export default { plugins: [toy()], targets: ['toy', 'cpu-c'] };
`);

/** The graph of a benchmark model, with weights of zeros; null where it is no benchmark model, or not here. */
function structureOf(name: string): string | null {
  const source = join(dataFolder('models') ?? folder, name);
  if (!existsSync(join(source, 'recipe.json'))) return null;
  const made = join(folder, name);
  mkdirSync(made);
  copyFileSync(join(source, 'model.onnx'), join(made, 'model.onnx'));
  const { bytes } = JSON.parse(readFileSync(join(source, 'recipe.json'), 'utf8')) as { readonly bytes: number };
  const file = openSync(join(made, 'weights.bin'), 'w');
  ftruncateSync(file, bytes);
  closeSync(file);
  return join(made, 'model.onnx');
}

/** A model's file; null where it cannot be had here, which is a failure where CI is set. */
function fileOf(model: TestModel): string | null {
  try {
    return structureOf(model.name) ?? model.file();
  } catch (error) {
    if (!(error instanceof Absent) || process.env['CI']) throw error;
    return null;
  }
}

it.for(models.map((m) => [m.name, m] as const))('explain accounts for every operator of %s', { timeout: 60_000 }, async ([name, model], { skip }) => {
  const file = fileOf(model) ?? skip(`${name} is not here`);
  const explained = await explain(file, '--config', config, '--no-codegen', '--no-cache');
  expect(await unexplained(file, explained)).toBeNull();
  expect(explained.operators.length).toBeGreaterThan(50);
  expect(explained.targets.reduce((sum, t) => sum + (t.flopsShare ?? 0), 0)).toBeCloseTo(1, 9);
  for (const { op, loc, target, estimate, rejected } of explained.operators) {
    expect(estimate?.seconds, `${op} (${loc})`).toBeGreaterThanOrEqual(0);
    // Every target that does not run it says why.
    expect([target, ...rejected.map((r) => r.target)], `${op} (${loc})`).toContain('toy');
    expect(rejected.every((r) => r.code !== '' && r.message !== ''), `${op} (${loc})`).toBe(true);
  }
});
