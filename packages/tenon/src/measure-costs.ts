import { diagnosticOf, type Config, type PartitionStrategy, type Placement } from '@tenon/plugin';
import { countedMilliseconds, type Inputs, type Model, type RunProfile } from '@tenon/runtime';
import type { Api } from './api.ts';
import type { CompileOptions, ModelInput } from './options.ts';

/** Measured seconds by target and key: `Config.partition.costs`. */
export type Costs = NonNullable<NonNullable<Config['partition']>['costs']>;

export interface MeasureOptions extends CompileOptions {
  /** Measured runs of every plan, of which the fastest counts, after some to warm up. Default: 20. */
  readonly rounds?: number;
  /** Makes what the model is run on. */
  readonly inputs: (model: Model) => Inputs | Promise<Inputs>;
  /**
   * Gives seconds where the profile does not have the ones that count: of a host whose time is simulated, for instance.
   * Default: the times of kernels, and those of calls; of simulated devices the hardware's.
   */
  readonly times?: PlanTimes;
}

/** Seconds of kernels and calls, in the order of a profile. */
export type PlanTimes = (profile: RunProfile) => { readonly kernels: readonly number[]; readonly calls: readonly number[] };

/** Placing by cost is repeated with what was measured of the plan, at most so often. */
const mostPlans = 6;
/** Runs before those that count: clocks, caches and threads need so long, and what the JavaScript engine compiles. */
const warmUp = { rounds: 2, milliseconds: 30 };
/** Runs that count go on at least so long: of short runs more are needed to meet one that nothing disturbs. */
const shortest = 50;
/** Plans within this factor of the fastest are measured again, in so many turns. */
const compared = { within: 1.25, turns: 4 };
/** The key of the start of a region. */
const launchKey = 'launch.region';

const measuredTimes: PlanTimes = ({ kernels, calls }) => ({
  kernels: kernels.map((k) => k.milliseconds / 1e3), calls: calls.map((c) => countedMilliseconds(c) / 1e3),
});

/** A plan that was run. */
interface Measured {
  /** Its key. */
  readonly plan: string;
  readonly host: string;
  readonly model: Model;
  readonly inputs: Inputs;
  costs: Costs;
  /** Seconds of all calls and transfers. */
  seconds: number;
}

/**
 * Runs a model under the plans `host` and `greedy`, then under the plans with the least estimated time, and measures what its
 * operators take on each target, in the fastest run of each: as a whole, since kernels that are fastest in different runs
 * make no run together. Where several operators share a kernel, its time is divided among them as their estimates are; of an operator that was measured under several plans the fastest plan's measurement counts. Where another
 * plan is estimated to be faster than it was, the difference is charged to the starts of its accelerators' regions: it is
 * what changing between devices costs beyond kernels and transfers, such as cold caches.
 *
 * What the plans take as a whole is kept as well, and counts before the sum of their parts. Plans that are near the fastest
 * are measured in turn for that: what disturbs the machine for a while disturbs all of them.
 */
