/**
 * Whole models on the CPU, Tenon and onnxruntime in turn, warm, medians:
 *
 *     bench:cpu [--models NAME|PATH.onnx,…] [--threads 1,2] [--rounds N] [--json FILE]
 *
 * Models are names of `$TENON_DATA/models` or ONNX files with static inputs (default: the six of the folder). The
 * machine's limits are measured in the same run. A model's limit is the larger of its operations over the peak rate and
 * its weights over the memory's bandwidth.
 *
 * Threads of either may go on waiting for work at full speed for a while after a run, on the core that the other needs
 * next. Before each turn the process is left alone until that has ended; then some runs warm up and one is timed.
 */
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Absent, models } from '../models/models.ts';
import { compare } from './compare.ts';
import type { Limits } from './limits.ts';
import { begin, finish, measured, type Row } from './report.ts';

const { values } = parseArgs({
  options: { models: { type: 'string' }, threads: { type: 'string', default: '1,2' }, rounds: { type: 'string', default: '20' }, json: { type: 'string' } },
});
const threadCounts = values.threads.split(',').map(Number);
const rounds = Number(values.rounds);
const names = values.models?.split(',') ?? models.slice(0, 6).map((m) => m.name);

async function bench(name: string, limits: readonly Limits[]): Promise<Row[]> {
  const known = models.find((m) => m.name === name);
  if (known === undefined && !existsSync(name)) throw new Absent(`${name} is neither a file nor one of ${models.map((m) => m.name).join(', ')}`);
  return compare(name, known?.file() ?? name, known?.runs[0]!.inputs() ?? null, limits, rounds);
}

const limits = begin(threadCounts);
const rows: Row[] = [];
for (const name of names) {
  try {
    rows.push(...await bench(name, limits));
    measured(name);
  } catch (error) {
    if (!(error instanceof Absent)) throw error;
    console.log(`${name}: skipped: ${error.message}`);
  }
}
finish('model', rows, limits, values.json);
