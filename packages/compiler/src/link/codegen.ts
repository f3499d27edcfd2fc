import { diagnosticOf, type CodegenBlob, type CodegenRegion, type ConstantDecl, type GraphFunction, type IRModule, type RegionPlan, type TargetContext, type TensorFunction } from '@tenon/plugin';
import { contextFor, type ResolvedTarget, type Session } from '@tenon/core';
import { planRegion } from '../memory/plan-region.ts';
import { dimScope } from '../graph.ts';
import { collectDims } from './dims.ts';

/** The output of all code generators, and the plans they worked from. */
export interface Generated {
  readonly blobs: readonly { readonly target: string; readonly blob: CodegenBlob }[];
  readonly plans: ReadonlyMap<string, RegionPlan>;
}

/** Plans the kernel regions of a target and hands all its regions to its code generator. */
export async function generate(module: IRModule, session: Session, target: ResolvedTarget, isHost: boolean): Promise<Generated & { readonly module: IRModule }> {
  const regions: CodegenRegion[] = [];
  const plans = new Map<string, RegionPlan>();
  const functions = new Map(module.functions);
  const ctx = contextFor(session, target) as unknown as TargetContext;
  for (const fn of module.functions.values()) {
    if (fn.kind !== 'graph' || fn.attrs['target'] !== target.name) continue;
    const current = { ...module, functions };
    const planned = target.form === 'kernels' ? planRegion(fn, current, ctx) : null;
    for (const added of planned?.functions.values() ?? []) functions.set(added.name, added);
    if (planned !== null) plans.set(fn.name, planned.plan);
    regions.push(codegenRegion(fn, { ...module, functions }, planned?.plan ?? null, session));
  }
  const planned = { ...module, functions };
  if (regions.length === 0) return { module: planned, blobs: [], plans };
  session.progress(`generate ${target.name}`);
  try {
    const blobs = await session.registry.targets.get(target.name)!.codegen(regions, ctx);
    session.hooks.codegenDone.call(target.name, blobs);
    return { module: planned, blobs: blobs.map((blob) => ({ target: target.name, blob })), plans };
  } catch (error) {
    if (isHost || session.signal.aborted || session.config.partition?.fallback === 'none') throw error;
    const cause = diagnosticOf(error);
    session.report({
      code: 'codegen/failed', message: `${target.name} could not generate code, so its ${regions.length} regions run on the host: ${cause?.message ?? String(error)}`,
      hint: cause?.hint ?? 'Report this to the authors of the target.', related: cause === null ? [] : [cause],
    });
    return { module: planned, blobs: [], plans };
  }
}

function codegenRegion(fn: GraphFunction, module: IRModule, plan: RegionPlan | null, session: Session): CodegenRegion {
  const kernels = new Map<string, TensorFunction>();
  for (const launch of plan?.launches ?? []) {
    const kernel = module.functions.get(launch.kernel);
    if (kernel?.kind === 'tensor') kernels.set(launch.kernel, kernel);
  }
  const constants = new Map<string, ConstantDecl>();
  for (const binding of fn.bindings) {
    for (const arg of binding.args) if (arg?.constant) constants.set(arg.name, module.constants.get(arg.name)!);
  }
  for (const result of fn.results) if (result.constant) constants.set(result.name, module.constants.get(result.name)!);
  return {
    name: fn.name, graph: fn, dims: plan?.dims ?? collectDims(fn, session.exprs), facts: dimScope(module), functions: kernels, plan, constants,
    constantBytes: (name) => session.constantBytes(module, constants.get(name)!),
  };
}
