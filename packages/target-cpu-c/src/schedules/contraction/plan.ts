import { condition, type Buffer, type Expr, type IterVar, type KernelCondition, type TargetContext, type TensorFunction } from '@tenon/plugin';
import { loadsOf } from '@tenon/core';
import { combinationOf, flatIndex, formed, inPlace, isVariable, linearIn, oneReduction, stagesOf, unmet, type FormedStage, type Stage } from '@tenon/schedule';
import { lanes } from '../machine.ts';
import { stageContext } from '../rows.ts';
import { splitGroups } from './groups.ts';
import { flatAccesses, type StageContext } from '../stage.ts';

/** One spatial axis of the result, possibly several trailing ones walked as one. */
export interface Axis {
  /** Positions among the result's axes. */
  readonly positions: readonly number[];
  readonly extent: Expr;
  indices(i: Expr): readonly Expr[];
}

/** A constant operand in tiles along one axis: what the tile reads lies together. */
export interface Packed {
  readonly buffer: Buffer;
  readonly axis: Axis;
  /** The axis of the buffer that is tiled, the others in the order of the reduction, and their iteration variables. */
  readonly tiled: number;
  readonly order: readonly number[];
  readonly reduce: readonly string[];
  /** The tiled axis of the buffer consists of groups of so many, and this variable is the group: tiles must not cross groups. */
  readonly group: { readonly name: string; readonly size: number } | null;
}

export interface Plan {
  readonly before: readonly Stage[];
  readonly sum: FormedStage;
  readonly epilogue: FormedStage | null;
  readonly axes: readonly Axis[];
  readonly column: Axis;
  readonly row: Axis | null;
  /** The result is contiguous along the column axis. */
  readonly contiguous: boolean;
  /** Axes that the contiguous operand depends on, besides the columns: they go outside the column tiles. */
  readonly shared: readonly Axis[];
  /** By operand of the product. */
  readonly packed: readonly (Packed | null)[];
}

/** A sum of products, and what comes before and after it. */
export interface SumOfProducts {
  readonly before: readonly Stage[];
  readonly sum: FormedStage;
  readonly epilogue: FormedStage | null;
  readonly operands: readonly [Expr, Expr];
}

/** What {@link sumOfProducts} takes. */
export const sumOfProductsConditions: readonly KernelCondition[] = [
  condition.stages(), condition.reductions(1), condition.combines('add', 'product'), condition.epilogue(1), condition.dtype('f32', 'f64'), condition.axes('spatial', 1), condition.axes('reduce', 1),
];

/** The one sum of products that a function computes; null where {@link sumOfProductsConditions} are not met. */
export function sumOfProducts(fn: TensorFunction, exprs: TargetContext['exprs']): SumOfProducts | null {
  if (unmet(fn, sumOfProductsConditions, exprs) !== null) return null;
  const { before, sum, combination, after } = oneReduction(fn)!;
  return { before, sum, epilogue: after.length === 0 ? null : inPlace(formed(after[0]!)!, sum)!, operands: combination!.value.args as [Expr, Expr] };
}

