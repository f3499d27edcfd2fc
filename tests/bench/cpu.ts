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
import { existsSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import type { HostTensor } from '@tenon/plugin';
import { outputAgreement } from '../support/compare.ts';
import { compileFile, host, loadArtifact } from '../support/engines.ts';
import { generator, randomTensor } from '../support/random.ts';
import { columns } from '../support/table.ts';
import { Absent, models, type Inputs } from '../models/models.ts';
import { Peer } from '../models/peer.ts';
import { measureLimits, type Limits } from './limits.ts';

interface Row {
  readonly name: string;
  readonly threads: number;
  readonly ms: number;
  readonly peerMs: number;
  readonly ratio: number;
  readonly gflops: number;
  readonly percentOfLimit: number;
  readonly maxError: number;
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;

const { values } = parseArgs({
  options: { models: { type: 'string' }, threads: { type: 'string', default: '1,2' }, rounds: { type: 'string', default: '20' }, json: { type: 'string' } },
});
const threadCounts = values.threads.split(',').map(Number);
const rounds = Number(values.rounds);
const names = values.models?.split(',') ?? models.slice(0, 6).map((m) => m.name);

/** Runs that warm up take at least so long: clocks and caches need it. */
const warmMilliseconds = 30;

/** Milliseconds of one run, warm, after everything else of this process has come to rest. */
async function turn(run: () => Promise<unknown>): Promise<number> {
  await rest();
  for (const started = performance.now(); performance.now() - started < warmMilliseconds; ) await run();
  const begin = performance.now();
  await run();
  return performance.now() - begin;
}

/** Waits until this process hardly uses the processor any more, half a second at most. */
async function rest(): Promise<void> {
  for (let i = 0; i < 100; i++) {
    const before = process.cpuUsage();
    await new Promise((resolve) => setTimeout(resolve, 5));
    const { user, system } = process.cpuUsage(before);
    if (user + system < 1000) return;
  }
}

async function bench(name: string, limits: readonly Limits[]): Promise<Row[]> {
  const known = models.find((m) => m.name === name);
  if (known === undefined && !existsSync(name)) throw new Absent(`${name} is neither a file nor one of ${models.map((m) => m.name).join(', ')}`);
  const file = known?.file() ?? name;
  const compilation = await compileFile(await host.open(file));
  const artifact = await compilation.toBytes();
  const weights = compilation.manifest.constants.reduce((sum, c) => sum + c.bytes, 0);
  compilation.dispose();
  const rows: Row[] = [];
  for (const limit of limits) {
    const tenon = await loadArtifact(artifact, limit.threads);
    const inputs: Inputs = known?.runs[0]!.inputs() ?? randomInputs(tenon.model.inputs);
    const peer = await Peer.load(file, limit.threads);
    const feeds = peer.feeds(inputs);
    const ordered = tenon.inputs.map((input) => inputs[input]!);
    const want = await peer.run(feeds);
    const got = await tenon.run(ordered);
    const maxError = Math.max(...tenon.outputs.map((output, i) => outputAgreement(got[i]!, want[output]!).error));
    const times: number[] = [];
    const peerTimes: number[] = [];
    for (let i = -2; i < rounds; i++) {
      const ours = await turn(() => tenon.run(ordered));
      const theirs = await turn(() => peer.run(feeds));
      if (i < 0) continue;
      times.push(ours);
      peerTimes.push(theirs);
    }
    const ms = median(times);
    const peerMs = median(peerTimes);
    const { profile } = await tenon.model.run(inputs, { profile: true });
    const flops = profile.kernels.reduce((sum, k) => sum + (k.flops ?? 0), 0);
    const best = Math.max(flops / (limit.gflops * 1e9), weights / (limit.gbytes * 1e9)) * 1e3;
    rows.push({ name, threads: limit.threads, ms, peerMs, ratio: peerMs / ms, gflops: flops / ms / 1e6, percentOfLimit: (100 * best) / ms, maxError });
    tenon.dispose();
    await peer.release();
  }
  return rows;
}

/** Floats uniform in [−1, 1), integers in {0, 1}. */
function randomInputs(shapes: readonly { readonly name: string; readonly dtype: string; readonly shape: readonly (number | string)[] }[]): Inputs {
  const random = generator(1);
  return Object.fromEntries(shapes.map(({ name, dtype, shape }): [string, HostTensor] => {
    const open = shape.find((d) => typeof d !== 'number');
    if (open !== undefined) throw new Absent(`the input ${name} has the open size ${open}: give a model with static inputs`);
    return [name, randomTensor(random, dtype, shape as readonly number[], dtype.startsWith('f') ? [-1, 1] : [0, 1])];
  }));
}

const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'} at ${cpus()[0]?.speed ?? 0} MHz, Node ${process.version}`;
console.log(machine);
const limits = measureLimits(threadCounts);
for (const l of limits) console.log(`limit, ${l.threads} thread${l.threads === 1 ? '' : 's'}: ${l.gflops.toFixed(0)} GFLOP/s, ${l.gbytes.toFixed(1)} GB/s (best of 10)`);
const rows: Row[] = [];
for (const name of names) {
  try {
    rows.push(...await bench(name, limits));
    console.log(`${name} measured`);
  } catch (error) {
    if (!(error instanceof Absent)) throw error;
    console.log(`${name}: skipped: ${error.message}`);
  }
}
const geomean = Object.fromEntries(threadCounts.map((t) => {
  const mine = rows.filter((r) => r.threads === t);
  return [String(t), mine.length === 0 ? 0 : Math.exp(mine.reduce((sum, r) => sum + Math.log(r.ratio), 0) / mine.length)];
}));
console.log(columns([
  ['model', 'threads', 'Tenon ms', 'onnxruntime ms', 'ratio', 'GFLOP/s', '% of limit', 'error'],
  ...rows.map((r) => [r.name, String(r.threads), r.ms.toFixed(2), r.peerMs.toFixed(2), r.ratio.toFixed(2), r.gflops.toFixed(0), r.percentOfLimit.toFixed(0), r.maxError.toExponential(1)]),
]));
for (const [threads, mean] of Object.entries(geomean)) console.log(`geometric mean, ${threads} thread${threads === '1' ? '' : 's'}: ${mean.toFixed(2)}`);
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ machine, limits, rows, geomean }, null, 2)}\n`);
