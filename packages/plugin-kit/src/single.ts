/** Cases compiled for the plugin's target alone: one blob, no host, nothing beside it. */
import type { GraphFunction, HostTensor } from '@tenon/plugin';
import { compileModule, type Compilation } from '@tenon/compiler';
import { blobOf, DirectCall, regionFunction, type Blob, type BlobRegion } from './blobs.ts';
import type { Case } from './cases/explore.ts';
import { describeInstance } from './cases/instance.ts';
import { describeCase, moduleOf, rangesOf } from './run-case.ts';
import type { Regime } from './tensors.ts';
import { bareHost, describeError, inputsFor, type Workbench } from './workbench.ts';
import type { LoadedBlob, Loader } from '@tenon/plugin';

/** A case that lies on the target as a whole. */
export interface Single {
  readonly case: Case;
  readonly artifact: Uint8Array;
  readonly blob: Blob;
  readonly region: BlobRegion;
  readonly fn: GraphFunction;
  readonly compilation: Compilation;
}

/** null: it does not lie on the target as one region, or is guarded. */
export async function single(bench: Workbench, c: Case, seed = 1): Promise<Single | null> {
  bench.step(describeCase(c));
  const config = bench.config();
  let compilation: Compilation;
  try {
    compilation = await compileModule(moduleOf(c, seed), { config: { ...config, partition: { strategy: 'greedy', fallback: 'none' } }, host: bareHost });
  } catch (error) {
    if (process.env['TENON_KIT_DEBUG'] !== undefined) bench.note('kit/debug', describeError(error));
    return null;
  }
  try {
    const { name } = bench.target!;
    if (compilation.placements.some((p) => p.target !== name) || new Set(compilation.placements.map((p) => p.region)).size !== 1) return null;
    const artifact = await compilation.toBytes();
    const blob = await blobOf(artifact, name);
    const region = blob?.regions[0];
    if (blob === null || region === undefined) return null;
    return { case: c, artifact, blob, region, fn: regionFunction(compilation.module, region.name), compilation };
  } catch {
    return null;
  } finally {
    compilation.dispose();
  }
}

/** The first cases of all rules that can be compiled so, those of each rule in turn. */
export async function singles(bench: Workbench, limit: number, wanted: (c: Case) => boolean = (c) => c.symbolic.length === 0 && !c.empty && !c.refusable): Promise<readonly Single[]> {
  const found: Single[] = [];
  const queues = bench.explorations.map((e) => e.cases.filter(wanted));
  for (let i = 0; found.length < limit && queues.some((q) => q.length > i); i++) {
    for (const queue of queues) {
      const c = queue[i];
      if (c === undefined || found.length >= limit) continue;
      const made = await single(bench, c);
      if (made !== null) found.push(made);
    }
  }
  return found;
}

/** Inputs of a single's region, in the order of its own parameters. */
export function inputsOf(bench: Workbench, s: Single, seed: number, regime: Regime, sizes: ReadonlyMap<string, number> = new Map()): readonly HostTensor[] {
  const main = moduleOf(s.case, 1)(bench.session).functions.get('main') as GraphFunction;
  const inputs = inputsFor(main, sizes, seed, regime, bench.session, rangesOf(s.case));
  const byName = new Map(main.params.map((p, i) => [p.name, inputs[i]!]));
  return s.fn.params.map((p) => byName.get(p.name)!);
}

/** Inputs and results of a single's region, in the order of its own parameters and results. */
export async function exampleOf(bench: Workbench, s: Single, seed: number, regime: Regime, sizes: ReadonlyMap<string, number> = new Map()): Promise<{ readonly inputs: readonly HostTensor[]; readonly want: readonly HostTensor[] }> {
  const make = moduleOf(s.case, 1);
  const main = make(bench.session).functions.get('main') as GraphFunction;
  const inputs = inputsFor(main, sizes, seed, regime, bench.session, rangesOf(s.case));
  const want = await bench.reference(make, inputs);
  const byName = new Map(main.params.map((p, i) => [p.name, inputs[i]!]));
  const results = new Map(main.results.map((r, i) => [r.name, want[i]!]));
  return { inputs: s.fn.params.map((p) => byName.get(p.name)!), want: s.fn.results.map((r) => results.get(r.name)!) };
}

export async function directCall(bench: Workbench, s: Single, loader: Loader, loaded: LoadedBlob, inputs: readonly HostTensor[], sizes: ReadonlyMap<string, number> = new Map()): Promise<DirectCall> {
  bench.step(`a call of ${describeCase(s.case)}`);
  return DirectCall.bind(loader, loaded, s.region, s.fn, inputs, sizes, bench.session);
}

export const about = (s: Single): string => describeInstance(s.case.instance);

/** One check with a single: what `body` finds, or throws, is a failure of its rule; of the code given where it throws. */
export async function guarded(bench: Workbench, s: Single, code: string, body: () => Promise<{ code: string; message: string } | null>): Promise<void> {
  let problem: { code: string; message: string } | null;
  try {
    problem = await body();
  } catch (error) {
    problem = { code, message: describeError(error) };
  }
  bench.check(problem?.code ?? code, problem === null ? null : `${about(s)}: ${problem.message}`, s.case.rule.id);
}
