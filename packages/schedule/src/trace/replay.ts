import { TenonError, type ExprBuilder, type Scope, type TensorFunction, type TensorIntrinsic } from '@tenon/plugin';
import { Schedule } from '../primitives/schedule.ts';
import { isChoice, isList, type ChoiceValue, type Trace, type TraceValue } from './trace.ts';

export interface ReplayOptions {
  /** What is known of dims. */
  readonly dims?: Scope;
  /** Values for choices by name, in place of those that the trace took. */
  readonly choices?: ReadonlyMap<string, ChoiceValue>;
  /** The intrinsics that the trace may name. */
  readonly intrinsics?: readonly TensorIntrinsic[];
}

/**
 * Applies a trace to a function that is structurally equal to the one it was made on, perhaps with other choices. Names
 * that steps gave are followed: where a step gives others now, later steps use those.
 */
export function replay(trace: Trace, fn: TensorFunction, exprs: ExprBuilder, options: ReplayOptions = {}): Schedule {
  const schedule = new Schedule(fn, exprs, { ...(options.dims && { dims: options.dims }), ...(options.choices && { choices: options.choices }), ...(options.intrinsics && { intrinsics: options.intrinsics }) });
  const names = new Map<string, string>();
  const follow = (name: string): string => names.get(name) ?? name;
  const value = (v: TraceValue): TraceValue => {
    if (v === null || typeof v !== 'object') return v;
    if (isList(v)) return v.map(value);
    if ('record' in v) return { record: Object.fromEntries(Object.entries(v.record).map(([k, x]) => [k, value(x)])) };
    if ('block' in v) return { block: follow(v.block) };
    if ('loop' in v) return { loop: follow(v.loop) };
    return 'buffer' in v ? { buffer: follow(v.buffer) } : v;
  };
  const unknown = [...(options.choices?.keys() ?? [])].find((name) => !trace.steps.some((s) => isChoice(s) && s.name === name));
  if (unknown !== undefined) throw new TenonError({ code: 'schedule/choice', message: `the trace makes no choice ${unknown}` });
  for (const step of trace.steps) {
    if (isChoice(step)) {
      schedule.choose(step.name, step.values, step.value);
      continue;
    }
    const args = Object.fromEntries(Object.entries(step.args).map(([k, v]) => [k, value(v)]));
    const results = schedule.apply(step.primitive, args);
    if (results.length !== step.results.length && step.primitive !== 'split' && step.primitive !== 'loop_partition') {
      throw new TenonError({ code: 'schedule/trace', message: `${step.primitive} gave ${results.length} names, the trace has ${step.results.length}: the function is another one` });
    }
    step.results.forEach((r, k) => {
      if (results[k] !== undefined) names.set(r, results[k]);
    });
  }
  return schedule;
}
