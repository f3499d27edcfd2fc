import { accept, reject, type ScheduleRule } from '@tenon/plugin';
import { emit } from './emit.ts';
import { preferredLayouts } from './layouts.ts';
import { analyze, sumOfProductsConditions } from './plan.ts';

/**
 * Matrix products and convolutions: `out[…] = Σ a · b`, with whatever runs on the result in place. A tile of the result
 * stays in registers while the reduction runs: `rows × columns`, columns along an axis on which one operand is
 * contiguous and the other constant, rows along an axis on which it is the other way round.
 */
export const contraction: ScheduleRule = {
  id: 'cpu-c/contraction',
  target: 'cpu-c',
  specificity: 10,
  doc: 'Register tiles for sums of products of two operands.',
  require: sumOfProductsConditions,
  check: (fn, ctx) => {
    const plan = analyze(fn, ctx);
    return typeof plan === 'string' ? reject('schedule/contraction', plan) : accept();
  },
  apply: (fn, ctx, choices) => {
    const plan = analyze(fn, ctx);
    if (typeof plan === 'string') throw new RangeError(plan);
    return emit(fn, plan, ctx, choices);
  },
  layouts: (fn, ctx) => preferredLayouts(fn, ctx),
};
