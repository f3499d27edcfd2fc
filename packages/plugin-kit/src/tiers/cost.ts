/** The device's figures and the rules' costs, against the times that the loader reports. */
import type { DeviceModel, TargetContext } from '@tenon/plugin';
import { contextFor } from '@tenon/core';
import { resize } from '../cases/axes.ts';
import type { Base, Case, Exploration } from '../cases/explore.ts';
import { evaluate } from '../evaluate.ts';
import { countOf, tensorBytes } from '../tensors.ts';
import { describeInstance, sizeOf, type Instance } from '../cases/instance.ts';
import { ask, type Answer } from '../cases/verdict.ts';
import { flopsOf } from '../cases/work.ts';
import { directCall, inputsOf, single } from '../single.ts';
import { describeError, type Workbench } from '../workbench.ts';

export async function checkCost(bench: Workbench): Promise<void> {
  const target = bench.target!;
  const device = await target.device(bench.settings.targetOptions, bench.session);
  checkFigures(bench, device);
  const resolved = await bench.session.resolveTarget(target.name, bench.settings.targetOptions);
  const ctx = contextFor(bench.session, resolved) as unknown as TargetContext;
  let measured = 0;
  for (const exploration of bench.explorations) {
    for (const base of exploration.bases.slice(0, 2)) measured += await checkRule(bench, exploration, growing(bench, exploration.rule, base), device, ctx);
  }
  // Where nothing says how exact estimates are, long and thin operands may be far off.
  const began = performance.now();
  for (const exploration of bench.settings.costFactor === null ? [] : bench.explorations) {
    const [base] = exploration.bases;
    if (base === undefined || performance.now() - began > bench.budget / 3) continue;
    measured += await checkRule(bench, exploration, elongated(bench, exploration.rule, base), device, ctx);
  }
  if (measured === 0) bench.note('cost/not-measured', 'the loader reports no kernel times (BoundCall.kernelTimes): estimates cannot be compared with anything');
}

/** Figures in their units: operations, bytes and seconds, not their millions or thousandths. */
function checkFigures(bench: Workbench, device: DeviceModel): void {
  const within = (what: string, value: unknown, min: number, max: number): void => {
    const ok = typeof value === 'number' && Number.isFinite(value) && value >= min && value <= max;
    bench.check('cost/figures', ok ? null : `${what} is ${String(value)}: expected ${min} … ${max}`);
  };
  for (const [dtype, rate] of Object.entries(device.peak)) within(`peak.${dtype}, in operations per second,`, rate, 1e6, 1e18);
  within('bandwidth, in bytes per second,', device.bandwidth, 1e5, 1e15);
  within('launch.region, in seconds,', device.launch.region, 0, 1);
  within('launch.kernel, in seconds,', device.launch.kernel, 0, 1);
  if (device.transfer !== null) {
    within('transfer.latency, in seconds,', device.transfer.latency, 0, 1);
    within('transfer.bandwidth, in bytes per second,', device.transfer.bandwidth, 1e4, 1e15);
  }
  for (const { space, bytes } of device.memory) if (bytes !== null) within(`the memory ‘${space}’, in bytes,`, bytes, 1, 1e18);
}

/** Seconds in a match: by the rule, else by the device's figures. null: nothing says. */
function estimate(bench: Workbench, c: Pick<Case, 'rule' | 'instance'>, answer: Extract<Answer, { kind: 'claimed' }>, device: DeviceModel, ctx: TargetContext): number | string | null {
  const { session } = bench;
  if (c.rule.cost !== undefined) {
    let seconds: number;
    try {
      seconds = evaluate(c.rule.cost(answer.match, ctx));
    } catch (error) {
      return `cost of a match with known sizes gives no number: ${describeError(error)}`;
    }
    return Number.isFinite(seconds) && seconds >= 0 && seconds < 1e6 ? seconds : `cost is ${seconds} s`;
  }
  let flops = 0;
  for (const binding of answer.match.bindings) {
    const own = flopsOf(binding, session);
    if (own === null) return null;
    flops += own;
  }
  const dtype = c.instance.leaves[0]?.dtype ?? 'f32';
  const peak = device.peak[dtype];
  if (peak === undefined) return null;
  const out = answer.main.results[0]!.type;
  const shape = out.kind === 'tensor' ? out.shape.map((d) => session.exprs.valueOf(d) ?? 0) : [];
  const bytes = c.instance.leaves.reduce((n, l) => n + tensorBytes(l.dtype, l.shape), 0) + countOf(shape) * 4;
  return Math.max(flops / peak, bytes / device.bandwidth) + device.launch.kernel;
}

