import type { Block, Expr, ExprBuilder, Scope, Stmt, TensorFunction, VarFacts } from '@tenon/plugin';
import { blockRegions, buffersOf, loadsOf, mapExpressions, visitStmts, type Exprs } from '@tenon/core';
import { computeForm, fromStages, isVariable, stagesOf, type ComputeForm, type Stage } from './stages.ts';

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
 * compute_inline: replaces every load of temporaries by the values stored there, and removes the stages that store them.
 * Each temporary must be written by one stage of the form `t[v…] = value`. Takes all of them at once, so that the time
 * follows the size of what comes out, however long the chain.
 */
export function computeInline(fn: TensorFunction, buffers: Iterable<string>, exprs: ExprBuilder, dims: Scope): TensorFunction {
  const wanted = new Set(buffers);
  if (wanted.size === 0) return fn;
  const staged = stagesOf(fn);
  const definitions = definitionsOf(fn);
  for (const buffer of wanted) {
    if (!definitions.has(buffer)) throw new RangeError(`compute_inline: ${buffer} is not a temporary with a single defining stage t[v…] = value`);
  }
  const values = new Map<Expr, Expr>();
  const inline = (e: Expr): Expr => (exprs as Exprs).transform(e, (x) => (x.op === 'load' && wanted.has(x.value as string) ? valueAt(x) : x));
  const valueAt = (load: Expr): Expr => {
    let value = values.get(load);
    if (value === undefined) {
      const { spatial, store } = definitions.get(load.value as string)!;
      value = inline(exprs.substitute(store.value, new Map(spatial.map((name, i) => [name, load.args[i]!]))));
      values.set(load, value);
    }
    return value;
  };
  const declared = buffersOf(fn);
  const stages = staged!.stages.filter((s) => !wanted.has(computeForm(s.block)?.store.buffer ?? '')).map((stage) => {
    if (!loadsOf(stage.block).some((l) => wanted.has(l.value as string))) return stage;
    const scope = stageScope(stage, dims, exprs);
    const block = mapExpressions({ ...stage.block, reads: [], writes: [] }, (e) => exprs.simplify(inline(e), scope)) as Block;
    return { loops: stage.loops, block: { ...block, ...blockRegions(block.init, block.body, declared.values(), exprs) } };
  });
  return fromStages(fn, { temporaries: staged!.temporaries.filter((b) => !wanted.has(b.name)), stages });
}

/** The temporaries that exactly one stage of the form `t[v…] = value` stores to. */
export function inlinable(fn: TensorFunction): ReadonlySet<string> {
  return new Set(definitionsOf(fn).keys());
}

function definitionsOf(fn: TensorFunction): ReadonlyMap<string, ComputeForm> {
  const definitions = new Map<string, ComputeForm>();
  const staged = stagesOf(fn);
  if (staged === null) return definitions;
  const writers = new Map<string, number>();
  for (const stage of staged.stages) {
    visitStmts(stage.block, (s) => {
      if (s.kind === 'store') writers.set(s.buffer, (writers.get(s.buffer) ?? 0) + 1);
    });
    const form = computeForm(stage.block);
    const inOrder = form?.store.indices.every((e, i) => isVariable(e, form.spatial[i]!));
    if (form?.kind === 'compute' && inOrder && countLoads(stage.block, form.store.buffer) === 0) definitions.set(form.store.buffer, form);
  }
  const temporaries = new Set(staged.temporaries.map((b) => b.name));
  for (const buffer of definitions.keys()) if (!temporaries.has(buffer) || writers.get(buffer) !== 1) definitions.delete(buffer);
  return definitions;
}
