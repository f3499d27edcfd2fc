import type { KernelProfile, RunProfile } from 'tenon';
import { formatBytes, formatTime } from './terminal/numbers.ts';
import type { Style } from './terminal/style.ts';
import { formatTable } from './terminal/table.ts';

/** The kernels that took longest, and what all of them took. */
export function kernelTable(profile: RunProfile, style: Style, count: number): string {
  const kernels = slowest(profile, count);
  const total = profile.kernels.reduce((sum, k) => sum + k.milliseconds, 0);
  const share = (k: KernelProfile): string => `${((100 * k.milliseconds) / (total || 1)).toFixed(1)} %`;
  const rate = (value: number | null): string => (value === null || value === 0 ? '–' : value.toFixed(1));
  const memory = profile.memory.reduce((sum, use) => sum + use.bytes, 0);
  return [
    formatTable(
      [{ title: 'kernel', shrink: 12 }, { title: 'time', right: true }, { title: 'share', right: true }, { title: 'GFLOP/s', right: true }, { title: 'GB/s', right: true }, { title: 'operators', shrink: 8 }, { title: 'in the model', shrink: 8 }],
      kernels.map((k) => [k.kernel, formatTime(k.milliseconds), share(k), rate(k.gflopsPerSecond), rate(k.gigabytesPerSecond), k.ops.join(' '), k.locs.join(' ')]),
      style,
    ),
    style.paint('dim', `${kernels.length} of ${profile.kernels.length} kernels; all kernels ${formatTime(total)}, the run ${formatTime(profile.milliseconds)}, memory ${formatBytes(memory)} and constants`),
  ].join('\n');
}

export function slowest(profile: RunProfile, count: number): readonly KernelProfile[] {
  return profile.kernels.toSorted((a, b) => b.milliseconds - a.milliseconds).slice(0, count);
}

export function profileJson(profile: RunProfile): object {
  const { milliseconds, kernels, calls, transfers, memory, constants } = profile;
  return { milliseconds, kernels, calls, transfers, memory, constants };
}
