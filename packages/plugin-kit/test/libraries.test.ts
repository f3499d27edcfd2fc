import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { runKit } from '../src/index.ts';

const base = fileURLToPath(new URL('../../../examples/row-library', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'tenon-kit-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A copy of the library with one thing changed, beside the packages that it is developed with. */
function changed(name: string, file: string, find: string, replace: string): string {
  const copy = join(folder, name);
  cpSync(base, copy, { recursive: true, filter: (path) => !/^(node_modules|dist)$/.test(basename(path)) });
  symlinkSync(join(base, 'node_modules'), join(copy, 'node_modules'), 'dir');
  const text = readFileSync(join(copy, file), 'utf8');
  expect(text.split(find)).toHaveLength(2);
  writeFileSync(join(copy, file), text.replace(find, () => replace));
  return copy;
}

it('a library is asked and run by its entries, linked into its target', async () => {
  const report = await runKit(base, { budget: 1 });
  expect(report.failures).toEqual([]);
  const tier = (name: string) => report.tiers.find((t) => t.tier === name)!;
  expect(tier('rules')).toMatchObject({ skipped: null });
  expect(tier('rules').checks).toBeGreaterThan(1000);
  // At least four cases of each of its three entries.
  expect(tier('numerics')).toMatchObject({ skipped: null });
  expect(tier('numerics').checks).toBeGreaterThanOrEqual(12);
}, 120_000);

it.each([
  ['swapped sizes', 'src/index.ts', 'scalars: [m!, k!, n], workspace', 'scalars: [k!, m!, n], workspace', 'numerics/wrong'],
  ['an unknown symbol', 'src/index.ts', "symbol: 'acme_matmul'", "symbol: 'acme_product'", 'rules/claimed-not-compiled'],
  ['C that does not compile', 'src/source.ts', 'double *row = workspace;', 'double *row = nothing;', 'rules/claimed-not-compiled'],
])('a library with %s is not right', async (name, file, find, replace, code) => {
  const report = await runKit(changed(name.replaceAll(' ', '-'), file, find, replace), { budget: 1, bail: true });
  expect(report.failures.map((f) => f.code)).toContain(code);
}, 120_000);

it('a library whose target is not there says so', async () => {
  const copy = changed('alone', 'package.json', '"@tenon/target-cpu-c"', '"tenon-target-nowhere"');
  const report = await runKit(copy, { budget: 1 });
  expect(report.notes.map((n) => n.code)).toContain('rules/library-target');
}, 120_000);