export async function measureCosts(api: Pick<Api, 'compile'>, file: ModelInput, options: MeasureOptions): Promise<Costs> {
  const { rounds = 20, inputs, times = measuredTimes } = options;
  const given = options.config?.partition?.costs ?? {};
  const measured: Measured[] = [];
  const models: Model[] = [];
  const charges = new Map<string, number>();
  const fastest = (): Measured | null => measured.reduce<Measured | null>((a, b) => (a === null || b.seconds < a.seconds ? b : a), null);
  const known = (): Costs => {
    const all = [...measured, ...[fastest()].filter((m) => m !== null)].reduce((costs, m) => mergeCosts(costs, m.costs), given);
    const charged = Object.fromEntries(Object.entries(all).map(([target, costs]) => [target, { ...costs, ...(charges.has(target) ? { [launchKey]: (costs[launchKey] ?? 0) + charges.get(target)! } : {}) }]));
    return measured.reduce<Costs>((costs, m) => mergeCosts(costs, { [m.host]: { [m.plan]: m.seconds } }), charged);
  };
  const measure = async (m: Pick<Measured, 'model' | 'inputs'>, runs: number): Promise<Pick<Measured, 'costs' | 'seconds'>> => {
    const profile = await fastestRun(m.model, m.inputs, runs, times, options.signal);
    return { costs: attribute(m.model, profile, times), seconds: planSeconds(profile, times) };
  };
  /** Places the model, and runs it unless it ran under the same plan before. */
  const place = async (strategy: PartitionStrategy): Promise<{ readonly measured: Measured; readonly estimate: number; readonly regions: readonly (readonly [string, number])[] } | null> => {
    const config: Config = { ...options.config, partition: { ...options.config?.partition, strategy, costs: known(), require: {} } };
    const model = await api.compile(file, { ...options, config });
    const { partition } = model.manifest.report;
    models.push(model);
    if (partition === undefined || partition === null) return null;
    const { targets, transfers } = partition;
    let found = measured.find((m) => m.plan === partition.plan);
    if (found === undefined) {
      const its = { plan: partition.plan, host: targets.at(-1)!.target, model, inputs: await inputs(model) };
      found = { ...its, ...(await measure(its, rounds)) };
      measured.push(found);
    } else {
      models.pop()!.dispose();
    }
    const used = targets.filter((t) => t.regions > 0).map((t) => [t.target, t.regions] as const);
    const accelerators = used.filter(([name]) => name !== found.host);
    return { measured: found, estimate: targets.reduce((sum, t) => sum + t.seconds, transfers.seconds), regions: accelerators.length > 0 ? accelerators : used };
  };
  /** Measures the plans in turn that may be the fastest; one alone as well: what a model does in the background for some seconds after it is loaded ends meanwhile. */
  const compare = async (): Promise<void> => {
    const limit = fastest()!.seconds * compared.within;
    const near = measured.filter((m) => m.seconds <= limit);
    for (let turn = 0; turn < compared.turns; turn++) {
      for (const m of near) {
        const again = await measure(m, Math.ceil(rounds / compared.turns));
        if (again.seconds < m.seconds) Object.assign(m, again);
      }
    }
  };
  try {
    for (const strategy of ['host', 'greedy'] as const) {
      try {
        await place(strategy);
      } catch (error) {
        // Not every model can run on the host alone.
        if (strategy !== 'host' || diagnosticOf(error)?.code !== 'partition/unsupported') throw error;
      }
    }
    let settled = false;
    for (let i = 0; i < mostPlans; i++) {
      const before = measured.length;
      const placed = await place('cost');
      if (placed === null || (settled && measured.length === before)) break;
      await compare();
      settled = true;
      const excess = placed.measured.seconds - placed.estimate;
      if (measured.length === before || placed.measured === fastest() || excess <= 0) continue;
      const count = placed.regions.reduce((sum, [, n]) => sum + n, 0);
      for (const [target] of placed.regions) charges.set(target, (charges.get(target) ?? 0) + excess / count);
    }
    return known();
  } finally {
    models.forEach((m) => m.dispose());
  }
}

/** The fastest of some runs, by {@link planSeconds}, after others to warm up: what else the machine does makes runs longer. */
export async function fastestRun(model: Model, inputs: Inputs, rounds: number, times: PlanTimes = measuredTimes, signal?: AbortSignal): Promise<RunProfile> {
  const begin = performance.now();
  for (let i = 0; i < warmUp.rounds || performance.now() - begin < warmUp.milliseconds; i++) {
    signal?.throwIfAborted();
    await model.run(inputs);
  }
  let fastest: RunProfile | null = null;
  const start = performance.now();
  for (let i = 0; i < Math.max(1, rounds) || performance.now() - start < shortest; i++) {
    signal?.throwIfAborted();
    const { profile } = await model.run(inputs, { profile: true });
    if (fastest === null || planSeconds(profile, times) < planSeconds(fastest, times)) fastest = profile;
  }
  return fastest!;
}

