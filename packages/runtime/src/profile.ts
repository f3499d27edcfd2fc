import { type ArtifactKernel, evaluateDim } from '@tenon/artifact';
import type { BoundCall, Device, DeviceLimits } from '@tenon/plugin';
import type { MemoryUse } from './prepared.ts';

/** One kernel of one run. Times in milliseconds since the run began. */
export interface KernelProfile {
  readonly kernel: string;
  readonly region: string;
  /** The loader that ran it. */
  readonly loader: string;
  readonly ops: readonly string[];
  /** Nodes of the model that it computes. */
  readonly locs: readonly string[];
  readonly begin: number;
  readonly milliseconds: number;
  readonly flops: number | null;
  /** Bytes read and written. */
  readonly bytes: number | null;
  readonly gflopsPerSecond: number | null;
  readonly gigabytesPerSecond: number | null;
}

export interface CallProfile {
  readonly region: string;
  readonly loader: string;
  readonly begin: number;
  readonly milliseconds: number;
  /** What the hardware would have taken, where the device is simulated. */
  readonly simulated: number | null;
  /** Without handing it to another thread of the host, where the loader tells; see `BoundCall.deviceTime`. */
  readonly device: number | null;
}

/** Milliseconds that a call or a transfer counts: of the hardware, without the runtime's own work, as far as it is known. */
export const countedMilliseconds = (event: { readonly milliseconds: number; readonly simulated: number | null; readonly device?: number | null }): number =>
  event.simulated ?? event.device ?? event.milliseconds;

/** A copy between devices, of arguments and results as well. */
export interface TransferProfile {
  readonly from: string;
  readonly to: string;
  readonly bytes: number;
  readonly begin: number;
  readonly milliseconds: number;
  /** What the hardware would have taken, where a device is simulated. */
  readonly simulated: number | null;
}

/** Where the time and memory of one run went. */
export interface RunProfile {
  readonly milliseconds: number;
  /**
   * All calls and transfers one after another, what is simulated at the time of the hardware: what the estimate of a
   * partition stands for. The runtime's own work is not in it, handing calls to other threads included.
   */
  readonly deviceMilliseconds: number;
  /** In launch order. Empty for regions whose loader does not measure kernels. */
  readonly kernels: readonly KernelProfile[];
  readonly calls: readonly CallProfile[];
  readonly transfers: readonly TransferProfile[];
  /** Memory of this run, constants aside. */
  readonly memory: readonly MemoryUse[];
  /** Bytes of constants by space. */
  readonly constants: { readonly [space: string]: number };
  /** For chrome://tracing and https://ui.perfetto.dev, with limits (`Model.limits`) where they are given. */
  chromeTrace(limits?: Limits): ChromeTrace;
}

/** What devices can do at best, by loader. */
export interface Limits {
  readonly [loader: string]: DeviceLimits;
}

/**
 * How near a kernel comes to the limit of its device, in percent: the larger of its operations over the peak rate and its bytes over
 * the bandwidth of memory, over the time that it took. Above 100 where bytes come from caches. null where it is not known.
 */
export function percentOfLimit(kernel: Pick<KernelProfile, 'loader' | 'flops' | 'bytes' | 'milliseconds'>, limits: Limits): number | null {
  const limit = limits[kernel.loader];
  if (limit === undefined || kernel.milliseconds <= 0 || (kernel.flops === null && kernel.bytes === null)) return null;
  const seconds = Math.max((kernel.flops ?? 0) / limit.flops, (kernel.bytes ?? 0) / limit.bandwidth);
  return (1e5 * seconds) / kernel.milliseconds;
}

/** The Trace Event Format: complete events, times in microseconds. */
export interface ChromeTrace {
  readonly displayTimeUnit: 'ms';
  readonly traceEvents: readonly {
    readonly name: string;
    readonly cat: string;
    readonly ph: 'X' | 'M';
    readonly ts: number;
    readonly dur?: number;
    readonly pid: number;
    readonly tid: number;
    readonly args: { readonly [name: string]: unknown };
  }[];
}

export interface ProfileRecorder {
  now(): number;
  /** The simulated clocks of devices at this moment; see `Device.simulatedTime`. */
  clock(...devices: readonly Device[]): SimulatedClock;
  call(region: string, loader: string, kernels: readonly ArtifactKernel[], dims: ReadonlyMap<string, number>, begin: number, clock: SimulatedClock, call: Pick<BoundCall, 'kernelTimes' | 'deviceTime'>): void;
  transfer(from: string, to: string, bytes: number, begin: number, clock: SimulatedClock): void;
  /** Forgets what was measured: the run begins anew. */
  restart(): void;
  finish(memory: readonly MemoryUse[], constants: ReadonlyMap<string, number>): RunProfile;
}
/** Milliseconds since the clock was taken; null where nothing is simulated. */
export type SimulatedClock = () => number | null;

