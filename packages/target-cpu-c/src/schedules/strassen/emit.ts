import type { AttrValue, Buffer, Expr, Stmt, TensorFunction } from '@tenon/plugin';
import { seq } from '@tenon/core';
import { alloc, formed, loop, loops, parallelOver, stagesOf, store, unravel, vectorLoop } from '@tenon/schedule';
import { split } from '../contraction/split.ts';
import { Tile } from '../contraction/tile.ts';
import type { TileSize } from '../contraction/tile-size.ts';
import type { Machine } from '../machine.ts';
import { launches } from '../rows.ts';
import type { StageContext } from '../stage.ts';
import { applyMap, linearMap } from '../linear-map.ts';
import { Lines } from '../lines.ts';
import { left, products, right, slots } from './algorithm.ts';
import type { Halves } from './plan.ts';

/** What all parts of the schedule know. */
interface Job {
  readonly ctx: StageContext;
  readonly halves: Halves;
  readonly tile: TileSize;
  readonly width: number;
  /** Rows of a half; the second may have one less. */
  readonly pairs: number;
  /** Columns of a half, and elements that one product sums. */
  readonly half: number;
  readonly inner: number;
  /** Elements of a product's sum that are added before the next row's turn. */
  readonly block: number;
  readonly threads: number;
  /** Left operands, `[products, free axes and rows, inner]`; and right ones, `[column tiles, products, axes of size one…, inner, columns]`. */
  readonly operands: Buffer;
  readonly weights: Buffer;
}

/** Elements of a line of cache. */
const line = 16;

/** The function as seven products of halves: first all left operands, then, in parallel over columns and rows, what is made of them. */
export function emit(fn: TensorFunction, halves: Halves, tile: TileSize, ctx: StageContext, { core: { width }, threads, l2 }: Machine): TensorFunction {
  const { exprs, names } = ctx;
  const { plan, weights: packed } = halves;
  const [pairs, half, inner] = [Math.ceil(halves.rows / 2), halves.columns / 2, halves.depth / 2];
  const summed = packed.order.at(-1)!;
  // The map puts an axis of products before the others.
  const order = [0, ...packed.order.filter((a) => a !== summed).map((a) => a + 1), summed + 1];
  const ones = packed.order.slice(1).map(() => 1);
  const weights: Buffer = { ...packed.buffer, shape: [Math.ceil(half / tile.columns), products.length, ...ones, inner, tile.columns].map((n) => exprs.int(n)) };
  // Rows that are an even number of lines apart would be in the same few sets of the cache.
  const lines = Math.ceil(inner / line);
  const operands: Buffer = {
    name: names.fresh('operands'), dtype: 'f32', scope: 'global', shape: [products.length, halves.points * pairs, line * (lines + 1 - (lines % 2))].map((n) => exprs.int(n)),
  };
  const job: Job = { ctx, halves, tile, width, pairs, half, inner, block: blockOf(inner, tile, l2), threads, operands, weights };
  const staged = stagesOf(fn)!;
  const kept = new Set(plan.before.flatMap((s) => formed(s)?.form.store.buffer ?? []));
  let body = seq([...launches(ctx, plan.before), leftOperands(job), multiplied(job)]);
  for (const buffer of [...staged.temporaries.filter((b) => kept.has(b.name)), operands].reverse()) body = alloc(buffer, body);
  const pack: { [input: string]: AttrValue } = {
    [packed.buffer.name]: { axis: packed.tiled + 1, tile: tile.columns, order, maps: [{ axes: [summed, packed.tiled], matrix: right }] },
  };
  return { ...fn, inputs: fn.inputs.map((b) => (b.name === weights.name ? weights : b)), attrs: { ...fn.attrs, pack }, body };
}

/** Elements of a product's sum of which a tile of columns leaves most of the second cache level to the rows that pass by. */
function blockOf(inner: number, tile: TileSize, l2: number): number {
  const most = Math.max(1, Math.floor(l2 / 4 / (4 * tile.columns)));
  for (let blocks = Math.ceil(inner / most); blocks <= inner; blocks++) if (inner % blocks === 0) return inner / blocks;
  return inner;
}

/** The left operands: a pair of rows, one of each half, at a time. */
function leftOperands(job: Job): Stmt {
  const { ctx, halves, pairs, inner, operands } = job;
  const { exprs } = ctx;
  return parallelOver(ctx, [...halves.free.map((a) => a.extent), exprs.int(pairs)], (at) => {
    const lines = new Lines(ctx);
    const upper = at.at(-1)!;
    const lower = lines.name(second(job, upper));
    const position = lines.name(positionOf(job, at));
    const width = 2 * job.width;
    lines.push(vectorLoop(ctx, exprs.int(inner), width, (k) => {
      const inside = new Lines(ctx);
      const quadrants = [upper, lower].flatMap((row) => [0, inner].map((from) => inside.name(elementOf(job, at.slice(0, -1), row, exprs.add(k, from)))));
      applyMap(exprs, linearMap(left), quadrants, inside.name).forEach((value, product) => inside.push(store(operands, [exprs.int(product), position, k], value)));
      return inside.finish();
    }));
    return lines.finish();
  });
}

