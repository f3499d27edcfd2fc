import type { Block, Expr, ExprBuilder, IterVar, Store } from '@tenon/plugin';
import { visitExprs, type Exprs } from '@tenon/core';
import { linearIn, type Stage } from '@tenon/schedule';

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
  const conditions: Expr[] = [];
  visitExprs(body.value, (e) => void ((e.op === 'lt' || e.op === 'le') && e.args[0]!.dtype === 'i64' && conditions.push(e)));
  const elements = exprs.valueOf(exprs.product(block.iters.map((i) => i.extent)));
  if (elements === null) return null;
  for (const iter of block.iters) {
    const extent = exprs.valueOf(iter.extent)!;
    for (const condition of conditions) {
      const at = boundary(exprs, condition, iter.name);
      if (at === null || at <= 0 || at >= extent) continue;
      if (elements < large && Math.min(at, extent - at) * (elements / extent) < fewestElements) continue;
      const part = (from: number, to: number): Stage => ({ loops, block: restricted(exprs, block, body, iter, from, to) });
      return [part(0, at), part(at, extent)];
    }
  }
  return null;
}

/** Where a comparison of a variable with a constant changes its answer: the first value of the other side; null for others. */
function boundary(exprs: ExprBuilder, condition: Expr, variable: string): number | null {
  const difference = exprs.sub(condition.args[1]!, condition.args[0]!);
  const step = linearIn(exprs, difference, variable);
  if ((step !== 1 && step !== -1) || exprs.variables(difference).length !== 1) return null;
  const rest = exprs.valueOf(exprs.sub(difference, exprs.mul(exprs.variable(variable), step)));
  if (rest === null) return null;
  // `a < b` is 0 < rest ± variable; `a ≤ b` counts 0 in.
  const strict = condition.op === 'lt';
  return step === -1 ? rest + (strict ? 0 : 1) : -rest + (strict ? 1 : 0);
}

/** The block for the values `from … to` of an axis, which then begins at 0. */
function restricted(exprs: Exprs, block: Block, body: Store, iter: IterVar, from: number, to: number): Block {
  const moved = exprs.add(exprs.variable(iter.name), from);
  const values = new Map([[iter.name, moved]]);
  const iters = block.iters.map((i) => (i === iter ? { ...i, extent: exprs.int(to - from) } : i));
  const scope = new Map(iters.flatMap((i) => {
    const extent = exprs.valueOf(i.extent);
    return extent === null ? [] : [[i.name, { min: 0, max: extent - 1 }] as const];
  }));
  return {
    ...block, iters,
    body: { ...body, indices: body.indices.map((e) => exprs.substitute(e, values)), value: exprs.simplify(exprs.substitute(body.value, values), scope) },
  };
}
