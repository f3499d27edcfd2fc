import type { Expr, ExprBuilder, Scope, Stmt, TensorFunction, VarFacts } from '@tenon/plugin';
import { blockRegions, buffersOf, loadsOf, mapExpressions, visitStmts, type Exprs } from '@tenon/core';
import { computeForm, fromStages, stagesOf, type Stage } from './stages.ts';

/** Facts about the iteration variables of a stage, on top of facts about dims. */
export function stageScope(stage: Stage, dims: Scope, exprs: ExprBuilder): Scope {
  const scope = new Map<string, VarFacts>(dims);
  for (const loop of stage.loops) scope.set(loop.variable, { min: 0, max: exprs.sub(loop.extent, 1) });
  for (const iter of stage.block.iters) scope.set(iter.name, { min: 0, max: exprs.sub(iter.extent, 1) });
  return scope;
}

/** How many loads of a buffer a statement holds. */
export function countLoads(stmt: Stmt, buffer: string): number {
  return loadsOf(stmt).filter((l) => l.value === buffer).length;
}

/**
 * compute_inline: replaces every load of a temporary by the value stored there, and removes the stage that stores it.
 * The temporary must be written by one stage of the form `t[v…] = value`.
 */
export function computeInline(fn: TensorFunction, buffer: string, exprs: ExprBuilder, dims: Scope): TensorFunction {
  const staged = stagesOf(fn);
  const producer = staged?.stages.find((s) => computeForm(s.block)?.store.buffer === buffer);
  const form = producer === undefined ? null : computeForm(producer.block);
  if (staged === null || producer === undefined || form === null || form.kind !== 'compute' || !canInline(fn, buffer)) {
    throw new RangeError(`compute_inline: ${buffer} is not a temporary with a single defining stage t[v…] = value`);
  }
  const declared = buffersOf(fn);
  const inline = (e: Expr): Expr =>
    (exprs as Exprs).transform(e, (x) => {
      if (x.op !== 'load' || x.value !== buffer) return x;
      return exprs.substitute(form.store.value, new Map(form.spatial.map((name, i) => [name, x.args[i]!])));
    });
  const stages = staged.stages.filter((s) => s !== producer).map((stage) => {
    if (!loadsOf(stage.block).some((l) => l.value === buffer)) return stage;
    const scope = stageScope(stage, dims, exprs);
    const block = mapExpressions({ ...stage.block, reads: [], writes: [] }, (e) => exprs.simplify(inline(e), scope));
    if (block.kind !== 'block') return stage;
    return { loops: stage.loops, block: { ...block, ...blockRegions(block.init, block.body, declared.values(), exprs) } };
  });
  return fromStages(fn, { temporaries: staged.temporaries.filter((b) => b.name !== buffer), stages });
}

/** Whether a buffer is a temporary that exactly one stage of the form `t[v…] = value` stores to. */
export function canInline(fn: TensorFunction, buffer: string): boolean {
  const staged = stagesOf(fn);
  if (staged === null || !staged.temporaries.some((b) => b.name === buffer)) return false;
  let writers = 0;
  let ok = true;
  for (const stage of staged.stages) {
    visitStmts(stage.block, (s) => {
      if (s.kind === 'store' && s.buffer === buffer) writers++;
    });
    const form = computeForm(stage.block);
    if (form?.store.buffer === buffer && (form.kind !== 'compute' || countLoads(stage.block, buffer) > 0)) ok = false;
  }
  return ok && writers === 1;
}
