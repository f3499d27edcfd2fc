import type { Exprs } from '@tenon/core';
import { boundariesOf, restricted, type Stage } from '@tenon/schedule';

/** Smaller segments would be more launches than work, unless conditions cost a large stage more than that. */
const fewestElements = 2048;
const large = 8 * fewestElements;
const mostSegments = 16;

/**
 * A stage cut along its axes where the conditions in its value change: a concatenation becomes one copy for each part, without
 * conditions and with vectors that no boundary runs through. The stage itself where there is nothing to cut.
 */
export function segments(exprs: Exprs, stage: Stage): readonly Stage[] {
  const done: Stage[] = [];
  const open = [stage];
  while (open.length > 0) {
    const next = open.pop()!;
    const pieces = open.length + done.length + 2 > mostSegments ? null : cutOnce(exprs, next);
    if (pieces === null) done.push(next);
    // The last one first: what is open is a stack.
    else open.push(...[...pieces].reverse());
  }
  return done;
}

/** The two sides of the first boundary of a stage; null where there is none. */
function cutOnce(exprs: Exprs, { loops, block }: Stage): readonly [Stage, Stage] | null {
  const { body } = block;
  if (body.kind !== 'store' || block.predicate !== null || block.init !== null || block.iters.some((i) => i.type !== 'spatial')) return null;
  const elements = exprs.valueOf(exprs.product(block.iters.map((i) => i.extent)));
  if (elements === null) return null;
  for (const iter of block.iters) {
    const extent = exprs.valueOf(iter.extent)!;
    for (const at of boundariesOf(exprs, body.value, iter.name)) {
      if (at <= 0 || at >= extent) continue;
      if (elements < large && Math.min(at, extent - at) * (elements / extent) < fewestElements) continue;
      const part = (from: number, to: number): Stage => ({ loops, block: restricted(exprs, block, body, iter, from, to) });
      return [part(0, at), part(at, extent)];
    }
  }
  return null;
}
