import { accept, reject, type ExprBuilder, type KernelCondition, type ReductionOp, type ScheduleRule, type TargetContext, type TensorFunction, type Verdict } from '@tenon/plugin';
import { countReductions, formed, inPlace, isProductOfLoads, oneReduction, type OneReduction } from './reduction.ts';
import { stagesOf } from './stages.ts';

/** Whether a schedule rule applies to a function: its conditions in order, then its check. */
export function verdictOf(rule: Pick<ScheduleRule, 'require' | 'check'>, fn: TensorFunction, ctx: TargetContext): Verdict {
  const refusal = unmet(fn, rule.require, ctx.exprs);
  return refusal ?? rule.check?.(fn, ctx) ?? accept();
}

/** The first condition that a function does not meet, as a refusal `kernel/KIND`; null: it meets all. */
export function unmet(fn: TensorFunction, conditions: readonly KernelCondition[], exprs: Pick<ExprBuilder, 'valueOf'>): (Verdict & { readonly ok: false }) | null {
  const main = oneReduction(fn);
  for (const condition of conditions) {
    const message = problemOf(condition, fn, main, exprs);
    if (message !== null) return reject(`kernel/${condition.kind}`, message) as Verdict & { readonly ok: false };
  }
  return null;
}

function problemOf(condition: KernelCondition, fn: TensorFunction, main: OneReduction | null, exprs: Pick<ExprBuilder, 'valueOf'>): string | null {
  switch (condition.kind) {
    case 'stages':
      return stagesOf(fn) === null ? 'the function is not a sequence of stages' : null;
    case 'reductions': {
      const { min, max } = condition;
      const count = countReductions(fn) ?? 0;
      return count >= min && count <= max ? null : `there ${count === 1 ? 'is one reduction' : `are ${count === 0 ? 'no' : count} reductions`}, not ${range(min, max)}`;
    }
    default:
      return main === null ? 'there is not exactly one reduction' : ofReduction(condition, main, exprs);
  }
}

function ofReduction(condition: Exclude<KernelCondition, { readonly kind: 'stages' | 'reductions' }>, { sum, combination, after, returned }: OneReduction, exprs: Pick<ExprBuilder, 'valueOf'>): string | null {
  switch (condition.kind) {
    case 'combines':
      if (combination?.op !== condition.op) return `the reduction is no ${nouns[condition.op]}`;
      return condition.of === 'product' && !isProductOfLoads(combination.value) ? `the reduction is no ${nouns[condition.op]} of products of two loads` : null;
    case 'epilogue': {
      if (after.length > condition.most) return `${after.length} stages work on the result, at most ${condition.most} may`;
      if (after.length > 0 && returned) return 'the result of the reduction is an output, besides what is made of it';
      const out = after.some((stage) => {
        const form = formed(stage);
        return form === null || inPlace(form, sum) === null;
      });
      return out ? 'the stage after the reduction reads its result out of place' : null;
    }
    case 'dtype': {
      const { dtype } = sum.form.store.value;
      return condition.in.includes(dtype) ? null : `it is for ${condition.in.join(', ')}, not ${dtype}`;
    }
    case 'axes': {
      const count = sum[condition.of].length;
      const { min, max } = condition;
      return count >= min && (max === null || count <= max) ? null : `the ${condition.of === 'reduce' ? 'reduction is over' : 'result of the reduction has'} ${count} ${count === 1 ? 'axis' : 'axes'}, not ${range(min, max)}`;
    }
    case 'static': {
      const open = [...sum.spatial, ...sum.reduce].find((iter) => exprs.valueOf(iter.extent) === null);
      return open === undefined ? null : 'the reduction has sizes that are not known yet';
    }
  }
}

const range = (min: number, max: number | null): string => (max === null ? `${min} or more` : min === max ? `${min}` : `${min} to ${max}`);

const nouns: { readonly [op in ReductionOp]: string } = { add: 'sum', mul: 'product', min: 'minimum', max: 'maximum', and: 'conjunction', or: 'disjunction' };
