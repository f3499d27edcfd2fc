import { percentOfLimit, type KernelProfile, type Limits, type RunProfile } from 'tenon';
import { formatBytes, formatTime } from './terminal/numbers.ts';
import type { Style } from './terminal/style.ts';
import { formatTable, wrap } from './terminal/table.ts';

/** The kernels that took longest, how near each comes to the limit of its device, and what all of them took. */
export function kernelTable(profile: RunProfile, limits: Limits, style: Style, count: number): string {
  const kernels = slowest(profile, count);
  const total = profile.kernels.reduce((sum, k) => sum + k.milliseconds, 0);
  const share = (k: KernelProfile): string => `${((100 * k.milliseconds) / (total || 1)).toFixed(1)} %`;
  const rate = (value: number | null): string => (value === null || value === 0 ? '–' : value.toFixed(1));
  const memory = profile.memory.reduce((sum, use) => sum + use.bytes, 0);
  const notes = [
    ...limitNotes(limits),
    `${kernels.length} of ${profile.kernels.length} kernels; all kernels ${formatTime(total)}, the run ${formatTime(profile.milliseconds)}, memory ${formatBytes(memory)} and constants`,
  ];
  return [
    formatTable(
      [
        { title: 'kernel', shrink: 12 }, { title: 'time', right: true }, { title: 'share', right: true, drop: 2 }, { title: 'of limit', right: true }, { title: 'GFLOP/s', right: true, drop: 3 },
        { title: 'GB/s', right: true, drop: 4 }, { title: 'operators', shrink: 8, drop: 5 }, { title: 'in the model', shrink: 8, drop: 1 },
      ],
      kernels.map((k) => [k.kernel, formatTime(k.milliseconds), share(k), percent(percentOfLimit(k, limits)), rate(k.gflopsPerSecond), rate(k.gigabytesPerSecond), k.ops.join(' '), k.locs.join(' ')]),
      style,
    ),
    ...notes.flatMap((note) => wrap(note, style.width)).map((line) => style.paint('dim', line)),
  ].join('\n');
}

const percent = (value: number | null): string => (value === null ? '–' : `${value.toFixed(value < 9.95 ? 1 : 0)} %`);

function limitNotes(limits: Limits): string[] {
  const told = Object.entries(limits).map(([loader, l]) => `limit of ${loader}, ${l.source}: ${(l.flops / 1e9).toFixed(0)} GFLOP/s, ${(l.bandwidth / 1e9).toFixed(1)} GB/s from memory`);
  return told.length === 0 ? [] : [...told, 'above 100 %: from caches, or with fewer operations than the model has'];
}

export function slowest(profile: RunProfile, count: number): readonly KernelProfile[] {
  return profile.kernels.toSorted((a, b) => b.milliseconds - a.milliseconds).slice(0, count);
}

export function profileJson(profile: RunProfile, limits: Limits): object {
  const { milliseconds, kernels, calls, transfers, memory, constants } = profile;
  return { milliseconds, limits, kernels: kernels.map((k) => ({ ...k, percentOfLimit: percentOfLimit(k, limits) })), calls, transfers, memory, constants };
}
