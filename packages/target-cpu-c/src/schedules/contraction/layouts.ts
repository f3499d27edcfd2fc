import type { TargetContext, TensorFunction } from '@tenon/plugin';
import { loadsOf } from '@tenon/core';
import { formed, isVariable } from '@tenon/schedule';
import { stageContext } from '../rows.ts';
import { packable, sumOfProducts } from './plan.ts';

/** Channels that are worth lying together. */
const fewest = 8;

/**
 * Products with constant weights over windows (convolutions) are best with channels innermost: the result's, along
 * which weights are packed, so that they are what a vector holds, and those of the other operand, along which it is summed.
 */
export function preferredLayouts(fn: TensorFunction, ctx: TargetContext): { [buffer: string]: readonly number[] } | null {
  const found = sumOfProducts(fn, ctx.exprs);
  if (found === null) return null;
  const { before, sum, epilogue, operands } = found;
  const context = stageContext(fn, ctx);
  const last = epilogue ?? sum;
  const rank = sum.spatial.length;
  if (rank < 3) return null;
  const innermost = (axis: number, of: number): readonly number[] => [...Array.from({ length: of }, (_, i) => i).filter((i) => i !== axis), axis];
  for (const [w, x] of [[0, 1], [1, 0]] as const) {
    const load = operands[x]!;
    const source = context.buffers.get(load.value as string)!;
    if (source.shape.length < 3) continue;
    const channel = sum.spatial.findIndex((iter, p) =>
      ctx.exprs.valueOf(iter.extent) !== 1 && packable(fn, context, sum, operands[w]!, { positions: [p], extent: iter.extent, indices: (i) => [i] }) !== null);
    if (channel < 0) continue;
    const name = sum.spatial[channel]!.name;
    // A depthwise convolution has the same channels on both sides; others sum over those of the input.
    const depthwise = load.args.findIndex((e) => isVariable(e, name));
    // Of a grouped one they depend on the group, too, which follows from the channel of the result.
    const summed = load.args.findIndex((e) => {
      const free = ctx.exprs.variables(e);
      return free.some((v) => v !== name) && free.every((v) => v === name || sum.reduce.some((r) => r.name === v));
    });
    const inner = depthwise >= 0 ? depthwise : summed;
    if (inner < 0 || load.args.some((e, i) => i !== inner && ctx.exprs.variables(e).includes(name))) continue;
    const wishes: { [buffer: string]: readonly number[] } = { [last.form.store.buffer]: innermost(channel, rank) };
    if (epilogue !== null) {
      for (const l of loadsOf(epilogue.stage.block)) if (l.args.length === rank) wishes[l.value as string] = innermost(channel, rank);
    }
    // A few channels (a picture's) are no row: to gather them would cost more than reading them plane by plane.
    const few = (ctx.exprs.valueOf(source.shape[inner]!) ?? fewest) < fewest;
    const permutation = few ? source.shape.map((_, i) => i) : innermost(inner, source.shape.length);
    wishes[source.name] = permutation;
    // What is copied into the padded operand should lie as it does.
    for (const stage of before) {
      const form = formed(stage);
      if (form?.form.store.buffer !== source.name) continue;
      for (const l of loadsOf(stage.block)) if (l.args.length === permutation.length) wishes[l.value as string] = permutation;
    }
    return wishes;
  }
  return null;
}