/** Seconds of all calls and transfers of a run; those of simulated devices are the hardware's. */
export function planSeconds(profile: RunProfile, times: PlanTimes = measuredTimes): number {
  return times(profile).calls.reduce((sum, s) => sum + s, 0) + profile.transfers.reduce((sum, t) => sum + (t.simulated ?? t.milliseconds) / 1e3, 0);
}

/** Divides what was measured among the operators of a model. */
function attribute(model: Pick<Model, 'manifest'>, profile: RunProfile, times: PlanTimes): Costs {
  const { placements } = model.manifest.report;
  const taken = times(profile);
  const targetOf = new Map(placements.map((p) => [p.region, p.target]));
  const byRegion = Map.groupBy(placements, (p) => p.region);
  const seconds = new Map<Placement, number>();
  profile.kernels.forEach((kernel, i) => {
    const members = workedOn(byRegion.get(kernel.region) ?? [], kernel);
    const weights = members.map((p) => p.estimate?.seconds ?? 0);
    const sum = weights.reduce((a, b) => a + b, 0);
    members.forEach((p, at) => seconds.set(p, (seconds.get(p) ?? 0) + taken.kernels[i]! * (sum > 0 ? weights[at]! / sum : 1 / members.length)));
  });
  const costs: { [target: string]: { [key: string]: number } } = {};
  const put = (target: string, key: string, value: number): void => void ((costs[target] ??= {})[key] = value);
  // Equal operators count by their mean. All operators of a match have its key.
  const byKey = Map.groupBy(placements.filter((p) => p.estimate?.key !== undefined && measuredIn(p.region)), (p) => `${p.target}\n${p.estimate!.key!}`);
  for (const [name, all] of byKey) {
    const [target, key] = name.split('\n') as [string, string];
    const units = all.length / key.replace(/:[^:]*$/, '').split('+').length;
    put(target, key, all.reduce((sum, p) => sum + (seconds.get(p) ?? 0), 0) / units);
  }
  // What a call takes beyond its kernels.
  const starts = Map.groupBy(profile.calls.map((call, i) => ({ region: call.region, seconds: taken.calls[i]! })).filter(({ region }) => measuredIn(region)), ({ region }) => targetOf.get(region)!);
  const inKernels = (region: string): number => profile.kernels.reduce((sum, k, i) => sum + (k.region === region ? taken.kernels[i]! : 0), 0);
  for (const [target, calls] of starts) put(target, launchKey, best(calls.map((call) => Math.max(0, call.seconds - inKernels(call.region)))));
  return costs;

  /** Whether the region ran on its target, by a loader that measures kernels. */
  function measuredIn(region: string): boolean {
    const target = targetOf.get(region);
    return target !== undefined && profile.kernels.some((k) => k.region === region);
  }
}

/** The operators that a kernel computes: by their place in the model, and by name where several have the same. */
function workedOn(placements: readonly Placement[], { ops, locs }: RunProfile['kernels'][number]): readonly Placement[] {
  const found = [...new Set(locs), null].flatMap((loc) => {
    const there = placements.filter((p) => p.loc === loc);
    const named = there.filter((p) => ops.includes(p.op));
    return named.length > 0 || loc === null ? named : there;
  });
  return found.length > 0 ? found : placements.filter((p) => ops.includes(p.op));
}

/** The shortest time: what else the machine does makes others longer. */
export const best = (values: readonly number[]): number => (values.length === 0 ? 0 : Math.min(...values));

/** The costs of both; where both know one, the second's. */
export function mergeCosts(a: Costs, b: Costs): Costs {
  return Object.fromEntries([...new Set([...Object.keys(a), ...Object.keys(b)])].map((target) => [target, { ...a[target], ...b[target] }]));
}