/** A row of the second half. Of an odd number of rows the last has none beside it: it stands for that itself, and what is made of it is not stored. */
function second({ ctx: { exprs }, halves, pairs }: Job, upper: Expr): Expr {
  const row = exprs.add(upper, pairs);
  return halves.rows % 2 === 0 ? row : exprs.min(row, halves.rows - 1);
}

/** The row of the left operands that belongs to a pair of rows, at a point of the free axes. */
function positionOf({ ctx: { exprs }, halves, pairs }: Job, at: readonly Expr[]): Expr {
  return [...halves.free.map((a) => a.extent), exprs.int(pairs)].reduce<Expr>((flat, extent, i) => exprs.add(exprs.mul(flat, extent), at[i]!), exprs.int(0));
}

/** An element of the left matrix. */
function elementOf(job: Job, free: readonly Expr[], row: Expr, k: Expr): Expr {
  const { ctx: { exprs }, halves: { plan, left: operand, summed } } = job;
  return tileAt(job, free, row, exprs.int(0), 1, 1).operand(operand, exprs.int(0), exprs.int(0), plan.sum.reduce.map((_, i) => (i === summed ? k : exprs.int(0))));
}

function tileAt({ ctx, halves: { plan, row, free: axes } }: Job, free: readonly Expr[], rowStart: Expr, columnStart: Expr, rows: number, columns: number): Tile {
  const start = new Map([[row, rowStart], [plan.column, columnStart], ...axes.map((axis, i) => [axis, free[i]!] as const)]);
  return new Tile(ctx, plan, [], { tiles: new Map(), start, rows, columns });
}

/** Tiles of rows whose sums wait in memory for the next product: at most, and as few as weights are worth being read for. */
const mostWaiting = 16;
const fewestWaiting = 4;

/**
 * Some tiles of rows, for a tile of columns of both halves at a time, and one product after the other, so that its part of the weights stays in
 * cache until all rows have passed by. Sums wait in memory in between. Rows are shared among threads rather than columns where there are enough of
 * them: then a thread reads the operands that it has made itself, and lines of cache do not go back and forth.
 */