/** Starts measuring a run. `now`: milliseconds, monotonic. */
export function createRecorder(now: () => number): ProfileRecorder {
  const start = now();
  const kernels: KernelProfile[] = [];
  const calls: CallProfile[] = [];
  const transfers: TransferProfile[] = [];
  const since = (begin: number): { begin: number; milliseconds: number } => ({ begin: begin - start, milliseconds: now() - begin });
  return {
    now,
    clock(...devices) {
      const clocks = [...new Set(devices)].flatMap((d) => (d.simulatedTime === undefined ? [] : [d.simulatedTime]));
      const before = clocks.map((clock) => clock());
      return () => (clocks.length === 0 ? null : clocks.reduce((sum, clock, i) => sum + clock() - before[i]!, 0) / 1e6);
    },
    restart() {
      for (const list of [kernels, calls, transfers]) list.length = 0;
    },
    call(region, loader, infos, dims, begin, clock, { kernelTimes, deviceTime }) {
      calls.push({ region, loader, ...since(begin), simulated: clock(), device: deviceTime === undefined ? null : deviceTime / 1e6 });
      kernelTimes?.forEach((time, i) => {
        const info = infos[i]?.name === time.kernel ? infos[i] : infos.find((candidate) => candidate.name === time.kernel);
        const nanoseconds = time.end - time.begin;
        const flops = info?.flops ? evaluateDim(info.flops, dims) : null;
        const bytes = info?.bytes ? evaluateDim(info.bytes, dims) : null;
        const rate = (amount: number | null): number | null => (amount === null || nanoseconds <= 0 ? null : amount / nanoseconds);
        kernels.push({
          kernel: time.kernel, region, loader, ops: info?.ops ?? [], locs: info?.locs ?? [],
          begin: begin - start + time.begin / 1e6, milliseconds: nanoseconds / 1e6,
          flops, bytes, gflopsPerSecond: rate(flops), gigabytesPerSecond: rate(bytes),
        });
      });
    },
    transfer(from, to, bytes, begin, clock) {
      transfers.push({ from, to, bytes, ...since(begin), simulated: clock() });
    },
    finish(memory, constants) {
      const milliseconds = now() - start;
      return {
        milliseconds, deviceMilliseconds: [...calls, ...transfers].reduce((sum, event) => sum + countedMilliseconds(event), 0), kernels, calls, transfers, memory: [...memory], constants: Object.fromEntries(constants),
        chromeTrace: (limits = {}) => chromeTrace(milliseconds, kernels, calls, transfers, limits),
      };
    },
  };
}

function chromeTrace(milliseconds: number, kernels: readonly KernelProfile[], calls: readonly CallProfile[], transfers: readonly TransferProfile[], limits: Limits): ChromeTrace {
  const threads = ['run', 'transfers', ...new Set(calls.map((call) => call.loader))];
  const tid = (name: string): number => threads.indexOf(name);
  const event = (name: string, cat: string, thread: string, span: { readonly begin: number; readonly milliseconds: number }, args: object) =>
    ({ name, cat, ph: 'X' as const, ts: span.begin * 1e3, dur: span.milliseconds * 1e3, pid: 1, tid: tid(thread), args: { ...args } });
  return {
    displayTimeUnit: 'ms',
    traceEvents: [
      { name: 'process_name', cat: '__metadata', ph: 'M' as const, ts: 0, pid: 1, tid: 0, args: { name: 'Tenon' } },
      ...threads.map((name) => ({ name: 'thread_name', cat: '__metadata', ph: 'M' as const, ts: 0, pid: 1, tid: tid(name), args: { name } })),
      event('run', 'run', 'run', { begin: 0, milliseconds }, {}),
      ...calls.map((call) => event(call.region, 'region', call.loader, call, {})),
      ...kernels.map((kernel) => event(kernel.kernel, 'kernel', kernel.loader, kernel, {
        ops: kernel.ops, locs: kernel.locs, flops: kernel.flops, bytes: kernel.bytes, gflopsPerSecond: kernel.gflopsPerSecond, gigabytesPerSecond: kernel.gigabytesPerSecond, percentOfLimit: percentOfLimit(kernel, limits),
      })),
      ...transfers.map((transfer) => event(`${transfer.from} → ${transfer.to}`, 'transfer', 'transfers', transfer, { bytes: transfer.bytes })),
    ],
  };
}
