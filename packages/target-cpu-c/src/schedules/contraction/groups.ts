import type { Block, Expr, ExprBuilder, IterVar, Scope, Store } from '@tenon/plugin';
import { visitExprs, type Exprs } from '@tenon/core';
import type { FormedStage } from '@tenon/schedule';
import type { StageContext } from '../stage.ts';

/**
 * A spatial axis whose quotient by a constant occurs in the operands (the channels of a grouped convolution) as two, the group
 * and the place in it: then every index is linear again. The epilogue's axes, in the order of the sum's, are split alike.
 */
export function splitGroups(ctx: StageContext, sum: FormedStage, epilogue: FormedStage | null): { readonly sum: FormedStage; readonly epilogue: FormedStage | null } {
  for (const [at, iter] of sum.spatial.entries()) {
    const size = groupSize(ctx.exprs, sum.form.store.value, iter);
    if (size !== null) return { sum: split(ctx, sum, at, size), epilogue: epilogue === null ? null : split(ctx, epilogue, at, size) };
  }
  return { sum, epilogue };
}

/** The constant that an axis is divided by, where it consists of whole groups of that size. */
function groupSize(exprs: ExprBuilder, value: Expr, iter: IterVar): number | null {
  const extent = exprs.valueOf(iter.extent);
  if (extent === null) return null;
  let found: number | null = null;
  visitExprs(value, (e) => {
    if ((e.op !== 'floordiv' && e.op !== 'mod') || e.args[0]!.op !== 'var' || e.args[0]!.value !== iter.name) return;
    const size = exprs.valueOf(e.args[1]!);
    if (size !== null && size > 1 && size < extent && extent % size === 0) found = size;
  });
  return found;
}

function split({ exprs, names }: StageContext, s: FormedStage, at: number, size: number): FormedStage {
  const iter = s.spatial[at]!;
  const part = (name: string, extent: number): IterVar => ({ ...iter, name: names.fresh(name), extent: exprs.int(extent), binding: exprs.int(0) });
  const group = part(`${iter.name}_group`, exprs.valueOf(iter.extent)! / size);
  const inner = part(`${iter.name}_inner`, size);
  const values = new Map([[iter.name, exprs.add(exprs.mul(exprs.variable(group.name), size), exprs.variable(inner.name))]]);
  const scope: Scope = new Map([[group.name, { min: 0, max: exprs.sub(group.extent, 1) }], [inner.name, { min: 0, max: size - 1 }]]);
  const expr = (e: Expr): Expr => (exprs as Exprs).simplify(exprs.substitute(e, values), scope);
  const store = (stmt: Store): Store => ({ ...stmt, indices: stmt.indices.map(expr), value: expr(stmt.value) });
  const replaced = (iters: readonly IterVar[]): readonly IterVar[] => iters.flatMap((i) => (i.name === iter.name ? [group, inner] : [i]));
  const block: Block = {
    ...s.stage.block, iters: replaced(s.stage.block.iters), body: store(s.form.store), init: s.form.init === null ? null : store(s.form.init),
  };
  return { ...s, stage: { ...s.stage, block }, form: { ...s.form, store: block.body as Store, init: block.init as Store | null }, spatial: replaced(s.spatial) };
}