/** Compares estimates with what the device takes. How many could be measured. */
async function checkRule(bench: Workbench, { rule, cases }: Exploration, instances: readonly Instance[], device: DeviceModel, ctx: TargetContext): Promise<number> {
  const [template] = cases;
  if (template === undefined) return 0;
  let measured = 0;
  let slow = false;
  let before: { seconds: number; instance: Instance } | null = null;
  for (const instance of instances) {
    const answer = ask(rule, instance, bench.session);
    if (slow || answer.kind !== 'claimed') continue;
    const c: Case = { rule, instance, about: 'cost', priority: 0, symbolic: [], leaks: [], every: false, empty: false, refusable: false };
    const seconds = estimate(bench, c, answer, device, ctx);
    if (seconds === null) continue;
    if (!bench.check('cost/invalid', typeof seconds === 'string' ? `${describeInstance(instance)}: ${seconds}` : null, rule.id)) return measured;
    if (before !== null && contains(instance, before.instance)) {
      bench.check('cost/shrinks', (seconds as number) >= before.seconds * 0.99 ? null : `${describeInstance(instance)} is said to take ${(seconds as number).toExponential(2)} s, and the smaller ${describeInstance(before.instance)} ${before.seconds.toExponential(2)} s`, rule.id);
    }
    before = { seconds: seconds as number, instance };
    const times = await deviceTimes(bench, c);
    if (times === null) continue;
    measured++;
    slow = times.wall > 60;
    // Loaders may or may not count the launch of the region.
    const guesses = [seconds as number, (seconds as number) + device.launch.region];
    const factor = bench.settings.costFactor ?? (times.simulated ? 10 : 30);
    const real = [times.seconds, Math.max(1e-12, times.seconds - device.launch.region)];
    const off = Math.min(...guesses.flatMap((g) => real.map((r) => Math.max(g / r, r / g))));
    bench.check('cost/estimate', off <= factor ? null
      : `${describeInstance(instance)} is estimated at ${guesses[1]!.toExponential(2)} s; the loader reports ${times.seconds.toExponential(2)} s: off by ${off.toFixed(1)}, more than ${factor}`, rule.id);
  }
  return measured;
}

/** Whether no axis of `large` is shorter than that of `small`. */
const contains = (large: Instance, small: Instance): boolean =>
  large.leaves.every(({ shape }, i) => shape.every((d, axis) => d >= (small.leaves[i]?.shape[axis] ?? Infinity)));

/** The base, and larger ones: all axes that can grow do so together. */
function growing(bench: Workbench, rule: Case['rule'], base: Base): readonly Instance[] {
  const found: Instance[] = [base.instance];
  for (const factor of [2, 4, 8]) {
    const next = resize(base.instance, base.classes, base.classes.map((c) => c.size * factor));
    const partly = resize(base.instance, base.classes, base.classes.map((c, i) => (i === 0 ? c.size * factor * factor : c.size)));
    const taken = [next, partly].find((i) => {
      if (sizeOf(i) > 200_000) return false;
      try {
        return ask(rule, i, bench.session).kind === 'claimed';
      } catch {
        return false;
      }
    });
    if (taken !== undefined) found.push(taken);
  }
  return found;
}

/** The base with one axis, or two, as long as they can be: one of the machine's limits after the other decides. */
function elongated(bench: Workbench, rule: Case['rule'], { instance, classes }: Base): readonly Instance[] {
  const found: Instance[] = [];
  const sets = classes.flatMap((_, i) => [[i], ...classes.slice(i + 1).map((__, j) => [i, i + 1 + j])]).slice(0, 10);
  // The first axis is the batch mostly: the others make weights, which are long to fetch and quick to use.
  for (const set of sets.reverse()) {
    for (const factor of [64, 32, 16, 8, 4]) {
      const next = resize(instance, classes, classes.map((c, i) => (set.includes(i) ? c.size * factor : c.size)));
      if (sizeOf(next) > 400_000) continue;
      try {
        if (ask(rule, next, bench.session).kind !== 'claimed') continue;
      } catch {
        continue;
      }
      found.push(next);
      break;
    }
  }
  return found;
}

/** What the loader says that the device took; null where it does not say. */
async function deviceTimes(bench: Workbench, c: Case): Promise<{ readonly seconds: number; readonly simulated: boolean; readonly wall: number } | null> {
  const s = await single(bench, c);
  if (s === null) return null;
  const loader = bench.makeLoader!();
  const loaded = await loader.load(s.blob.info, s.blob.bytes.slice(), { threads: 1 });
  try {
    const call = await directCall(bench, s, loader, loaded, inputsOf(bench, s, 5, 'mixed'));
    try {
      const seconds: number[] = [];
      call.call.profile?.(true);
      let wall = Infinity;
      for (let i = 0; i < 4; i++) {
        const began = performance.now();
        await call.run();
        wall = Math.min(wall, performance.now() - began);
        const times = call.call.kernelTimes ?? [];
        if (times.length === 0) return null;
        seconds.push(Math.max(...times.map((t) => t.end)) / 1e9);
      }
      const least = Math.min(...seconds);
      return { seconds: least, simulated: Math.max(...seconds) - least <= least * 1e-9, wall };
    } finally {
      call.dispose();
    }
  } catch {
    return null; // The tier `runtime` tells.
  } finally {
    loaded.dispose();
  }
}
