import type { Buffer, Expr, ExprBuilder, For, LoopKind, Stmt } from '@tenon/plugin';
import { seq } from '@tenon/core';
import type { Names } from './rename.ts';

/** What loop-building functions need: expressions and fresh names. */
export interface LoopContext {
  readonly exprs: ExprBuilder;
  readonly names: Names;
}

export function loop(ctx: LoopContext, extent: Expr, kind: LoopKind, body: (i: Expr) => Stmt): For {
  const variable = ctx.names.fresh('i');
  return { kind: 'for', variable, extent, loop: kind, annotations: {}, body: body(ctx.exprs.variable(variable)) };
}

/** Nested loops of one kind, outermost first. */
export function loops(ctx: LoopContext, extents: readonly Expr[], kind: LoopKind, body: (indices: readonly Expr[]) => Stmt): Stmt {
  const build = (at: number, indices: readonly Expr[]): Stmt =>
    at === extents.length ? body(indices) : loop(ctx, extents[at]!, kind, (i) => build(at + 1, [...indices, i]));
  return build(0, []);
}

/** One parallel loop over all points of a box; without axes, the body itself. */
export function parallelOver(ctx: LoopContext, extents: readonly Expr[], body: (indices: readonly Expr[]) => Stmt): Stmt {
  const { exprs } = ctx;
  const axes = extents.filter((e) => exprs.valueOf(e) !== 1);
  if (axes.length === 0) return body(extents.map(() => exprs.int(0)));
  return loop(ctx, exprs.product(axes), 'parallel', (p) => unravel(ctx, p, extents, body));
}

/** The indices of a row-major position in a box, computed once. */
export function unravel(ctx: LoopContext, position: Expr, extents: readonly Expr[], body: (indices: readonly Expr[]) => Stmt): Stmt {
  const { exprs } = ctx;
  const indices: Expr[] = extents.map(() => exprs.int(0));
  const axes = extents.flatMap((e, i) => (exprs.valueOf(e) === 1 ? [] : [i]));
  const lets: { variable: string; value: Expr }[] = [];
  let rest = position;
  for (const i of [...axes].reverse()) {
    const outermost = i === axes[0];
    const value = outermost ? rest : exprs.mod(rest, extents[i]!);
    if (value.op === 'var' || value.op === 'const') indices[i] = value;
    else {
      const variable = ctx.names.fresh('t');
      lets.push({ variable, value });
      indices[i] = exprs.variable(variable);
    }
    rest = exprs.floordiv(rest, extents[i]!);
  }
  return lets.reduceRight<Stmt>((inside, { variable, value }) => ({ kind: 'let', variable, value, body: inside }), body(indices));
}

/**
 * A loop over `extent` in steps of `width`: full steps through `full(start)`, and what is left, if anything, through
 * `rest(start, count)`. A static remainder is a constant count.
 */
export function stepped(ctx: LoopContext, extent: Expr, width: number, full: (start: Expr) => Stmt, rest: (start: Expr, count: Expr) => Stmt): Stmt {
  const { exprs } = ctx;
  const size = exprs.valueOf(extent);
  const parts: Stmt[] = [];
  if (size === null || size >= width) parts.push(loop(ctx, exprs.floordiv(extent, width), 'serial', (i) => full(exprs.mul(i, width))));
  const left = exprs.mod(extent, width);
  if (size === null) parts.push(rest(exprs.mul(exprs.floordiv(extent, width), width), left));
  else if (size % width !== 0) parts.push(rest(exprs.int(size - (size % width)), left));
  return seq(parts);
}

/** `body` for every element of a range, in vectors of `width` and a remainder. A static remainder is one shorter vector. */
export function vectorLoop(ctx: LoopContext, extent: Expr, width: number, body: (i: Expr) => Stmt): Stmt {
  const { exprs } = ctx;
  return stepped(
    ctx, extent, width,
    (start) => loop(ctx, exprs.int(width), 'vectorized', (i) => body(exprs.add(start, i))),
    (start, count) => loop(ctx, count, count.op === 'const' ? 'vectorized' : 'serial', (i) => body(exprs.add(start, i))),
  );
}

export function alloc(buffer: Buffer, body: Stmt): Stmt {
  return { kind: 'alloc', buffer, body };
}

export function store(buffer: Buffer, indices: readonly Expr[], value: Expr): Stmt {
  return { kind: 'store', buffer: buffer.name, indices, value };
}

/** The row-major position of an element. */
export function flatIndex(exprs: ExprBuilder, shape: readonly Expr[], indices: readonly Expr[]): Expr {
  let at: Expr = exprs.int(0);
  indices.forEach((index, axis) => {
    at = exprs.add(exprs.mul(at, shape[axis]!), index);
  });
  return at;
}