function multiplied(job: Job): Stmt {
  const { ctx, halves, tile, pairs, half, inner, block, threads } = job;
  const { exprs, names } = ctx;
  const counts = [...halves.free.map((a) => a.extent), exprs.int(Math.ceil(pairs / tile.rows))];
  const visits = halves.points * Math.ceil(pairs / tile.rows);
  const chunks = Math.max(Math.ceil(visits / mostWaiting), Math.min(threads, Math.floor(visits / fewestWaiting)));
  const waiting = Math.ceil(visits / chunks);
  const blocks = inner / block;
  return parallelOver(ctx, [Math.ceil(visits / waiting), Math.ceil(half / tile.columns)].map((n) => exprs.int(n)), ([chunk, column]) => {
    const first = exprs.mul(chunk!, waiting);
    const here = visits % waiting === 0 ? exprs.int(waiting) : exprs.min(exprs.int(waiting), exprs.sub(visits, first));
    return split(ctx, exprs.int(half), exprs.mul(column!, tile.columns), tile.columns, [], (columns, columnStart) => {
      const sums: Buffer = { name: names.fresh('sums'), dtype: 'f32', scope: 'local', shape: [slots, waiting, tile.rows, columns].map((n) => exprs.int(n)) };
      const zeros = [1, waiting, tile.rows].map((n) => exprs.int(n));
      /** Every tile of rows: where its sums wait, and where it is. */
      const each = (body: (at: { readonly visit: Expr; readonly free: readonly Expr[]; readonly start: Expr; readonly rows: number }) => Stmt): Stmt =>
        loop(ctx, here, 'serial', (visit) => unravel(ctx, exprs.add(first, visit), counts, (indices) =>
          split(ctx, exprs.int(pairs), exprs.mul(indices.at(-1)!, tile.rows), tile.rows, [], (rows, start) => body({ visit, free: indices.slice(0, -1), start, rows }))));
      return alloc(sums, seq([
        loops(ctx, zeros, 'serial', (at) => loop(ctx, exprs.int(columns), 'vectorized', (c) => store(sums, [...at, c], exprs.constant(0, 'f32')))),
        loop(ctx, exprs.int(products.length), 'serial', (product) => {
          const pick = (of: (p: (typeof products)[number]) => number): Expr =>
            products.reduceRight<Expr | null>((rest, p, i) => (rest === null ? exprs.int(of(p)) : exprs.select(exprs.eq(product, i), of(p), rest)), null)!;
          const lines = new Lines(ctx);
          const [from, to] = [lines.name(pick((p) => p.from)), lines.name(pick((p) => p.to))];
          lines.push(loop(ctx, exprs.int(blocks), 'serial', (b) => each(({ visit, free, start, rows }) => {
            const made = tileAt(job, free, start, columnStart, rows, columns);
            const place = new Lines(ctx);
            const position = place.name(positionOf(job, [...free, start]));
            const source = place.name(exprs.select(exprs.eq(b, 0), from, to));
            place.push(made.sums((acc) => seq([
              made.each((r, c) => store(acc, [r, c], exprs.load(sums, [source, visit, r, c]))),
              loop(ctx, exprs.int(block), 'serial', (i) => {
                const k = exprs.add(exprs.mul(b, block), i);
                return seq([
                  ...fetched(job, column!, product, b, i, visit, waiting),
                  made.each((r, c) => store(acc, [r, c], exprs.add(exprs.load(acc, [r, c]),
                    exprs.mul(exprs.load(job.operands, [product, exprs.add(position, r), k]), weightAt(job, column!, product, k, c))))),
                ]);
              }),
              made.each((r, c) => store(sums, [to, visit, r, c], exprs.load(acc, [r, c]))),
            ])));
            return place.finish();
          })));
          const quadrant = lines.name(pick((p) => p.result?.quadrant ?? -1));
          const [a, b] = ([0, 1] as const).map((i) => lines.name(pick((p) => p.result?.sum[i] ?? 0)));
          const [below, beside] = [lines.name(exprs.floordiv(quadrant, 2)), lines.name(exprs.mod(quadrant, 2))];
          // Row by row: sums are in memory anyway, and what follows them would be written out for every register.
          const rows = halves.rows % 2 === 0 ? exprs.int(pairs) : lines.name(exprs.sub(pairs, below));
          lines.push({
            kind: 'if', condition: exprs.ge(quadrant, 0), otherwise: null,
            then: loop(ctx, here, 'serial', (visit) => unravel(ctx, exprs.add(first, visit), counts, (indices) => {
              const inside = new Lines(ctx);
              const start = inside.name(exprs.mul(indices.at(-1)!, tile.rows));
              inside.push(loop(ctx, inside.name(exprs.min(tile.rows, exprs.sub(rows, start))), 'serial', (r) =>
                tileAt(job, indices.slice(0, -1), exprs.add(exprs.add(start, r), exprs.mul(below, pairs)), exprs.add(columnStart, exprs.mul(beside, half)), 1, columns)
                  .finish((_, c) => exprs.add(exprs.load(sums, [a!, visit, r, c]), exprs.load(sums, [b!, visit, r, c])))));
              return inside.finish();
            })),
          });
          return lines.finish();
        }),
      ]));
    });
  });
}

function weightAt({ ctx: { exprs }, weights }: Job, column: Expr, product: Expr, k: Expr, c: Expr): Expr {
  return exprs.load(weights, [column, product, ...weights.shape.slice(2, -2).map(() => exprs.int(0)), k, c]);
}

/** Every tile of rows fetches a vector of each row of the part of the weights that comes next, so that memory does not rest meanwhile. */
function fetched(job: Job, column: Expr, product: Expr, block: Expr, i: Expr, visit: Expr, waiting: number): readonly Stmt[] {
  const { ctx: { exprs }, tile, width, inner, block: extent, half } = job;
  const vectors = Math.ceil(tile.columns / width);
  if (waiting < vectors) return [];
  const blocks = inner / extent;
  const parts = Math.ceil(half / tile.columns) * products.length * blocks;
  const next = exprs.min(exprs.add(exprs.mul(exprs.add(exprs.mul(column, products.length), product), blocks), exprs.add(block, 1)), parts - 1);
  const [nextProduct, nextBlock] = [exprs.floordiv(next, blocks), exprs.mod(next, blocks)];
  const at = weightAt(
    job, exprs.floordiv(nextProduct, products.length), exprs.mod(nextProduct, products.length), exprs.add(exprs.mul(nextBlock, extent), i),
    exprs.mul(exprs.min(visit, vectors - 1), width),
  );
  return [{ kind: 'evaluate', value: exprs.make('call', 'i64', [at], 'prefetch') }];
}
