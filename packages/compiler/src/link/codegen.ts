import { diagnosticOf, type CodegenBlob, type CodegenRegion, type ConstantDecl, type GraphFunction, type IRModule, type RegionPlan, type TargetContext, type TensorFunction } from '@tenon/plugin';
import { contextFor, type ResolvedTarget, type Session } from '@tenon/core';
import { planRegion } from '../memory/plan-region.ts';
import { dimScope } from '../graph.ts';
import { collectDims } from './dims.ts';

/** A code generator's output, with the target that it came from. */
export interface GeneratedBlob {
  readonly target: string;
  readonly blob: CodegenBlob;
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

/** Hands all regions of a target to its code generator. */
export async function generate(
  module: IRModule, session: Session, target: ResolvedTarget, plans: ReadonlyMap<string, RegionPlan>, isHost: boolean,
): Promise<readonly GeneratedBlob[]> {
  const ctx = contextFor(session, target) as unknown as TargetContext;
  const regions: CodegenRegion[] = [];
  for (const fn of module.functions.values()) {
    if (fn.kind === 'graph' && fn.attrs['target'] === target.name) regions.push(codegenRegion(fn, module, plans.get(fn.name) ?? null, session));
  }
  if (regions.length === 0) return [];
  session.progress(`generate ${target.name}`);
  try {
    const blobs = await session.registry.targets.get(target.name)!.codegen(regions, ctx);
    session.hooks.codegenDone.call(target.name, blobs);
    return blobs.map((blob) => ({ target: target.name, blob }));
  } catch (error) {
    if (isHost || session.signal.aborted || session.config.partition?.fallback === 'none') throw error;
    const cause = diagnosticOf(error);
    session.report({
      code: 'codegen/failed', message: `${target.name} could not generate code, so its ${regions.length} regions run on the host: ${cause?.message ?? String(error)}`,
      hint: cause?.hint ?? 'Report this to the authors of the target.', related: cause === null ? [] : [cause],
    });
    return [];
  }
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
