/**
 * Compares whole models with onnxruntime in the same process:
 *
 *     test:models [--filter RE] [--runs N]
 *
 * Per output `max|got − want| / max|want|` is at most 1e-4; integers and booleans are equal; NaN and infinities lie in the
 * same places; all is zero where it should be. Every module of every phase prints and parses back equal. `--runs`: timed
 * runs, of which the median is shown (default 3).
 */
import { parseArgs } from 'node:util';
import { diagnosticOf } from '@tenon/plugin';
import { outputAgreement } from '../support/compare.ts';
import { compileFile, host, load } from '../support/engines.ts';
import { explain, unexplained } from '../support/explained.ts';
import { roundTripProblem } from '../support/round-trip.ts';
import { columns } from '../support/table.ts';
import { Absent, models, type TestModel } from './models.ts';
import { Peer } from './peer.ts';

const tolerance = 1e-4;

interface Tested {
  readonly rows: readonly (readonly string[])[];
  readonly problems: readonly string[];
}

async function median(runs: number, once: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < runs; i++) {
    const begin = performance.now();
    await once();
    times.push(performance.now() - begin);
  }
  return times.sort((a, b) => a - b)[Math.floor(runs / 2)]!;
}

async function test(model: TestModel, runs: number): Promise<Tested> {
  const file = model.file();
  const problems: string[] = [];
  let phases = 0;
  const begin = performance.now();
  const compilation = await compileFile(await host.open(file), {
    onPhase(phase, target, module) {
      phases++;
      const problem = roundTripProblem(module);
      if (problem !== null) problems.push(`text after ${phase}${target === null ? '' : ` of ${target}`}: ${problem}`);
    },
  });
  const silence = await unexplained(file, await explain(file, '--no-codegen'));
  if (silence !== null) problems.push(`explain: ${silence}`);
  const tenon = await load(compilation);
  console.log(`${model.name}: compiled in ${((performance.now() - begin) / 1000).toFixed(1)} s, with ${phases} modules printed and parsed back`);
  const peer = await Peer.load(file);
  const rows: string[][] = [];
  try {
    for (const { label, inputs } of model.runs) {
      const tensors = inputs();
      const feeds = peer.feeds(tensors);
      const ordered = tenon.inputs.map((name) => tensors[name]!);
      const want = await peer.run(feeds);
      const got = await tenon.run(ordered);
      const tenonMs = await median(runs, () => tenon.run(ordered));
      const peerMs = await median(runs, () => peer.run(feeds));
      tenon.outputs.forEach((name, i) => {
        const { error, problem } = outputAgreement(got[i]!, want[name]!);
        rows.push([model.name, label, name, error.toExponential(1), tenonMs.toFixed(1), peerMs.toFixed(1)]);
        if (problem !== null || !(error <= tolerance)) problems.push(`${label} output ${name}: ${problem ?? `the error ${error.toExponential(2)} is above ${tolerance}`}`);
      });
    }
  } finally {
    tenon.dispose();
    await peer.release();
  }
  return { rows, problems };
}

const { values } = parseArgs({ options: { filter: { type: 'string' }, runs: { type: 'string', default: '3' } } });
const filter = values.filter === undefined ? null : new RegExp(values.filter);
const rows: (readonly string[])[] = [];
const failures: string[] = [];
let passed = 0;
let failed = 0;
let skipped = 0;
for (const model of models) {
  if (filter !== null && !filter.test(model.name)) continue;
  try {
    const tested = await test(model, Math.max(1, Number(values.runs)));
    rows.push(...tested.rows);
    if (tested.problems.length === 0) passed++;
    else {
      failed++;
      failures.push(...tested.problems.map((p) => `${model.name}: ${p}`));
    }
  } catch (error) {
    if (error instanceof Absent) {
      console.log(`${model.name}: skipped: ${error.message}`);
      if (process.env['CI']) {
        failed++;
        failures.push(`${model.name}: its data is absent, and CI is set`);
      } else skipped++;
    } else {
      failed++;
      const d = diagnosticOf(error);
      failures.push(`${model.name}: ${d === null ? (error as Error).stack : `${d.message} [${d.code}]${d.hint === null ? '' : `\n  ${d.hint}`}`}`);
    }
  }
}
if (rows.length > 0) console.log(columns([['model', 'input', 'output', 'max error', 'Tenon ms', 'onnxruntime ms'], ...rows]));
for (const failure of failures) console.log(`failed: ${failure}`);
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
if (failed > 0) process.exitCode = 1;
