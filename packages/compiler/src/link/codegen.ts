import { diagnostic, diagnosticOf, type BlobInfo, type CodegenBlob, type CodegenRegion, type ConstantDecl, type Diagnostic, type GraphFunction, type IRModule, type Loader, type RegionPlan, type TargetContext, type TensorFunction } from '@tenon/plugin';
import { contextFor, type ResolvedTarget, type Session } from '@tenon/core';
import { planRegion } from '../memory/plan-region.ts';
import { dimScope } from '../graph.ts';
import { collectDims } from './dims.ts';

/** A code generator's output, with the target that it came from. */
export interface GeneratedBlob {
  readonly target: string;
  readonly blob: CodegenBlob;
  /** Which of the target's kinds of machine it is for, the best being 0; absent where there is one only. */
  readonly machine?: number;
}

/** Plans the memory of a target's kernel regions; planning may add kernels that copy results. */
export function planRegions(module: IRModule, session: Session, target: ResolvedTarget): { module: IRModule; plans: ReadonlyMap<string, RegionPlan> } {
  const plans = new Map<string, RegionPlan>();
  if (target.form !== 'kernels') return { module, plans };
  const functions = new Map(module.functions);
  for (const fn of module.functions.values()) {
    if (fn.kind !== 'graph' || fn.attrs['target'] !== target.name) continue;
    const planned = planRegion(fn, { ...module, functions }, session);
    for (const added of planned.functions.values()) functions.set(added.name, added);
    plans.set(fn.name, planned.plan);
  }
  return { module: { ...module, functions }, plans };
}

/** What a target's code generator made, and what became of regions without code, by name. */
export interface Generation {
  readonly blobs: readonly GeneratedBlob[];
  readonly failures: ReadonlyMap<string, Diagnostic>;
}

/**
 * Hands all regions of a target to its code generator at once. Where it throws, or makes what a loader given cannot load,
 * every region is tried by itself, so that only those at fault move to the host.
 */
export async function generate(
  module: IRModule, session: Session, target: ResolvedTarget, plans: ReadonlyMap<string, RegionPlan>, isHost: boolean, loaders: readonly Loader[],
): Promise<Generation> {
  const ctx = contextFor(session, target) as unknown as TargetContext;
  const regions: CodegenRegion[] = [];
  for (const fn of module.functions.values()) {
    if (fn.kind === 'graph' && fn.attrs['target'] === target.name) regions.push(codegenRegion(fn, module, plans.get(fn.name) ?? null, session));
  }
  const failures = new Map<string, Diagnostic>();
  if (regions.length === 0) return { blobs: [], failures };
  session.progress(`generate ${target.name}`);
  const strict = isHost || session.config.partition?.fallback === 'none';
  const { codegen } = session.registry.targets.get(target.name)!;
  const attempt = async (some: readonly CodegenRegion[]): Promise<readonly CodegenBlob[]> => {
    const blobs = await codegen(some, ctx);
    if (!strict) for (const blob of blobs) await tryLoading(blob, loaders);
    return blobs;
  };
  const blobs: CodegenBlob[] = [];
  try {
    blobs.push(...await attempt(regions));
  } catch (error) {
    if (strict || session.signal.aborted) throw error;
    const errors = new Map<string, { readonly error: unknown; readonly regions: string[] }>();
    for (const region of regions) {
      try {
        blobs.push(...(regions.length === 1 ? fail(error) : await attempt([region])));
      } catch (reason) {
        if (session.signal.aborted) throw reason;
        const key = `${reason instanceof NotLoadable} ${messageOf(reason)}`;
        const group = errors.get(key) ?? { error: reason, regions: [] };
        errors.set(key, group);
        group.regions.push(region.name);
      }
    }
    for (const group of errors.values()) {
      const failure = failureOf(target.name, group.error, group.regions, regions.length);
      session.report(failure);
      for (const region of group.regions) failures.set(region, failure);
    }
  }
  session.hooks.codegenDone.call(target.name, blobs);
  return { blobs: blobs.map((blob) => ({ target: target.name, blob })), failures };
}

const fail = (error: unknown): never => {
  throw error;
};
const messageOf = (error: unknown): string => diagnosticOf(error)?.message ?? (error instanceof Error ? error.message : String(error));

/** A loader refused what a code generator made. */
class NotLoadable extends Error {}

/** Throws where a loader that takes the blob cannot load it. One that does not take it on this machine says nothing of others. */
async function tryLoading(blob: CodegenBlob, loaders: readonly Loader[]): Promise<void> {
  const info: BlobInfo = {
    format: blob.format, formatVersion: blob.formatVersion, requires: blob.requires,
    entries: blob.entries.map((e) => ({ symbol: e.symbol, kernels: e.kernels.map((k) => k.name) })),
  };
  try {
    const loader = loaders.find((l) => l.format === blob.format && l.formatVersions.includes(blob.formatVersion) && !('reason' in l.answer(info)));
    if (loader !== undefined) (await loader.load(info, blob.bytes.slice(), { threads: 1 })).dispose();
  } catch (cause) {
    throw new NotLoadable(messageOf(cause), { cause });
  }
}

function failureOf(target: string, error: unknown, regions: readonly string[], all: number): Diagnostic {
  const cause = diagnosticOf(error instanceof NotLoadable ? error.cause : error);
  const moved = regions.length === all ? (all === 1 ? 'its region runs' : `its ${all} regions run`) : `${regions.join(', ')} of its ${all} regions ${regions.length === 1 ? 'runs' : 'run'}`;
  const hint = cause?.hint ?? 'Report this to the authors of the target.';
  const related = cause === null ? [] : [cause];
  const rest = `so ${moved} on the host: ${messageOf(error)}`;
  return error instanceof NotLoadable
    ? diagnostic({ severity: 'warning', code: 'codegen/not-loadable', message: `what ${target} generated cannot be loaded, ${rest}`, hint, related })
    : diagnostic({ severity: 'warning', code: 'codegen/failed', message: `${target} could not generate code, ${rest}`, hint, related });
}

function codegenRegion(fn: GraphFunction, module: IRModule, plan: RegionPlan | null, session: Session): CodegenRegion {
  const kernels = new Map<string, TensorFunction>();
  for (const launch of plan?.launches ?? []) {
    const kernel = launch.extern === undefined ? module.functions.get(launch.kernel) : undefined;
    if (kernel?.kind === 'tensor') kernels.set(launch.kernel, kernel);
  }
  const constants = new Map<string, ConstantDecl>();
  for (const binding of fn.bindings) {
    for (const arg of binding.args) if (arg?.constant) constants.set(arg.name, module.constants.get(arg.name)!);
  }
  for (const result of fn.results) if (result.constant) constants.set(result.name, module.constants.get(result.name)!);
  return {
    name: fn.name, graph: fn, matches: matchesOf(fn), dims: plan?.dims ?? collectDims(fn, session.exprs), facts: dimScope(module), functions: kernels, plan, constants,
    libraries: librariesOf(plan, session),
    constantBytes: (name) => session.constantBytes(module, constants.get(name)!),
  };
}

function librariesOf(plan: RegionPlan | null, session: Session): CodegenRegion['libraries'] {
  const called = new Set(plan?.launches.map((launch) => launch.extern?.library));
  return session.registry.libraries.filter((l) => called.has(l.name));
}

/** Which rule took which operators, as partitioning noted it on the region. */
function matchesOf(fn: GraphFunction): CodegenRegion['matches'] {
  const noted = fn.attrs['matches'];
  return Array.isArray(noted) ? (noted as unknown as CodegenRegion['matches']) : [];
}
