import type { Expr, For, ScheduleRule, Stmt, TargetContext, TensorFunction } from '@tenon/plugin';
import { seq } from '@tenon/core';
import { loop, Names } from '@tenon/schedule';

/**
 * A rule whose launches do what stands apart (blocks with the annotation `apart`: the zeros around a result) beside the launch that follows:
 * each step of its parallel loop does a share. By itself it would be a launch of one thread, most of whose time goes into getting lines
 * of cache from the threads that used them before.
 */
export const besideOthers = (rule: ScheduleRule): ScheduleRule => ({ ...rule, apply: (fn, ctx, choices) => joined(rule.apply(fn, ctx, choices), ctx) });

function joined(fn: TensorFunction, ctx: TargetContext): TensorFunction {
  const context = { exprs: ctx.exprs, names: new Names(fn) };
  const visit = (s: Stmt): Stmt => {
    if (s.kind === 'alloc') return { ...s, body: visit(s.body) };
    if (s.kind !== 'seq') return s;
    const parts: Stmt[] = [];
    for (const part of [...s.body].reverse()) {
      const [after] = parts;
      if (isParallel(part) && part.annotations['apart'] === true && isParallel(after)) parts[0] = join(part, after, context);
      else parts.unshift(part);
    }
    return seq(parts);
  };
  return { ...fn, body: visit(fn.body) };
}

const isParallel = (s: Stmt | undefined): s is For => s?.kind === 'for' && s.loop === 'parallel';

function join(apart: For, main: For, ctx: { readonly exprs: TargetContext['exprs']; readonly names: Names }): For {
  const { exprs } = ctx;
  const before = (steps: Expr): Expr => exprs.floordiv(exprs.mul(steps, apart.extent), main.extent);
  const step = exprs.variable(main.variable);
  const [first, end] = [ctx.names.fresh('first'), ctx.names.fresh('end')];
  const share = loop(ctx, exprs.sub(exprs.variable(end), exprs.variable(first)), 'serial', (i) => ({
    kind: 'let', variable: apart.variable, value: exprs.add(exprs.variable(first), i), body: apart.body,
  }));
  const bounded: Stmt = { kind: 'let', variable: first, value: before(step), body: { kind: 'let', variable: end, value: before(exprs.add(step, 1)), body: share } };
  return { ...main, body: seq([bounded, main.body]) };
}
