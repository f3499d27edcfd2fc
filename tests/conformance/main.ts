/**
 * Runs ONNX's backend tests, or any folder of cases laid out like them:
 *
 *     conformance:onnx [--cases DIR] [--target T] [--filter RE] [--counted] [--json FILE] [--floor PERCENT] [--jobs N] [--batch N]
 *
 * DIR holds `index.json` and the cases' folders, or archives of such folders (default `$TENON_DATA/conformance`).
 * `--counted`: only the cases by which coverage is counted. `--floor`: fails below this percentage of passes, and where
 * any counted case is wrong or in error.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { resolve, join } from 'node:path';
import { parseArgs } from 'node:util';
import { absent, cacheFolder, dataFolder } from '../support/data.ts';
import { engines } from '../support/engines.ts';
import { caseFolders, counted, readCases } from './cases.ts';
import { runPool } from './pool.ts';
import { countsOf, percent, toJson, toText, type Result } from './report.ts';

const targets = Object.keys(engines);

function options() {
  try {
    const { values } = parseArgs({
      options: {
        cases: { type: 'string' }, target: { type: 'string', default: 'cpu-c' }, filter: { type: 'string' }, counted: { type: 'boolean', default: false },
        json: { type: 'string' }, floor: { type: 'string' }, jobs: { type: 'string', default: '2' }, batch: { type: 'string' },
      },
    });
    if (!targets.includes(values.target)) throw new Error(`--target ${values.target}: there are ${targets.join(' and ')}`);
    const number = (name: string, text: string, min: number): number => {
      const n = Number(text);
      if (!(n >= min)) throw new Error(`--${name} ${text}: expected a number of at least ${min}`);
      return n;
    };
    return {
      ...values,
      filter: values.filter === undefined ? null : new RegExp(values.filter),
      floor: values.floor === undefined ? null : number('floor', values.floor, 0),
      jobs: number('jobs', values.jobs, 1),
      batch: number('batch', values.batch ?? (values.target === 'interp' ? '1' : '16'), 1),
    };
  } catch (error) {
    console.error(`conformance:onnx: ${(error as Error).message}`);
    return null;
  }
}

async function main(): Promise<void> {
  const o = options();
  if (o === null) {
    process.exitCode = 2;
    return;
  }
  const folder = o.cases === undefined ? dataFolder('conformance') : resolve(o.cases);
  if (folder === null) return absent('there is no folder conformance in $TENON_DATA (default: ../shared)');
  if (!existsSync(folder)) {
    console.error(`conformance:onnx: there is no folder ${folder}`);
    process.exitCode = 2;
    return;
  }
  const cases = readCases(caseFolders(folder, join(cacheFolder, 'conformance')))
    .filter((c) => (!o.counted || counted(c)) && (o.filter?.test(`${c.kind}/${c.case}`) ?? true));
  if (cases.length === 0) {
    console.error(`conformance:onnx: no case in ${folder} was selected`);
    process.exitCode = 2;
    return;
  }

  const results = new Map<string, Result>();
  const begin = performance.now();
  await runPool(cases, {
    target: o.target, processes: o.jobs, batch: o.batch,
    onOutcome(c, outcome) {
      results.set(c.folder, { case: c, outcome });
      if (process.stderr.isTTY) process.stderr.write(`\r${results.size} of ${cases.length} `);
    },
  });
  if (process.stderr.isTTY) process.stderr.write('\r');
  const ordered = cases.map((c) => results.get(c.folder)!);
  console.log(toText(ordered));
  if (o.json !== undefined) writeFileSync(o.json, `${JSON.stringify(toJson(ordered), null, 1)}\n`);

  const { counted: n, all } = countsOf(ordered);
  console.log(`${all.pass} passed, ${all.wrong + all.error} failed, ${all.unsupported} skipped (${((performance.now() - begin) / 1000).toFixed(0)} s on ${o.target})`);
  if (o.floor !== null && (Number(percent(n)) < o.floor || n.wrong + n.error > 0)) {
    console.log(`below the floor: ${percent(n)} % of the counted cases pass (floor ${o.floor} %), ${n.wrong} wrong, ${n.error} in error`);
    process.exitCode = 1;
  }
}

await main();
