import { condition, intrinsicsOf, type Expr, type ScheduleRule, type Stmt, type TargetContext, type TensorFunction } from '@tenon/plugin';
import { buffersOf, loadsOf, seq, type Exprs } from '@tenon/core';
import { formed, Names, parallelOver, stagesOf, type FormedStage, type Stage } from '@tenon/schedule';
import { lanes } from './machine.ts';
import { rowByRow } from './row-by-row.ts';
import { segments } from './segments.ts';
import { emitCompute, emitReduce, fuse, unroll, type StageContext } from './stage.ts';
import { emitTransposed, transposed } from './transposed.ts';

/** Elements that one step of a parallel loop over a flat tensor takes. */
const chunk = 4096;

/**
 * The default: stages that share leading axes run row by row, all stages of a row before the next row, so that
 * intermediate results stay in cache; rows run in parallel, the innermost axis in vectors.
 */
export const rows: ScheduleRule = {
  id: 'cpu-c/rows',
  target: 'cpu-c',
  specificity: 0,
  doc: 'Parallel over common leading axes, vectors along the innermost axis.',
  require: [condition.stages()],
  apply: (fn, ctx) => scheduleStages(fn, stagesOf(fn)!.stages, ctx),
};

export function stageContext(fn: TensorFunction, ctx: TargetContext): StageContext {
  return { exprs: ctx.exprs, names: new Names(fn), buffers: buffersOf(fn), width: (dtype) => unroll * lanes(ctx, dtype), intrinsics: intrinsicsOf(ctx) };
}

export function scheduleStages(fn: TensorFunction, stages: readonly Stage[], ctx: TargetContext): TensorFunction {
  const staged = stagesOf(fn)!;
  const context = stageContext(fn, ctx);
  const forms = stages.map(formed);
  const everyStage = forms.every((f) => f !== null) ? (forms as FormedStage[]) : null;
  const common = everyStage === null || stages.length === 1 ? 0 : commonPrefix(context, everyStage);
  // Rows that are one row keep nothing in cache, and nobody else busy.
  const prefix = everyStage !== null && ctx.exprs.valueOf(ctx.exprs.product(everyStage[0]!.spatial.slice(0, common).map((i) => i.extent))) === 1 ? 0 : common;
  let body: Stmt;
  let globals = staged.temporaries;
  if (everyStage !== null && prefix > 0) {
    body = rowByRow(context, everyStage, prefix, staged.temporaries, ctx);
    globals = [];
  } else {
    body = seq(launches(context, stages));
  }
  for (const buffer of [...globals].reverse()) body = { kind: 'alloc', buffer, body };
  return { ...fn, body };
}

/** Stages as launches of their own, cut where their conditions change. */
export function launches(ctx: StageContext, stages: readonly Stage[]): readonly Stmt[] {
  return stages.flatMap((stage) => segments(ctx.exprs as Exprs, stage)).map((stage) => {
    const form = formed(stage);
    return form === null ? opaque(ctx, stage) : emitStage(ctx, form);
  });
}

/** One stage as a launch of its own. */
function emitStage(ctx: StageContext, s: FormedStage): Stmt {
  const { exprs } = ctx;
  if (s.form.kind === 'compute') {
    const flat = fuse(ctx, s, s.spatial) ?? (s.spatial.length === 1 ? { extent: s.spatial[0]!.extent, indices: (f: Expr) => [f] } : null);
    const size = flat === null ? null : exprs.valueOf(flat.extent);
    if (flat !== null && (size === null || size > chunk)) {
      // The whole tensor as one row, cut into chunks.
      const iter = { name: ctx.names.fresh('v'), type: 'spatial' as const, extent: flat.extent, binding: exprs.int(0) };
      const value = exprs.variable(iter.name);
      const inlined: FormedStage = { ...s, spatial: [iter], form: atIndices(exprs as Exprs, s, flat.indices(value)) };
      const blocks = exprs.ceildiv(flat.extent, chunk);
      return parallelOver(ctx, [blocks], ([block]) => {
        const start = exprs.mul(block!, chunk);
        const full = shifted(ctx, inlined, iter.name, start, exprs.int(chunk));
        if (size !== null && size % chunk === 0) return full;
        const count = size === null ? exprs.sub(flat.extent, start) : exprs.int(size % chunk);
        const rest = shifted(ctx, inlined, iter.name, start, count);
        return { kind: 'if', condition: exprs.le(exprs.add(start, chunk), flat.extent), then: full, otherwise: rest };
      });
    }
  }
  const across = s.form.kind === 'compute' ? transposed(ctx, s) : null;
  if (across !== null) return emitTransposed(ctx, s, across);
  const outer = s.spatial.slice(0, -1);
  const last = s.spatial.slice(-1);
  const emit = s.form.kind === 'compute' ? emitCompute : emitReduce;
  // Few outer points: let the last axis take part in the parallel loop of a reduction.
  const points = exprs.valueOf(exprs.product(outer.map((i) => i.extent)));
  if (s.form.kind === 'reduce' && points === 1 && s.reduce.length > 0) {
    return parallelOver(ctx, s.spatial.map((i) => i.extent), (indices) =>
      emitReduce(ctx, s, [], new Map(s.spatial.map((iter, i) => [iter.name, indices[i]!]))));
  }
  return parallelOver(ctx, outer.map((i) => i.extent), (indices) =>
    emit(ctx, s, last, new Map(outer.map((iter, i) => [iter.name, indices[i]!]))));
}

