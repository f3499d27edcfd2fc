/**
 * Plans of the partitioner on the toy accelerator and this machine's processor, measured:
 *
 *     bench:partition [--models NAME,…] [--rounds N] [--json FILE]
 *     bench:partition --save DIR
 *
 * `--save` measures nothing: it writes the models that are made for this as ONNX files, with a configuration for `tenon`.
 *
 * For every model the costs of its operators are measured first, then the plans by cost, greedy and all-host in turn;
 * the best of `--rounds` runs each (default 12). The accelerator's time is that of the hardware that it simulates, transfers included;
 * the processor's is real. A run is the sum of its calls and transfers. The estimate is that of the chosen plan, with the
 * measured costs. Fails where the chosen plan takes more than 1.03 times the better of the others, or the
 * estimate is off by more than 25 %.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Absent } from '../models/models.ts';
import { repository } from '../support/data.ts';
import { columns } from '../support/table.ts';
import { all, comparePlans, made, most, ratiosOf, type Comparison } from './plans.ts';

const { values } = parseArgs({ options: { models: { type: 'string' }, rounds: { type: 'string', default: '12' }, json: { type: 'string' }, save: { type: 'string' } } });
if (values.save !== undefined) {
  save(values.save);
  process.exit();
}
const wanted = values.models?.split(',');
const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'} at ${cpus()[0]?.speed ?? 0} MHz, Node ${process.version}`;
console.log(machine);

const comparisons: Comparison[] = [];
for (const model of all) {
  if (wanted !== undefined && !wanted.includes(model.name)) continue;
  try {
    comparisons.push(await comparePlans(model, Number(values.rounds)));
    console.log(`${model.name}: ${model.about}`);
  } catch (error) {
    if (!(error instanceof Absent)) throw error;
    console.log(`${model.name}: skipped: ${error.message}`);
  }
}
const us = (seconds: number): string => (seconds * 1e6).toFixed(0);
console.log(columns([
  ['model', 'chosen', 'toy regions', 'chosen µs', 'greedy µs', 'host µs', 'chosen / best other', 'estimate µs', 'estimate / chosen'],
  ...comparisons.map((c) => {
    const [cost, greedy, host] = c.plans;
    const { chosen, estimate } = ratiosOf(c);
    return [
      c.model.name, cost.report.chosen, String(cost.report.targets.find((t) => t.target === 'toy')?.regions ?? 0), us(cost.measured), us(greedy.measured), us(host.measured),
      chosen.toFixed(3), us(cost.estimated), estimate.toFixed(2),
    ];
  }),
]));
let failed = 0;
for (const c of comparisons) {
  const { chosen, estimate } = ratiosOf(c);
  if (chosen > most.chosen) console.log(`failed: ${c.model.name}: the chosen plan takes ${chosen.toFixed(3)} times the better of greedy and host`);
  if (Math.abs(estimate - 1) > most.estimate) console.log(`failed: ${c.model.name}: the estimate is ${estimate.toFixed(2)} times what was measured`);
  if (chosen > most.chosen || Math.abs(estimate - 1) > most.estimate) failed++;
}
console.log(`${comparisons.length - failed} passed, ${failed} failed`);
if (values.json !== undefined) {
  const rows = comparisons.map((c) => ({
    model: c.model.name, ...ratiosOf(c), plans: c.plans.map(({ strategy, report, estimated, measured }) => ({ strategy, kept: report.chosen, targets: report.targets, estimated, measured })), costs: c.costs,
  }));
  writeFileSync(values.json, `${JSON.stringify({ machine, rows }, null, 2)}\n`);
}
if (failed > 0) process.exitCode = 1;

function save(folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (const model of made) writeFileSync(join(folder, `${model.name.replaceAll(' ', '-')}.onnx`), model.file());
  const toy = (file: string): string => JSON.stringify(join(repository, 'examples/toy-accelerator/src', file));
  writeFileSync(join(folder, 'tenon.config.ts'), [
    `import toy from ${toy('index.ts')};`, `import loader from ${toy('loader.ts')};`, '',
    'export const loaders = [loader()];', "export default { plugins: [toy()], targets: ['toy', 'cpu-c'] };", '',
  ].join('\n'));
}
