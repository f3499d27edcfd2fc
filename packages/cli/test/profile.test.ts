import { describe, expect, test } from 'vitest';
import type { KernelProfile, RunProfile } from 'tenon';
import { kernelTable } from '../src/profile.ts';
import { plainPaint, textWidth } from '../src/terminal/style.ts';

const kernel = (i: number): KernelProfile => ({
  kernel: `conv_batch_norm_relu_${i}`, region: 'region_0_cpu_c', loader: 'cpu-c', ops: ['nn.conv', 'math.add', 'nn.relu'], locs: [`layer${i}/block/Conv`, `layer${i}/block/Relu`],
  begin: i, milliseconds: i + 1, flops: 1e8, bytes: 1e6, gflopsPerSecond: 1e2 / (i + 1), gigabytesPerSecond: 1 / (i + 1),
});
const profile: RunProfile = {
  milliseconds: 40, deviceMilliseconds: 38, kernels: Array.from({ length: 8 }, (_, i) => kernel(i)), calls: [], transfers: [], memory: [{ device: 'host', purpose: 'workspace', bytes: 1 << 20 }], constants: {},
  chromeTrace: () => ({ displayTimeUnit: 'ms', traceEvents: [] }),
};
const limits = { 'cpu-c': { flops: 2e11, bandwidth: 1e10, source: 'measured' as const } };
const table = (width: number): string[] => kernelTable(profile, limits, { width, paint: plainPaint }, 3).split('\n');

describe('the table of a profile', () => {
  test('has the slowest kernels, with percent of their own limit', () => {
    const [head, first, second, third, ...notes] = table(Infinity);
    expect(head).toBe('kernel                     time   share  of limit  GFLOP/s  GB/s  operators                 in the model');
    // 1e8 operations at 200 GFLOP/s are 0.5 ms of 8.
    expect(first).toBe('conv_batch_norm_relu_7  8.00 ms  22.2 %     6.3 %     12.5   0.1  nn.conv math.add nn.relu  layer7/block/Conv layer7/block/Relu');
    expect([second, third].map((line) => / (\S+) %  +[\d.]+  +[\d.]+  nn\.conv/.exec(line!)?.[1])).toEqual(['7.1', '8.3']);
    expect(notes).toEqual(['limit of cpu-c, measured: 200 GFLOP/s, 10.0 GB/s from memory', 'above 100 %: from caches, or with fewer operations than the model has', '3 of 8 kernels; all kernels 36.0 ms, the run 40.0 ms, memory 1.00 MiB and constants']);
  });

  test.each([100, 80, 72, 60, 48, 36])('fits into %i columns', (width) => {
    const lines = table(width);
    for (const line of lines) expect(textWidth(line), line).toBeLessThanOrEqual(width);
    // What it is there for stays.
    expect(lines[0]).toMatch(/^kernel +time .*of limit/);
    expect(lines[1]).toMatch(/^conv_.* 8\.00 ms .*6\.3 %/);
  });

  test('loses columns in order, not all at once', () => {
    const titles = (width: number): string[] => table(width)[0]!.split(/ {2,}/);
    expect(titles(80)).toHaveLength(8);
    expect(titles(66)).not.toContain('operators');
    expect(titles(66)).toContain('GFLOP/s');
    expect(titles(40)).toEqual(['kernel', 'time', 'of limit']);
  });

  test('says – where nobody knows the limit', () => {
    const lines = kernelTable(profile, {}, { width: Infinity, paint: plainPaint }, 1).split('\n');
    expect(lines[1]).toContain(' – ');
    expect(lines.join('\n')).not.toMatch(/limit of|caches/);
  });
});
