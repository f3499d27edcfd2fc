import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { columns } from '../support/table.ts';
import { handover } from './handover.ts';
import { measureLimits, type Limits } from './limits.ts';

/** One comparison with onnxruntime. Times are medians, of one run. */
export interface Row {
  readonly name: string;
  readonly threads: number;
  readonly ms: number;
  readonly peerMs: number;
  readonly ratio: number;
  readonly gflops: number;
  /** What takes longest at least, operations at the peak rate or weights at the memory's bandwidth, over the time that it took. */
  readonly percentOfLimit: number;
  /** `max|got − want| / max|want|` over outputs, the largest. */
  readonly maxError: number;
}

/** The row of what takes so many operations and reads so many bytes of weights. */
export function row(name: string, limit: Limits, times: { readonly ms: number; readonly peerMs: number }, work: { readonly flops: number; readonly bytes: number }, maxError: number): Row {
  const { ms, peerMs } = times;
  const best = Math.max(work.flops / (limit.gflops * 1e9), work.bytes / (limit.gbytes * 1e9)) * 1e3;
  return { name, threads: limit.threads, ms, peerMs, ratio: peerMs / ms, gflops: work.flops / ms / 1e6, percentOfLimit: (100 * best) / ms, maxError };
}

const machine = (): string => `${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'} at ${cpus()[0]?.speed ?? 0} MHz, Node ${process.version}`;
const plural = (threads: number): string => `${threads} thread${threads === 1 ? '' : 's'}`;

/** Prints the machine and measures its limits. */
export function begin(threads: readonly number[]): readonly Limits[] {
  console.log(machine());
  const limits = measureLimits(threads);
  for (const l of limits) console.log(`limit, ${plural(l.threads)}: ${l.gflops.toFixed(0)} GFLOP/s, ${l.gbytes.toFixed(1)} GB/s (best of 10)`);
  return limits;
}

/** Says that a row is there, and what two cores took to hand something over just now. */
export function measured(name: string): void {
  const between = handover();
  console.log(`${name} measured${between === null ? '' : `; from one core to another and back: ${between} ns`}`);
}

/** Prints all rows and geometric means; writes them to `json`. */
export function finish(what: string, rows: readonly Row[], limits: readonly Limits[], json: string | undefined): void {
  const geomean = Object.fromEntries(limits.map(({ threads }) => {
    const mine = rows.filter((r) => r.threads === threads);
    return [String(threads), mine.length === 0 ? 0 : Math.exp(mine.reduce((sum, r) => sum + Math.log(r.ratio), 0) / mine.length)];
  }));
  console.log(columns([
    [what, 'threads', 'Tenon ms', 'onnxruntime ms', 'ratio', 'GFLOP/s', '% of limit', 'error'],
    ...rows.map((r) => [r.name, String(r.threads), r.ms.toFixed(2), r.peerMs.toFixed(2), r.ratio.toFixed(2), r.gflops.toFixed(0), r.percentOfLimit.toFixed(0), r.maxError.toExponential(1)]),
  ]));
  for (const [threads, mean] of Object.entries(geomean)) console.log(`geometric mean, ${plural(Number(threads))}: ${mean.toFixed(2)}`);
  if (json !== undefined) writeFileSync(json, `${JSON.stringify({ machine: machine(), limits, rows, geomean }, null, 2)}\n`);
}
