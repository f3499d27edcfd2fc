import type { Expr, Stmt } from '@tenon/plugin';
import { seq } from '@tenon/core';
import { loop } from '@tenon/schedule';
import type { StageContext } from '../stage.ts';

/**
 * The part of an axis that starts at `start`: `full` elements where they are all there; else what is left, at once where
 * its size is static, in steps of `smaller` where it is not.
 */
export function split(ctx: StageContext, extent: Expr, start: Expr, full: number, smaller: readonly number[], body: (count: number, at: Expr) => Stmt): Stmt {
  const { exprs } = ctx;
  const size = exprs.valueOf(extent);
  if (size !== null && size % full === 0) return body(full, start);
  const whole = exprs.le(exprs.add(start, full), extent);
  if (size !== null) {
    const rest = body(size % full, start);
    return size < full ? rest : { kind: 'if', condition: whole, then: body(full, start), otherwise: rest };
  }
  const left = exprs.sub(extent, start);
  const parts: Stmt[] = [];
  let done: Expr = start;
  let remaining = left;
  for (const step of smaller) {
    if (step >= full) continue;
    const at = done;
    const count = exprs.floordiv(remaining, step);
    parts.push(loop(ctx, count, 'serial', (i) => body(step, exprs.add(at, exprs.mul(i, step)))));
    done = exprs.add(at, exprs.mul(count, step));
    remaining = exprs.mod(remaining, step);
  }
  return full === 1 ? body(1, start) : { kind: 'if', condition: whole, then: body(full, start), otherwise: seq(parts) };
}