/** How to tile the sum of products of a function; else why that cannot be done. */
export function analyze(fn: TensorFunction, ctx: TargetContext): Plan | string {
  const found = sumOfProducts(fn, ctx.exprs);
  if (found === null) return 'it is no sum of products';
  const context = stageContext(fn, ctx);
  const { exprs } = ctx;
  const { before } = found;
  const { sum: whole, epilogue } = splitGroups(context, found.sum, found.epilogue);
  const operands = combinationOf(whole.form.store)!.value.args as [Expr, Expr];
  if ([...found.sum.spatial, ...found.sum.reduce].some((i) => exprs.valueOf(i.extent) === 0)) return 'there are no elements';
  const { dtype } = whole.form.store.value;
  const flat = operands.map((l) => flatIndex(exprs, context.buffers.get(l.value as string)!.shape, l.args));
  const last = epilogue ?? whole;
  const result = flatIndex(exprs, context.buffers.get(last.form.store.buffer)!.shape, last.form.store.indices);
  const width = lanes(ctx, dtype);
  let best: { score: number; plan: Plan } | null = null;
  for (const [w, x] of [[0, 1], [1, 0]] as const) {
    const sum = { ...whole, reduce: contiguousLast(exprs, whole.reduce, flat[x]!) };
    const axes = mergeAxes(context, sum, epilogue);
    const along = (index: Expr, axis: Axis, s: FormedStage): number | null => {
      const values = new Map(axis.positions.map((p, k) => [s.spatial[p]!.name, axis.indices(exprs.variable('f_0'))[k]!]));
      return linearIn(exprs, exprs.substitute(index, values), 'f_0');
    };
    for (const column of axes) {
      if (exprs.valueOf(column.extent) === 1) continue;
      const packedColumns = packable(fn, context, sum, operands[w]!, column);
      if (packedColumns === null && along(flat[w]!, column, sum) !== 1) continue;
      // Along the columns the other operand is one number for all, or it lies as they do (a depthwise convolution).
      const alongColumns = along(flat[x]!, column, sum);
      if (alongColumns !== 0 && (alongColumns !== 1 || packedColumns === null)) continue;
      const rows = axes.filter((a) => a !== column && exprs.valueOf(a.extent) !== 1 && along(flat[w]!, a, sum) === 0 && along(flat[x]!, a, sum) !== 0);
      const row = rows.reduce<Axis | null>((most, a) => (most === null || size(exprs.valueOf(a.extent)) >= size(exprs.valueOf(most.extent)) ? a : most), null);
      const contiguous = along(result, column, last) === 1;
      const score = utilization(exprs.valueOf(column.extent), width) + (contiguous ? 0.3 : 0) + (row === null ? 0 : 0.5);
      if (best !== null && best.score >= score) continue;
      const shared = axes.filter((a) => a !== column && a !== row && along(flat[w]!, a, sum) !== 0);
      const packed: (Packed | null)[] = [null, null];
      packed[w] = packedColumns;
      packed[x] = row === null ? null : packable(fn, context, sum, operands[x]!, row);
      best = { score, plan: { before, sum, epilogue, axes, column, row, contiguous, shared, packed } };
    }
  }
  return best?.plan ?? 'no axis is contiguous in one operand and constant in the other';
}

/** The axes of a reduction with that of the smallest step through an operand innermost. */
function contiguousLast(exprs: TargetContext['exprs'], reduce: readonly IterVar[], index: Expr): readonly IterVar[] {
  const step = (iter: IterVar): number => linearIn(exprs, index, iter.name) ?? Infinity;
  const steps = new Map(reduce.map((iter) => [iter, step(iter)]));
  // An operand that does not depend on an axis is read again and again: that axis stays where it is.
  if ([...steps.values()].some((s) => s === Infinity || s <= 0)) return reduce;
  return [...reduce].sort((a, b) => steps.get(b)! - steps.get(a)!);
}

/** How a constant operand can be packed in tiles along an axis: it must be indexed by that axis and the reduction alone. */
export function packable(fn: TensorFunction, ctx: StageContext, sum: FormedStage, load: Expr, axis: Axis): Packed | null {
  const constants = fn.attrs['constants'];
  const input = fn.inputs.findIndex((b) => b.name === load.value);
  if (!Array.isArray(constants) || !constants.includes(input) || axis.positions.length !== 1) return null;
  const buffer = fn.inputs[input]!;
  if (buffer.shape.some((d) => ctx.exprs.valueOf(d) === null)) return null;
  // Read elsewhere too, the buffer must stay as it is.
  const loads = new Set(stagesOf(fn)!.stages.flatMap((s) => loadsOf(s.block)).filter((l) => l.value === load.value));
  if (loads.size !== 1) return null;
  const iter = sum.spatial[axis.positions[0]!]!;
  const tiled = load.args.findIndex((e) => linearIn(ctx.exprs, e, iter.name) === 1);
  if (tiled < 0) return null;
  const group = groupOf(ctx.exprs, load.args[tiled]!, iter, sum);
  if (group === undefined) return null;
  const reduce = sum.reduce.filter((r) => load.args.some((e) => isVariable(e, r.name)));
  const order = reduce.map((r) => load.args.findIndex((e) => isVariable(e, r.name)));
  const all = new Set([tiled, ...order]);
  // What is left must be axes of size one.
  const rest = load.args.flatMap((e, i) => (all.has(i) ? [] : [{ e, i }]));
  if (all.size !== order.length + 1 || !rest.every(({ e, i }) => ctx.exprs.valueOf(e) === 0 && ctx.exprs.valueOf(buffer.shape[i]!) === 1)) return null;
  return { buffer, axis, tiled, order: [...rest.map(({ i }) => i), ...order], reduce: reduce.map((r) => r.name), group };
}

