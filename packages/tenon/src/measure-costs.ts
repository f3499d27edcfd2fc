import { diagnosticOf, type Config, type PartitionStrategy, type Placement } from '@tenon/plugin';
import type { Inputs, Model, RunProfile } from '@tenon/runtime';
import type { Api } from './api.ts';
import type { CompileOptions, ModelInput } from './options.ts';

/** Measured seconds by target and key: `Config.partition.costs`. */
export type Costs = NonNullable<NonNullable<Config['partition']>['costs']>;

export interface MeasureOptions extends CompileOptions {
  /** Measured runs of every plan, of which the best counts, after two to warm up. Default: 20. */
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
const mostPlans = 4;
const warmUpRounds = 2;
/** The key of the start of a region. */
const launchKey = 'launch.region';

const measuredTimes: PlanTimes = ({ kernels, calls }) => ({
  kernels: kernels.map((k) => k.milliseconds / 1e3), calls: calls.map((c) => (c.simulated ?? c.milliseconds) / 1e3),
});

/**
 * Runs a model under the plans `host` and `greedy`, then under the plan with the least estimated time until that is the
 * same twice, and measures what its operators take on each target. Where several operators share a kernel, its time is
 * divided among them as their estimates are; of an operator that was measured under several plans the last measurement
 * counts, which is the plan that was chosen.
 */
export async function measureCosts(api: Pick<Api, 'compile'>, file: ModelInput, options: MeasureOptions): Promise<Costs> {
  const { rounds = 20, inputs, times = measuredTimes } = options;
  let costs: Costs = options.config?.partition?.costs ?? {};
  const measured = new Map<string, Costs>();
  /** Measures a plan, or takes what was measured of it before; gives its identity. */
  const measure = async (strategy: PartitionStrategy): Promise<string> => {
    const config: Config = { ...options.config, partition: { ...options.config?.partition, strategy, costs, require: {} } };
    using model = await api.compile(file, { ...options, config });
    const { placements } = model.manifest.report;
    const plan = placements.map((p) => `${p.region} ${p.rule}`).join('\n');
    let known = measured.get(plan);
    if (known === undefined) {
      known = await measurePlan(model, await inputs(model), rounds, times, options.signal);
      measured.set(plan, known);
    }
    costs = mergeCosts(costs, known);
    return plan;
  };
  for (const strategy of ['host', 'greedy'] as const) {
    try {
      await measure(strategy);
    } catch (error) {
      // Not every model can run on the host alone.
      if (strategy !== 'host' || diagnosticOf(error)?.code !== 'partition/unsupported') throw error;
    }
  }
  for (let i = 0, before = ''; i < mostPlans; i++) {
    const plan = await measure('cost');
    if (plan === before) break;
    before = plan;
  }
  return costs;
}

async function measurePlan(model: Model, inputs: Inputs, rounds: number, times: PlanTimes, signal: AbortSignal | undefined): Promise<Costs> {
  const given = signal === undefined ? {} : { signal };
  for (let i = 0; i < warmUpRounds; i++) await model.run(inputs, given);
  const profiles: RunProfile[] = [];
  for (let i = 0; i < rounds; i++) profiles.push((await model.run(inputs, { ...given, profile: true })).profile);
  return attribute(model, profiles, times);
}

/** Divides what was measured among the operators of a model. */
export function attribute(model: Pick<Model, 'manifest'>, profiles: readonly RunProfile[], times: PlanTimes = measuredTimes): Costs {
  const { manifest } = model;
  const { placements } = manifest.report;
  const timed = profiles.map(times);
  const [profile] = profiles;
  const targetOf = new Map(placements.map((p) => [p.region, p.target]));
  const byRegion = Map.groupBy(placements, (p) => p.region);
  const seconds = new Map<Placement, number>();
  profile!.kernels.forEach((kernel, i) => {
    const taken = best(timed.map((t) => t.kernels[i]!));
    const members = workedOn(byRegion.get(kernel.region) ?? [], kernel);
    const weights = members.map((p) => p.estimate?.seconds ?? 0);
    const sum = weights.reduce((a, b) => a + b, 0);
    members.forEach((p, at) => seconds.set(p, (seconds.get(p) ?? 0) + taken * (sum > 0 ? weights[at]! / sum : 1 / members.length)));
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
  const starts = Map.groupBy(profile!.calls.map((call, i) => ({ call, i })).filter(({ call }) => measuredIn(call.region)), ({ call }) => targetOf.get(call.region)!);
  for (const [target, calls] of starts) {
    const inKernels = (region: string, t: { readonly kernels: readonly number[] }): number => profile!.kernels.reduce((sum, k, i) => sum + (k.region === region ? t.kernels[i]! : 0), 0);
    put(target, launchKey, best(calls.map(({ call, i }) => best(timed.map((t) => Math.max(0, t.calls[i]! - inKernels(call.region, t)))))));
  }
  return costs;

  /** Whether the region ran on its target, by a loader that measures kernels. */
  function measuredIn(region: string): boolean {
    const target = targetOf.get(region);
    return target !== undefined && profile!.kernels.some((k) => k.region === region);
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