function atIndices(exprs: Exprs, s: FormedStage, indices: readonly Expr[]): FormedStage['form'] {
  const values = new Map(s.spatial.map((iter, i) => [iter.name, indices[i]!]));
  return {
    ...s.form,
    store: { ...s.form.store, indices: s.form.store.indices.map((e) => exprs.substitute(e, values)), value: exprs.substitute(s.form.store.value, values) },
  };
}

function shifted(ctx: StageContext, s: FormedStage, name: string, start: Expr, count: Expr): Stmt {
  const { exprs } = ctx;
  const iter = { name: ctx.names.fresh('v'), type: 'spatial' as const, extent: count, binding: exprs.int(0) };
  const at = new Map([[name, exprs.add(start, exprs.variable(iter.name))]]);
  const moved: FormedStage = {
    ...s, spatial: [iter],
    form: { ...s.form, store: { ...s.form.store, indices: s.form.store.indices.map((e) => exprs.substitute(e, at)), value: exprs.substitute(s.form.store.value, at) } },
  };
  return emitCompute(ctx, moved, [iter], new Map());
}

/** An opaque block: its iterations are independent, so all of them run in parallel. */
function opaque(ctx: StageContext, stage: Stage): Stmt {
  const spatial = stage.block.iters.filter((i) => i.type === 'spatial');
  if (spatial.length !== stage.block.iters.length || stage.block.init !== null || stage.block.predicate !== null) {
    return stage.loops.reduceRight<Stmt>((inside, l) => ({ ...l, body: inside }), stage.block);
  }
  const nest = parallelOver(ctx, spatial.map((i) => i.extent), (indices) =>
    spatial.reduceRight<Stmt>((body, iter, i) => ({ kind: 'let', variable: iter.name, value: indices[i]!, body }), stage.block.body));
  return nest.kind === 'for' ? { ...nest, annotations: { ...nest.annotations, ...stage.block.annotations } } : nest;
}

/**
 * How many leading axes all stages share: same extents, whatever a stage wrote read at the indices that it was written at, so that a
 * row needs nothing of other rows.
 */
function commonPrefix(ctx: StageContext, stages: readonly FormedStage[]): number {
  const { exprs } = ctx;
  /** How far an index of an axis is from the axis' variable, which of an axis of size one may be left out. */
  const shift = (s: FormedStage, axis: number, index: Expr | undefined): number | null => {
    if (index === undefined) return null;
    const { name, extent } = s.spatial[axis]!;
    return exprs.valueOf(exprs.sub(index, exprs.variable(name))) ?? (exprs.valueOf(extent) === 1 ? exprs.valueOf(index) : null);
  };
  const [first] = stages;
  let prefix = 0;
  for (; prefix < first!.spatial.length; prefix++) {
    const extent = first!.spatial[prefix]!.extent;
    if (!stages.every((s) => s.spatial[prefix]?.extent === extent)) break;
    const written = new Map<string, number>();
    const stays = stages.every((s) => {
      const { buffer, indices } = s.form.store;
      const at = shift(s, prefix, indices[prefix]);
      if (at === null || (written.get(buffer) ?? at) !== at) return false;
      written.set(buffer, at);
      return true;
    }) && stages.every((s) => loadsOf(s.stage.block).every((l) => {
      const at = written.get(l.value as string);
      return at === undefined || shift(s, prefix, l.args[prefix]) === at;
    }));
    if (!stays) break;
  }
  return prefix;
}
