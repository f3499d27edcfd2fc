/**
 * Runs the kit on correct plugins, which must pass, and on mutations of them, which must not:
 *
 *     npm run test:kit [-- NAME]       all, or those whose names contain a word
 *     npm run test:kit -- --third      every third mutation, with less time for generated cases: what CI runs
 *
 * Its last line is `N passed, N failed`: correct plugins, and one for the mutations. It fails where a correct plugin fails or
 * takes more than a minute, or where fewer than nine mutations in ten are found.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runKit, type KitOptions } from '../src/index.ts';

interface Mutation {
  /** The defect. */
  readonly name: string;
  /** A plugin of `bases`. */
  readonly base: string;
  readonly edits: readonly { readonly file: string; readonly find: string; readonly replace: string }[];
}

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const bases: { readonly [name: string]: string } = {
  toy: here('../../../examples/toy-accelerator'),
  wave: here('./plugins/wave'),
  rows: here('./plugins/rows'),
};
const third = process.argv[2] === '--third';
const wanted = third ? undefined : process.argv[2];
const all = JSON.parse(readFileSync(here('./mutations.json'), 'utf8')) as readonly Mutation[];
// Those of one plugin stand together, by what they are about: so a third of every subject.
const mutations = third ? all.filter((_, i) => i % 3 === 1) : all.filter((m) => wanted === undefined || m.name.includes(wanted));
/** Of a mutation, for the kit. What it finds, it finds early mostly. */
const options: KitOptions = { bail: true, ...(third ? { budget: 4, patience: 8 } : {}) };

/** A copy of a plugin's folder with the edits of a mutation. */
function apply({ name, base, edits }: Mutation, folder: string): string {
  const copy = join(folder, `${base}-${mutations.findIndex((m) => m.name === name)}`);
  cpSync(bases[base]!, copy, { recursive: true, filter: (path) => !/^(node_modules|dist|test)$/.test(basename(path)) });
  for (const { file, find, replace } of edits) {
    const path = join(copy, file);
    const text = readFileSync(path, 'utf8');
    if (text.split(find).length !== 2) throw new Error(`mutation ‘${name}’: ${file} should have once: ${find}`);
    writeFileSync(path, text.replace(find, () => replace));
  }
  return copy;
}

const folder = mkdtempSync(join(tmpdir(), 'tenon-mutations-'));
let [passed, failed, found] = [0, 0, 0];
const began = performance.now();

async function checkCorrect(name: string, path: string): Promise<void> {
  const report = await runKit(path);
  const seconds = report.milliseconds / 1000;
  const ok = report.ok && seconds <= 60;
  if (ok) passed++;
  else failed++;
  console.log(`${ok ? 'passes' : 'FAILS '}  ${name}: ${report.tiers.reduce((n, t) => n + t.checks, 0)} checks in ${seconds.toFixed(1)} s`);
  for (const f of report.failures) console.log(`        [${f.code}] ${f.message}`);
}

async function checkMutation(mutation: Mutation): Promise<void> {
  const report = await runKit(apply(mutation, folder), options);
  const [first] = report.failures;
  if (!report.ok) found++;
  console.log(`${report.ok ? 'MISSED' : 'found '}  ${mutation.base}: ${mutation.name} (${(report.milliseconds / 1000).toFixed(1)} s)${first === undefined ? '' : ` [${first.code}] ${first.message.split('\n')[0]!.slice(0, 160)}`}`);
}

try {
  const queue = [
    ...(wanted === undefined ? Object.entries(bases).map(([name, path]) => () => checkCorrect(name, path)) : []),
    ...mutations.map((mutation) => () => checkMutation(mutation)),
  ];
  const work = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await next();
  };
  await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, work));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
const enough = found >= Math.ceil(mutations.length * 0.9);
if (enough) passed++;
else failed++;
console.log(`\n${found} of ${mutations.length} mutations found in ${((performance.now() - began) / 1000).toFixed(0)} s`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
