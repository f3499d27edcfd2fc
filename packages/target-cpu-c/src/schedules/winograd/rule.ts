import { accept, condition, reject, type ScheduleRule } from '@tenon/plugin';
import { sumOfProductsConditions } from '../contraction/plan.ts';
import { lanes, weightGrowth } from '../machine.ts';
import { microseconds } from '../microseconds.ts';
import { stageContext } from '../rows.ts';
import { directSeconds, fastest, product, steps, strategies, type Strategy } from './cost.ts';
import { emit } from './emit.ts';
import { convolutionOf, type Convolution } from './plan.ts';

/** The share of the direct convolution's estimate that Winograd's must stay below: estimates are not better than that. */
const worthwhile = 0.9;

/** How many times as large as the filters what they are transformed into is. */
const growthOf = (conv: Convolution, { axes }: Strategy): number => product(axes.map((axis) => axis.products)) / product(conv.window.map((axis) => axis.taps));

/**
 * Convolutions with small windows, a step at a time, by Winograd's algorithm: tiles of the image and filters are transformed, multiplied
 * element by element and summed over channels, which are products of matrices, and what comes out is transformed back.
 * A tile of 4 × 4 results takes 36 products in place of 144. Weights are transformed when they are packed.
 */
export const winograd: ScheduleRule = {
  id: 'cpu-c/winograd',
  target: 'cpu-c',
  specificity: 20,
  doc: 'Winograd convolutions, where a cost model says that they take less time than direct ones.',
  require: [...sumOfProductsConditions, condition.dtype('f32'), condition.axes('reduce', 2, 3), condition.static()],
  check: (fn, ctx) => {
    const conv = convolutionOf(fn, ctx);
    if (typeof conv === 'string') return reject('schedule/winograd', conv);
    const all = steps.flatMap((step) => strategies(conv, step, ctx));
    const ways = all.filter((way) => growthOf(conv, way) <= weightGrowth(ctx));
    if (ways.length === 0 && all.length > 0) {
      return reject('schedule/weight-growth', `its weights would grow to ${Math.min(...all.map((way) => growthOf(conv, way))).toFixed(2)} of their size`, `The option weightGrowth of cpu-c allows ${weightGrowth(ctx)}.`);
    }
    if (ways.length === 0) return reject('schedule/winograd', `there are no transforms of sufficient accuracy for windows of ${conv.window.map((axis) => axis.taps).join(' × ')}`);
    const direct = directSeconds(conv, ctx);
    if (fastest(ways).seconds < worthwhile * direct) return accept();
    const times = steps.flatMap((step) => {
      const those = ways.filter((s) => s.step === step);
      return those.length === 0 ? [] : [`with tiles of ${step} at ${microseconds(fastest(those).seconds)}`];
    });
    return reject('schedule/winograd-cost', `the direct convolution is estimated at ${microseconds(direct)}, this ${times.join(', ')}`, `It is taken below ${worthwhile * 100} %.`);
  },
  apply: (fn, ctx, choices) => {
    const conv = convolutionOf(fn, ctx);
    if (typeof conv === 'string') throw new RangeError(conv);
    const ways = steps.flatMap((step) => strategies(conv, step, ctx)).filter((way) => growthOf(conv, way) <= weightGrowth(ctx));
    const step = choices.choose('tile', [...new Set(ways.map((s) => s.step))], fastest(ways).step);
    const those = ways.filter((s) => s.step === step);
    // 0: all tiles, one step of the algorithm after the other.
    const block = choices.choose('block', those.map((s) => s.block ?? 0), fastest(those).block ?? 0);
    return emit(fn, conv, those.find((s) => (s.block ?? 0) === block)!, stageContext(fn, ctx), lanes(ctx, 'f32'));
  },
};
