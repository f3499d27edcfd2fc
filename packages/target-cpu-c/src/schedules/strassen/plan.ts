import type { Expr, TargetContext, TensorFunction } from '@tenon/plugin';
import { combinationOf, flatIndex, linearIn } from '@tenon/schedule';
import { analyze, type Axis, type Packed, type Plan } from '../contraction/plan.ts';
import { stageContext } from '../rows.ts';

/** A product of matrices, the right one constant, whose rows, columns and sums can be halved. */
export interface Halves {
  readonly plan: Plan;
  /** Which operand of the product is the left matrix: 0 or 1. */
  readonly left: 0 | 1;
  readonly weights: Packed;
  readonly row: Axis;
  /** The position among the reduction's axes that is summed over; others have one element. */
  readonly summed: number;
  /** Other axes of the result. */
  readonly free: readonly Axis[];
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  /** Points of the free axes. */
  readonly points: number;
}

/** How to halve the product of matrices that a function is; else why that cannot be done. */
export function halvesOf(fn: TensorFunction, ctx: TargetContext): Halves | string {
  const plan = analyze(fn, ctx);
  if (typeof plan === 'string') return plan;
  const { exprs } = ctx;
  const { sum, row, column } = plan;
  const context = stageContext(fn, ctx);
  const operands = combinationOf(sum.form.store)!.value.args;
  const right = plan.packed.findIndex((p) => p?.axis === column);
  const weights = plan.packed[right] ?? null;
  if (weights === null || plan.packed.some((p, i) => p !== null && i !== right)) return 'it has not one constant operand';
  if (row === null) return 'there is one row';
  if (weights.group !== null || plan.shared.length > 0) return 'it is several products with different matrices';
  const extents = sum.reduce.map((r) => exprs.valueOf(r.extent)!);
  const summed = extents.findIndex((n) => n > 1);
  if (summed < 0 || extents.some((n, i) => n > 1 && i !== summed)) return 'it sums over several axes';
  const index = operands[1 - right]!;
  if (linearIn(exprs, flatIndex(exprs, context.buffers.get(index.value as string)!.shape, index.args), sum.reduce[summed]!.name) !== 1) return 'what is summed does not lie together';
  if (!plan.contiguous) return 'columns of the result do not lie together';
  const init = sum.form.init!.value;
  if (init.op !== 'const' || Number(init.value) !== 0) return 'sums do not begin with zero';
  const [rows, columns, depth] = [row.extent, column.extent, sum.reduce[summed]!.extent].map((e: Expr) => exprs.valueOf(e)!) as [number, number, number];
  if (columns % 2 !== 0 || depth % 2 !== 0) return 'it has an odd number of columns or of elements to sum';
  if (rows < 2) return 'there is one row';
  const free = plan.axes.filter((a) => a !== column && a !== row);
  return { plan, left: (1 - right) as 0 | 1, weights, row, summed, free, rows, columns, depth, points: exprs.valueOf(exprs.product(free.map((a) => a.extent)))! };
}
