import type { Expr, IterVar, TensorFunction } from '@tenon/plugin';
import { loadsOf } from '@tenon/core';
import { combinationOf, type Combination } from './primitives/reduction-form.ts';
import { computeForm, isVariable, stagesOf, type ComputeForm, type Stage } from './stages.ts';

/** A stage of known form, with what schedules ask of it. */
export interface FormedStage {
  readonly stage: Stage;
  readonly form: ComputeForm;
  readonly spatial: readonly IterVar[];
  readonly reduce: readonly IterVar[];
}

export function formed(stage: Stage): FormedStage | null {
  const form = computeForm(stage.block);
  if (form === null) return null;
  return {
    stage, form,
    spatial: stage.block.iters.filter((i) => i.type === 'spatial'),
    reduce: stage.block.iters.filter((i) => i.type === 'reduce'),
  };
}

/** The one reduction of a function, and the stages around it. */
export interface OneReduction {
  readonly before: readonly Stage[];
  readonly sum: FormedStage;
  /** null: it is not known to be associative and commutative. */
  readonly combination: Combination | null;
  readonly after: readonly Stage[];
  /** Its result is an output of the function. */
  readonly returned: boolean;
}

/** How many stages of a function reduce; null where it is no sequence of stages. */
export function countReductions(fn: TensorFunction): number | null {
  return stagesOf(fn)?.stages.filter((stage) => formed(stage)?.form.kind === 'reduce').length ?? null;
}

/** The one reduction of a function; null where there is none, or another. */
export function oneReduction(fn: TensorFunction): OneReduction | null {
  const staged = stagesOf(fn);
  if (staged === null || countReductions(fn) !== 1) return null;
  const at = staged.stages.findIndex((stage) => formed(stage)?.form.kind === 'reduce');
  const sum = formed(staged.stages[at]!)!;
  return {
    before: staged.stages.slice(0, at), sum, combination: combinationOf(sum.form.store), after: staged.stages.slice(at + 1),
    returned: !staged.temporaries.some((b) => b.name === sum.form.store.buffer),
  };
}

/** Whether a value is a product of two loads. */
export const isProductOfLoads = (value: Expr): boolean => value.op === 'mul' && value.args.every((a) => a.op === 'load');

/**
 * An epilogue that reads the sum only at the point that it writes, with its axes in the order that the sum has them (its result
 * may lie otherwise); null where it reads others.
 */
export function inPlace(epilogue: FormedStage, sum: FormedStage): FormedStage | null {
  if (epilogue.form.kind !== 'compute' || epilogue.spatial.length !== sum.spatial.length) return null;
  // A sum that is stored at a distance is read at that distance.
  if (!sum.form.store.indices.every((e, i) => isVariable(e, sum.spatial[i]!.name))) return null;
  const loads = loadsOf(epilogue.stage.block).filter((l) => l.value === sum.form.store.buffer);
  if (loads.length === 0) return null;
  const spatial: IterVar[] = [];
  for (const [i, axis] of sum.spatial.entries()) {
    const indices = loads.map((l) => l.args[i]!);
    const unit = axis.extent.op === 'const' && axis.extent.value === 1;
    const at = epilogue.spatial.find((iter) => iter.extent === axis.extent && !spatial.includes(iter) && indices.every((e) => isVariable(e, iter.name)));
    // An axis of size one may be read at 0.
    const found = at ?? (unit && indices.every((e) => e.op === 'const') ? epilogue.spatial.find((iter) => iter.extent === axis.extent && !spatial.includes(iter) && !loads.some((l) => l.args.some((e) => isVariable(e, iter.name)))) : undefined);
    if (found === undefined) return null;
    spatial.push(found);
  }
  return { ...epilogue, spatial };
}

