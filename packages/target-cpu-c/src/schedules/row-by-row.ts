import type { Buffer, Expr, Stmt, TargetContext } from '@tenon/plugin';
import { mapChildren, seq, type Exprs } from '@tenon/core';
import { loop, parallelOver, type FormedStage } from '@tenon/schedule';
import { rolled } from '../annotations.ts';
import { bytesOf, cacheBytes } from './machine.ts';
import { emitCompute, emitReduce, type StageContext } from './stage.ts';

/**
 * Stages that share `prefix` leading axes, row by row: all of them for a row, or for a few rows, before the next. Temporaries have
 * only these rows.
 */
export function rowByRow(ctx: StageContext, stages: readonly FormedStage[], prefix: number, temporaries: readonly Buffer[], target: TargetContext): Stmt {
  const { exprs } = ctx;
  const extents = stages[0]!.spatial.slice(0, prefix).map((i) => i.extent);
  const local = new Set(temporaries.map((b) => b.name));
  const { axis, rows: together } = rowsTogether(ctx, stages, prefix, extents, target);
  const counts = extents.map((e, i) => (i === axis ? exprs.ceildiv(e, together) : e));
  return parallelOver(ctx, counts, (points) => {
    const first = exprs.mul(points[axis]!, together);
    const extent = extents[axis]!;
    const exact = exprs.valueOf(exprs.mod(extent, together)) === 0;
    const count = exact ? exprs.int(together) : exprs.min(exprs.int(together), exprs.sub(extent, first));
    const inner = seq(stages.map((s) => {
      // Of a temporary only the current rows exist.
      const at = (row: Expr | null): Stmt => {
        const indices = points.map((p, i) => (i === axis && row !== null ? exprs.add(first, row) : p));
        const values = new Map(s.spatial.slice(0, prefix).map((iter, i) => [iter.name, indices[i]!]));
        const rest = s.spatial.slice(prefix);
        return inRow(exprs as Exprs, s.form.kind === 'compute' ? emitCompute(ctx, s, rest, values) : emitReduce(ctx, s, rest, values), local, prefix, row);
      };
      if (together === 1) return at(null);
      const over = loop(ctx, count, 'serial', at);
      return { ...over, annotations: { [rolled]: true } };
    }));
    let body = inner;
    for (const buffer of [...temporaries].reverse()) {
      const row = buffer.shape.slice(prefix);
      body = { kind: 'alloc', buffer: { ...buffer, shape: together === 1 ? row : [exprs.int(together), ...row], scope: 'local' }, body };
    }
    return body;
  });
}

/** Rows that are enough for one to compute while another waits for its sum. */
const mostRows = 4;
/** Fewer steps of the parallel loop than this would leave threads without work. */
const fewestSteps = 32;

/**
 * How many rows go through the stages together, and along which axis. A reduction ends in a chain of dependent steps that is as
 * long as all of a short row: those of several rows overlap. Not more rows than the first cache level holds.
 */
function rowsTogether(ctx: StageContext, stages: readonly FormedStage[], prefix: number, extents: readonly Expr[], target: TargetContext): { readonly axis: number; readonly rows: number } {
  const { exprs } = ctx;
  const axis = extents.findLastIndex((e) => exprs.valueOf(e) !== 1);
  if (axis < 0 || !stages.some((s) => s.form.kind === 'reduce')) return { axis: Math.max(axis, 0), rows: 1 };
  let most = mostRows;
  for (const s of stages) {
    const elements = exprs.valueOf(exprs.product([...s.spatial.slice(prefix), ...s.reduce].map((i) => i.extent)));
    // What is read and what is written.
    const bytes = 2 * (bytesOf[s.form.store.value.dtype] ?? 4);
    most = Math.min(most, elements === null ? 2 : Math.floor(cacheBytes(target, 1) / (elements * bytes)));
  }
  const all = exprs.valueOf(exprs.product(extents));
  if (all !== null) most = Math.min(most, Math.floor(all / fewestSteps));
  const extent = exprs.valueOf(extents[axis]!);
  // As equal as they can be.
  const rows = extent === null || most < 1 ? most : Math.ceil(extent / Math.ceil(extent / most));
  return { axis, rows: Math.max(1, rows) };
}

/** The statement with temporaries of one row, or of the rows that `row` counts, in the place of whole ones. */
function inRow(exprs: Exprs, stmt: Stmt, buffers: ReadonlySet<string>, axes: number, row: Expr | null): Stmt {
  const indicesOf = (indices: readonly Expr[]): readonly Expr[] => [...(row === null ? [] : [row]), ...indices.slice(axes)];
  const expr = (e: Expr): Expr =>
    exprs.transform(e, (x) => (x.op === 'load' && buffers.has(x.value as string) ? exprs.make('load', x.dtype, indicesOf(x.args), x.value) : x));
  const visit = (s: Stmt): Stmt => {
    const inside = mapChildren(s, visit);
    switch (inside.kind) {
      case 'store':
        return { ...inside, indices: (buffers.has(inside.buffer) ? indicesOf(inside.indices) : inside.indices).map(expr), value: expr(inside.value) };
      case 'let': case 'evaluate':
        return { ...inside, value: expr(inside.value) };
      case 'if': case 'while':
        return { ...inside, condition: expr(inside.condition) };
      default:
        return inside;
    }
  };
  return visit(stmt);
}

