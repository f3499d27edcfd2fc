import type { Block, Expr, ExprBuilder, IterVar, Store } from '@tenon/plugin';
import { visitExprs, type Exprs } from '@tenon/core';
import { linearIn } from './linear.ts';

/** Where the conditions in a value change their answers along a variable: first values of the other side, unordered, each once. */
export function boundariesOf(exprs: ExprBuilder, value: Expr, variable: string): readonly number[] {
  const found = new Set<number>();
  visitExprs(value, (e) => {
    const at = (e.op === 'lt' || e.op === 'le') && e.args[0]!.dtype === 'i64' ? boundary(exprs, e, variable) : null;
    if (at !== null) found.add(at);
  });
  return [...found];
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

/** The block for the values `from … to` of an axis, which then begins at 0. It stores where it did. */
export function restricted(exprs: Exprs, block: Block, body: Store, iter: IterVar, from: number, to: number): Block & { readonly body: Store } {
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
