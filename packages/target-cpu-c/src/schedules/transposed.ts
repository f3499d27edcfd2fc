import type { Block, Buffer, Expr, IterVar, Stmt, TensorFunction } from '@tenon/plugin';
import { blockRegions, descriptionOf, loadsOf, seq, visitExprs, type Exprs } from '@tenon/core';
import { alloc, flatIndex, linearIn, loop, loops, matchIntrinsic, parallelOver, store, tensorizeKey, vectorLoop, type FormedStage } from '@tenon/schedule';
import { transposedSquare, type Square } from '../transpose.ts';
import { computeAt, unroll, type StageContext } from './stage.ts';

/** Rows and columns of a block of a transposed copy: its lines of memory, both of what is read and of what is written, stay in cache. */
const block = { rows: 16, columns: 64 };

/** A stage whose result lies across what it reads. */
export interface Transposed {
  /** The axis that the loads are contiguous along which are not along the innermost one. */
  readonly across: IterVar;
  readonly far: readonly Expr[];
}

export function transposed(ctx: StageContext, s: FormedStage): Transposed | null {
  const { exprs, buffers } = ctx;
  const last = s.spatial.at(-1);
  const long = (i: IterVar): boolean => (exprs.valueOf(i.extent) ?? block.rows) >= block.rows;
  if (last === undefined || !long(last)) return null;
  const flat = (l: Expr): Expr => flatIndex(exprs, buffers.get(l.value as string)!.shape, l.args);
  const far = [...new Set(loadsOf(s.stage.block.body))].filter((l) => l.value !== s.form.store.buffer && ![0, 1].includes(linearIn(exprs, flat(l), last.name) ?? -1));
  if (far.length === 0) return null;
  const across = s.spatial.slice(0, -1).find((i) => long(i) && far.every((l) => linearIn(exprs, flat(l), i.name) === 1));
  return across === undefined ? null : { across, far };
}

/** The stage in blocks, and in these, square by square where the target can transpose squares. */
export function emitTransposed(ctx: StageContext, s: FormedStage, how: Transposed): Stmt {
  const { exprs } = ctx;
  const { across } = how;
  const last = s.spatial.at(-1)!;
  const outer = s.spatial.filter((i) => i !== last && i !== across);
  // Columns that are left over make whole vectors where they can.
  const width = exprs.valueOf(last.extent) === null ? ctx.width(s.form.store.value.dtype) : ctx.width(s.form.store.value.dtype) / unroll;
  const extents = [...outer.map((i) => i.extent), exprs.ceildiv(across.extent, block.rows), exprs.ceildiv(last.extent, block.columns)];
  const part = (extent: Expr, start: Expr, size: number): Expr => (exprs.valueOf(exprs.mod(extent, size)) === 0 ? exprs.int(size) : exprs.min(exprs.int(size), exprs.sub(extent, start)));
  return parallelOver(ctx, extents, (points) => {
    const [row, column] = [exprs.mul(points.at(-2)!, block.rows), exprs.mul(points.at(-1)!, block.columns)];
    const values = (r: Expr, c: Expr): Map<string, Expr> => new Map([...outer.map((i, k) => [i.name, points[k]!] as const), [across.name, exprs.add(row, r)], [last.name, exprs.add(column, c)]]);
    const [rowsHere, columnsHere] = [part(across.extent, row, block.rows), part(last.extent, column, block.columns)];
    const gathered = loop(ctx, rowsHere, 'serial', (r) => vectorLoop(ctx, columnsHere, width, (c) => computeAt(ctx, s, values(r, c))));
    const inSquares = squares(ctx, s, how, values, columnsHere);
    if (inSquares === null) return gathered;
    if (rowsHere.op === 'const') return inSquares;
    return { kind: 'if', condition: exprs.le(exprs.add(row, block.rows), across.extent), then: inSquares, otherwise: gathered };
  });
}

/** All rows of a block by squares, columns that fill none element by element; null where the target has no such intrinsic, or it does not fit. */
function squares(ctx: StageContext, s: FormedStage, { far }: Transposed, values: (r: Expr, c: Expr) => Map<string, Expr>, columns: Expr): Stmt | null {
  const { exprs, names } = ctx;
  const [load] = far;
  const square = squareOf(ctx);
  if (square === null || far.length !== 1 || conditional(s.form.store.value)) return null;
  const { size } = square;
  const tile: Buffer = { name: names.fresh('square'), dtype: load!.dtype, shape: [exprs.int(size), exprs.int(size)], scope: 'local' };
  const one = (r0: Expr, c0: Expr): Stmt | null => {
    const at = (r: Expr, c: Expr): Map<string, Expr> => values(exprs.add(r0, r), exprs.add(c0, c));
    const body = loops(ctx, tile.shape, 'serial', ([r, c]) => store(tile, [r!, c!], exprs.substitute(load!, at(r!, c!))));
    const buffers = [...ctx.buffers.values(), tile];
    if (matchIntrinsic(exprs as Exprs, body, square.description, new Map(buffers.map((b) => [b.name, b]))) === null) return null;
    const transposing: Block = {
      kind: 'block', name: names.fresh('transposed'), iters: [], predicate: null, init: null, body, annotations: { [tensorizeKey]: square.intrinsic }, ...blockRegions(null, body, buffers, exprs),
    };
    return alloc(tile, seq([
      transposing,
      loop(ctx, tile.shape[0]!, 'serial', (r) => loop(ctx, tile.shape[1]!, 'vectorized', (c) => {
        const here = at(r, c);
        const value = (exprs as Exprs).transform(s.form.store.value, (x) => (x === load ? exprs.load(tile, [r, c]) : x));
        return { kind: 'store', buffer: s.form.store.buffer, indices: s.form.store.indices.map((e) => exprs.substitute(e, here)), value: exprs.substitute(value, here) };
      })),
    ]));
  };
  let fits = true;
  const whole = loop(ctx, exprs.floordiv(columns, size), 'serial', (k) => loop(ctx, exprs.int(block.rows / size), 'serial', (j) => {
    const stmt = one(exprs.mul(j, size), exprs.mul(k, size));
    fits &&= stmt !== null;
    return stmt ?? seq([]);
  }));
  if (!fits) return null;
  if (exprs.valueOf(exprs.mod(columns, size)) === 0) return whole;
  const done = exprs.mul(exprs.floordiv(columns, size), size);
  return seq([whole, loop(ctx, exprs.int(block.rows), 'serial', (r) => loop(ctx, exprs.mod(columns, size), 'serial', (c) => computeAt(ctx, s, values(r, exprs.add(done, c)))))]);
}

function squareOf({ intrinsics, exprs }: StageContext): (Square & { readonly description: TensorFunction }) | null {
  for (const size of [16, 8, 4]) {
    const square = transposedSquare(size);
    const intrinsic = intrinsics.find((i) => i.name === square.intrinsic);
    if (intrinsic !== undefined) return { ...square, description: descriptionOf(exprs, intrinsic) };
  }
  return null;
}

/** Whether a value reads only under conditions: squares read all that they cover. */
function conditional(value: Expr): boolean {
  let found = false;
  visitExprs(value, (e) => void (found ||= e.op === 'select'));
  return found;
}