/** What an index has beside an axis: nothing (null), groups of its size, or something else (undefined). */
function groupOf(exprs: TargetContext['exprs'], index: Expr, iter: IterVar, sum: FormedStage): Packed['group'] | undefined {
  const rest = exprs.sub(index, exprs.variable(iter.name));
  if (exprs.valueOf(rest) === 0) return null;
  const size = exprs.valueOf(iter.extent);
  const outer = sum.spatial.find((i) => i !== iter && size !== null && rest === exprs.mul(exprs.variable(i.name), size));
  return outer === undefined ? undefined : { name: outer.name, size: size! };
}

/** Symbolic extents count as large. */
const size = (extent: number | null): number => extent ?? 4096;

/** The share of lanes that do useful work. */
function utilization(extent: number | null, width: number): number {
  return extent === null ? 0.9 : extent / (Math.ceil(extent / width) * width);
}

/** Neighbouring axes become one where every access walks them at one step (the pixels of a 1×1 convolution). */
function mergeAxes(ctx: StageContext, sum: FormedStage, epilogue: FormedStage | null): Axis[] {
  const { exprs } = ctx;
  const rank = sum.spatial.length;
  const single = (p: number): Axis => ({ positions: [p], extent: sum.spatial[p]!.extent, indices: (i) => [i] });
  const walks = (s: FormedStage, run: readonly number[]): boolean => {
    const indices = splitIndex(exprs, exprs.variable('f_0'), run.map((p) => s.spatial[p]!.extent));
    const values = new Map(run.map((p, k) => [s.spatial[p]!.name, indices[k]!]));
    return flatAccesses(ctx, s).every((e) => linearIn(exprs, exprs.substitute(e, values), 'f_0') !== null);
  };
  const axes: Axis[] = [];
  for (let from = 0; from < rank; ) {
    // An axis of size one has nothing to walk: a run neither begins nor ends with one.
    const unit = (p: number): boolean => exprs.valueOf(sum.spatial[p]!.extent) === 1;
    let end = unit(from) ? from + 1 : rank;
    for (; end > from + 1; end--) {
      if (unit(end - 1)) continue;
      const run = Array.from({ length: end - from }, (_, k) => from + k);
      if (walks(sum, run) && (epilogue === null || walks(epilogue, run))) break;
    }
    if (end === from + 1) axes.push(single(from));
    else {
      const positions = Array.from({ length: end - from }, (_, k) => from + k);
      const extents = positions.map((p) => sum.spatial[p]!.extent);
      axes.push({ positions, extent: exprs.product(extents), indices: (i) => splitIndex(exprs, i, extents) });
    }
    from = end;
  }
  return axes;
}

/** The indices of a row-major position in a box. */
function splitIndex(exprs: TargetContext['exprs'], at: Expr, extents: readonly Expr[]): Expr[] {
  const out: Expr[] = extents.map(() => exprs.int(0));
  let rest = at;
  for (let k = extents.length - 1; k >= 0; k--) {
    if (exprs.valueOf(extents[k]!) === 1) continue;
    const first = extents.slice(0, k).every((e) => exprs.valueOf(e) === 1);
    out[k] = first ? rest : exprs.mod(rest, extents[k]!);
    rest = exprs.floordiv(rest, extents[k]!);
  }
  return out;
}
