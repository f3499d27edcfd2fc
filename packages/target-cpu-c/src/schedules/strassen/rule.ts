import { accept, condition, reject, type ScheduleRule, type TargetContext, type TensorFunction } from '@tenon/plugin';
import { sumOfProductsConditions } from '../contraction/plan.ts';
import { machineOf, weightGrowth } from '../machine.ts';
import { stageContext } from '../rows.ts';
import { microseconds } from '../microseconds.ts';
import { products } from './algorithm.ts';
import { directSeconds, halved } from './cost.ts';
import { emit } from './emit.ts';
import { halvesOf, type Halves } from './plan.ts';

/** The share of the plain product's estimate that this must stay below. */
const worthwhile = 0.95;
const growth = products.length / 4;
/** Bytes of left operands, all of which are made before they are multiplied: more would come from memory, and be much of what a model needs. */
const mostOperands = 32 << 20;

/**
 * Products of matrices by one step of Strassen's algorithm: seven products of halves in place of eight. The constant matrix's sums of quadrants are made when it is
 * packed, so that it grows to 7/4 of its size; the other's in a launch of its own.
 */
export const strassen: ScheduleRule = {
  id: 'cpu-c/strassen',
  target: 'cpu-c',
  specificity: 15,
  doc: 'Products with constant matrices by one step of Strassen\'s algorithm, where a cost model says that it takes less time.',
  require: [...sumOfProductsConditions, condition.dtype('f32'), condition.static()],
  check: (fn, ctx) => {
    const halves = halvesOf(fn, ctx);
    if (typeof halves === 'string') return reject('schedule/strassen', halves);
    if (growth > weightGrowth(ctx)) return reject('schedule/weight-growth', `its constant would grow to ${growth} of its size`, `The option weightGrowth of cpu-c allows ${weightGrowth(ctx)}.`);
    const bytes = products.length * halves.points * Math.ceil(halves.rows / 2) * (halves.depth / 2) * 4;
    if (bytes > mostOperands) return reject('schedule/strassen', `its left operands would take ${(bytes / 2 ** 20).toFixed(0)} MiB, more than ${mostOperands >> 20}`);
    const [direct, own] = [directSeconds(halves, ctx), halved(halves, ctx).seconds];
    if (own < worthwhile * direct) return accept();
    return reject('schedule/strassen-cost', `the plain product is estimated at ${microseconds(direct)}, this at ${microseconds(own)}`, `It is taken below ${worthwhile * 100} %.`);
  },
  apply: (fn, ctx, choices) => {
    const halves = required(fn, ctx);
    const { tile } = halved(halves, ctx);
    const machine = machineOf(ctx);
    const { width } = machine.core;
    const ascending = (values: readonly number[]): number[] => [...new Set(values)].sort((a, b) => a - b);
    const rows = choices.choose('rows', ascending([tile.rows, ...[1, 2, 4, 6, 8, 12].filter((n) => n <= Math.ceil(halves.rows / 2))]), tile.rows);
    const columns = choices.choose('columns', ascending([tile.columns, ...[1, 2, 3, 4].map((n) => n * width).filter((n) => n <= Math.max(width, halves.columns / 2))]), tile.columns);
    return emit(fn, halves, { rows, columns }, stageContext(fn, ctx), machine);
  },
};

function required(fn: TensorFunction, ctx: TargetContext): Halves {
  const halves = halvesOf(fn, ctx);
  if (typeof halves === 'string') throw new RangeError(halves);
  return halves;
}
