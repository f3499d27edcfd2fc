/**
 * Plans of the partitioner against greedy and all-host, with the code of `bench:partition`. The accelerator reports the time
 * of the hardware that it simulates. The processor's time is simulated here, too, from what its kernels compute and move,
 * so that the test does not depend on what else the machine does: `bench:partition` measures the real one.
 */
import { describe, expect, it } from 'vitest';
import type { PlanTimes } from 'tenon/tools';
import { comparePlans, made, most, ratiosOf, type Comparison } from './bench/plans.ts';
import { outputAgreement } from './support/compare.ts';

/** A processor of 60 GFLOP/s and 12 GB/s that takes 20 µs to start a region. */
const processor = { flops: 60e9, bandwidth: 12e9, kernel: 0.3e-6, region: 20e-6 };

const simulated: PlanTimes = ({ kernels, calls }) => {
  const seconds = kernels.map((k) => (k.loader === 'toy' ? k.milliseconds / 1e3 : processor.kernel + Math.max((k.flops ?? 0) / processor.flops, (k.bytes ?? 0) / processor.bandwidth)));
  return {
    kernels: seconds,
    calls: calls.map((c) => (c.simulated === null ? processor.region + kernels.reduce((sum, k, i) => sum + (k.region === c.region ? seconds[i]! : 0), 0) : c.simulated / 1e3)),
  };
};

const regions = ({ plans: [cost] }: Comparison, target: string): number => cost.report.targets.find((t) => t.target === target)!.regions;

/** What is best of each model, as it was chosen. */
const expected: { readonly [name: string]: (c: Comparison) => void } = {
  perceptron: (c) => expect([regions(c, 'toy'), regions(c, 'cpu-c')]).toEqual([1, 0]),
  'broken chain': (c) => expect(regions(c, 'toy')).toBeGreaterThanOrEqual(2),
  'encoder layer': (c) => expect(regions(c, 'toy')).toBeGreaterThanOrEqual(2),
  'tiny chain': (c) => expect([regions(c, 'toy'), regions(c, 'cpu-c')]).toEqual([0, 1]),
};

describe('the plan that is chosen by measured costs', () => {
  it.each(made.map((m) => [m.name, m] as const))('%s', async (name, model) => {
    const compared = await comparePlans(model, 1, simulated);
    const { chosen, estimate } = ratiosOf(compared);
    const [cost, greedy, host] = compared.plans;
    expect(chosen).toBeLessThanOrEqual(most.chosen);
    expect(Math.abs(estimate - 1)).toBeLessThanOrEqual(most.estimate);
    expected[name]!(compared);
    // The other plans are worse where they are others.
    if (name === 'tiny chain') expect(greedy.measured).toBeGreaterThan(1.5 * cost.measured);
    else expect(host.measured).toBeGreaterThan(1.2 * cost.measured);
    expect(cost.report.targets.every((t) => t.seconds >= 0)).toBe(true);
    for (const other of [cost, greedy]) {
      for (const [output, tensor] of Object.entries(other.outputs)) {
        const { error, problem } = outputAgreement(tensor, host.outputs[output]!);
        expect(problem).toBeNull();
        expect(error).toBeLessThan(1e-4);
      }
    }
  }, 120_000);
});
