import type { AttrValue, Buffer, Expr, ScheduleChoices, Stmt, TargetContext, TensorFunction } from '@tenon/plugin';
import { seq } from '@tenon/core';
import { alloc, formed, loop, parallelOver, stagesOf, store, unravel } from '@tenon/schedule';
import { bytesOf, cacheBytes, lanes, machineOf, vectorRegisters } from '../machine.ts';
import { launches, stageContext } from '../rows.ts';
import type { StageContext } from '../stage.ts';
import { fetchAhead, type Panel } from './ahead.ts';
import type { Axis, Plan } from './plan.ts';
import { split } from './split.ts';
import { Tile } from './tile.ts';
import { tileSize, type TileSize } from './tile-size.ts';

/** The function of a plan: stages before it, then a parallel loop over tiles. */
export function emit(fn: TensorFunction, plan: Plan, target: TargetContext, choices: ScheduleChoices): TensorFunction {
  const ctx = stageContext(fn, target);
  const { exprs } = ctx;
  const { column, row } = plan;
  const width = lanes(target, plan.sum.form.store.value.dtype);
  const tile = chooseTile(ctx, plan, width, target, choices);
  const packed = plan.packed.map((p): Buffer | null => {
    if (p === null) return null;
    const step = p.axis === column ? tile.columns : tile.rows;
    const { shape } = p.buffer;
    return { ...p.buffer, shape: [exprs.ceildiv(shape[p.tiled]!, step), ...p.order.map((a) => shape[a]!), exprs.int(step)] };
  });
  // A column tile is visited by all tiles of rows, of every point of the axes that its operand does not depend on.
  const free = plan.axes.filter((a) => a !== column && a !== row && !plan.shared.includes(a));
  const job: Job = {
    ctx, plan, packed, tile, width, threads: machineOf(target).threads, resident: isResident(ctx, plan, packed, target), inner: [...free.map((axis) => ({ axis, step: 1 })), ...(row === null ? [] : [{ axis: row, step: tile.rows }])],
  };
  const choice = blockExtents(job, target);
  const extent = choices.choose('reduction', choice, choice.at(-1)!);
  const nest = extent === choice[0] ? whole(job) : blocked(job, extent);

  const staged = stagesOf(fn)!;
  const kept = new Set(plan.before.flatMap((s) => (formed(s) === null ? [] : [formed(s)!.form.store.buffer])));
  let body = seq([...launches(ctx, plan.before), nest]);
  for (const buffer of staged.temporaries.filter((b) => kept.has(b.name)).reverse()) body = alloc(buffer, body);
  const pack: { [input: string]: AttrValue } = {};
  plan.packed.forEach((p) => {
    if (p !== null) pack[p.buffer.name] = { axis: p.tiled, tile: p.axis === column ? tile.columns : tile.rows, order: p.order };
  });
  const inputs = fn.inputs.map((b) => packed.find((p) => p?.name === b.name) ?? b);
  return { ...fn, inputs, attrs: Object.keys(pack).length === 0 ? fn.attrs : { ...fn.attrs, pack }, body };
}

interface Job {
  readonly ctx: StageContext;
  readonly plan: Plan;
  readonly packed: readonly (Buffer | null)[];
  readonly tile: TileSize;
  readonly width: number;
  readonly threads: number;
  /** All columns together stay in the second cache level. */
  readonly resident: boolean;
  /** The axes that one column tile is visited along, outermost first. */
  readonly inner: readonly { readonly axis: Axis; readonly step: number }[];
}

function isResident({ exprs }: StageContext, plan: Plan, packed: readonly (Buffer | null)[], target: TargetContext): boolean {
  const buffer = packed[plan.packed.findIndex((p) => p?.axis === plan.column)] ?? null;
  const elements = buffer === null ? null : exprs.valueOf(exprs.product(buffer.shape));
  return buffer !== null && elements !== null && elements * (bytesOf[buffer.dtype] ?? 4) <= cacheBytes(target, 2) / 4;
}

/** How many of an axis lie together in an operand that is packed in groups; null where none is. */
const groupSize = (plan: Plan, axis: Axis): number | null => plan.packed.find((p) => p?.axis === axis && p.group !== null)?.group?.size ?? null;

/** The largest step up to `most` that groups of `size` consist of, in whole vectors where it can be. */
function wholeIn(size: number | null, most: number, width: number): number {
  if (size === null) return most;
  const steps = Array.from({ length: Math.min(size, most) }, (_, i) => Math.min(size, most) - i).filter((n) => size % n === 0);
  return steps.find((n) => n % width === 0) ?? steps[0]!;
}

function chooseTile(ctx: StageContext, plan: Plan, width: number, target: TargetContext, choices: ScheduleChoices): TileSize {
  const { row, column, sum } = plan;
  const { exprs } = ctx;
  const core = { width, registers: vectorRegisters(target), vectorBytes: width * (bytesOf[sum.form.store.value.dtype] ?? 4), l1: cacheBytes(target, 1) };
  const best = tileSize(core, row === null ? 1 : exprs.valueOf(row.extent), exprs.valueOf(column.extent), exprs.valueOf(exprs.product(sum.reduce.map((r) => r.extent))));
  const columns = wholeIn(groupSize(plan, column), best.columns, width);
  const rows = row === null ? best.rows : wholeIn(groupSize(plan, row), best.rows, 1);
  const ascending = (values: readonly number[]): number[] => [...new Set(values)].sort((a, b) => a - b);
  const mostRows = row === null ? 1 : Math.max(best.rows, exprs.valueOf(row.extent) ?? 16);
  return {
    rows: choices.choose('rows', ascending([rows, ...(row !== null && groupSize(plan, row) !== null ? [] : [1, 2, 4, 6, 8, 12, 16].filter((n) => n <= mostRows))]), rows),
    columns: choices.choose('columns', ascending([columns, ...(groupSize(plan, column) !== null ? [] : [1, 2, 3, 4, 8].map((n) => n * width))]), columns),
  };
}

/** Rows for which a thread may well read a tile of columns by itself, whatever others read. */
const worthReading = 32;

/**
 * Into how many parts the tiles of rows are cut, outside of the tiles of columns: one for each thread, where it has enough of them. A thread then goes on
 * with rows that it has written itself, from one kernel to the next, and lines of cache do not go back and forth between threads.
 */
function partsOf({ ctx: { exprs }, tile, inner, threads }: Job): number {
  const visits = exprs.valueOf(exprs.product(inner.map(({ axis, step }) => exprs.ceildiv(axis.extent, step))));
  return visits === null ? 1 : Math.max(1, Math.min(threads, Math.floor((visits * tile.rows) / worthReading)));
}

/** Every tile runs through the whole reduction, its sums in registers. */
function whole(job: Job): Stmt {
  const { ctx, plan, tile, inner } = job;
  const { exprs } = ctx;
  const shared = plan.shared.map((axis) => ({ axis, step: 1 }));
  const column = { axis: plan.column, step: tile.columns };
  const tilesOf = (order: readonly { readonly axis: Axis; readonly step: number }[]): Expr[] => order.map(({ axis, step }) => exprs.ceildiv(axis.extent, step));
  const counts = tilesOf(inner);
  const visits = exprs.product(counts);
  // Columns that the cache keeps anyway come last: then rows pass by once, for all columns.
  if (job.resident) {
    const order = [...shared, ...inner, column];
    return parallelOver(ctx, tilesOf(order), (points) => wholeTile(job, new Map(order.map(({ axis }, i) => [axis, points[i]!])), null));
  }
  const parts = partsOf(job);
  const each = exprs.ceildiv(visits, parts);
  return parallelOver(ctx, [...tilesOf(shared), exprs.int(parts), ...tilesOf([column]), each], (points) => {
    const [part, at, visit] = points.slice(-3) as [Expr, Expr, Expr];
    const position = exprs.add(exprs.mul(part, each), visit);
    const tiles = unravel(ctx, position, counts, (indices) => wholeTile(
      job, new Map([...shared.map(({ axis }, i) => [axis, points[i]!] as const), [plan.column, at], ...inner.map(({ axis }, i) => [axis, indices[i]!] as const)]),
      { visit, visits: exprs.valueOf(each) },
    ));
    const known = exprs.valueOf(visits);
    return known !== null && known % parts === 0 || parts === 1 ? tiles : { kind: 'if', condition: exprs.lt(position, visits), then: tiles, otherwise: null };
  });
}

/** A tile, from the first element of the reduction to the last. `turn`: which of the tiles of rows that read its columns one after the other it is; null where all columns stay in cache. */
function wholeTile(job: Job, tiles: ReadonlyMap<Axis, Expr>, turn: { readonly visit: Expr; readonly visits: number | null } | null): Stmt {
  const { ctx, plan, inner } = job;
  const { exprs } = ctx;
  const extent = exprs.valueOf(plan.sum.reduce[0]!.extent);
  const ahead = turn === null || turn.visits === null || inner.length === 0 || extent === null
    ? null
    : fetch(job, { tile: tiles.get(plan.column)!, block: exprs.int(0), blocks: 1, extent, visit: turn.visit, visits: turn.visits });
  return forColumns(job, tiles, (columns, start) => forRows(job, tiles, (rows, at) => {
    const made = tileAt(job, tiles, rows, at, columns, start);
    return made.sums((acc) => seq([
      made.each((r, c) => store(acc, [r, c], made.initial(r, c))),
      made.accumulate(acc, ahead, null),
      made.finish((r, c) => exprs.load(acc, [r, c])),
    ]));
  }));
}

/** Tiles of rows whose sums wait in memory for the next block of the reduction. */
const mostWaiting = 16;

/**
 * The reduction in blocks, outside of the tiles of rows: all of them use one block of columns, which stays in cache,
 * before the next one. Sums wait in memory in between.
 */
function blocked(job: Job, extent: number): Stmt {
  const { ctx, plan, tile, inner } = job;
  const { exprs, names } = ctx;
  const counts = inner.map(({ axis, step }) => exprs.ceildiv(axis.extent, step));
  const visits = exprs.product(counts);
  const count = exprs.valueOf(visits);
  const waiting = count === null ? mostWaiting : Math.ceil(count / Math.max(Math.ceil(count / mostWaiting), partsOf(job)));
  const blocks = exprs.valueOf(plan.sum.reduce[0]!.extent)! / extent;
  const extents = [...plan.shared.map((axis) => axis.extent), exprs.ceildiv(visits, waiting), exprs.ceildiv(plan.column.extent, tile.columns)];
  return parallelOver(ctx, extents, (points) => {
    const outer = new Map([...plan.shared.map((axis, i) => [axis, points[i]!] as const), [plan.column, points.at(-1)!]]);
    const first = exprs.mul(points.at(-2)!, waiting);
    const here = count !== null && count % waiting === 0 ? exprs.int(waiting) : exprs.min(exprs.int(waiting), exprs.sub(visits, first));
    return forColumns(job, outer, (columns, start) => {
      const sums: Buffer = {
        name: names.fresh('sums'), dtype: plan.sum.form.store.value.dtype, scope: 'local', shape: [exprs.int(waiting), exprs.int(tile.rows), exprs.int(columns)],
      };
      const each = (body: (made: Tile, waits: (r: Expr, c: Expr) => readonly Expr[], visit: Expr) => Stmt): Stmt => loop(ctx, here, 'serial', (v) => {
        return unravel(ctx, exprs.add(first, v), counts, (indices) => {
          const tiles = new Map([...outer, ...inner.map(({ axis }, i) => [axis, indices[i]!] as const)]);
          return forRows(job, tiles, (rows, rowStart, offset) =>
            body(tileAt(job, tiles, rows, rowStart, columns, start), (r, c) => [v, exprs.add(offset, r), c], v));
        });
      });
      return alloc(sums, seq([
        each((made, waits) => made.each((r, c) => store(sums, waits(r, c), made.initial(r, c)))),
        loop(ctx, exprs.int(blocks), 'serial', (block) => each((made, waits, visit) => {
          const ahead = fetch(job, { tile: outer.get(plan.column)!, block, blocks, extent, visit, visits: waiting });
          return made.sums((acc) => seq([
            made.each((r, c) => store(acc, [r, c], exprs.load(sums, waits(r, c)))),
            made.accumulate(acc, ahead, { start: exprs.mul(block, extent), extent: exprs.int(extent) }),
            made.each((r, c) => store(sums, waits(r, c), exprs.load(acc, [r, c]))),
          ]));
        })),
        each((made, waits) => made.finish((r, c) => exprs.load(sums, waits(r, c)))),
      ]));
    });
  });
}

const fetch = ({ ctx, plan, packed, tile, width }: Job, panel: Panel): ReturnType<typeof fetchAhead> => fetchAhead(ctx, plan, packed, tile, width, panel);

/**
 * Extents that blocks of the outermost reduction axis may have, the whole axis first and the best last: a block of a
 * column tile should leave most of the second cache level to the rows that pass by.
 */
function blockExtents({ ctx, plan, packed, tile, inner }: Job, target: TargetContext): number[] {
  const { exprs } = ctx;
  const extents = plan.sum.reduce.map((r) => exprs.valueOf(r.extent));
  const [first] = extents;
  if (first == null || extents.includes(null) || inner.length === 0) return [first ?? 0];
  const operand = plan.packed.findIndex((p) => p?.axis === plan.column);
  const bytes = (extent: number): number => extents.slice(1).reduce<number>((a, b) => a * b!, extent) * tile.columns * (bytesOf[plan.sum.form.store.value.dtype] ?? 4);
  const room = cacheBytes(target, 2) / 4;
  if (packed[operand] == null || bytes(first) <= room || exprs.valueOf(exprs.product(inner.map(({ axis, step }) => exprs.ceildiv(axis.extent, step)))) === 1) return [first];
  // Blocks so short that sums go to memory and back all the time gain nothing.
  const fitting = Array.from({ length: first - 1 }, (_, i) => first - 1 - i).filter((n) => first % n === 0 && bytes(n) <= room && bytes(n) * 4 >= room);
  return fitting.length === 0 ? [first] : [first, ...fitting.slice(1), fitting[0]!];
}

function tileAt({ ctx, plan, packed, inner }: Job, tiles: ReadonlyMap<Axis, Expr>, rows: number, rowStart: Expr, columns: number, columnStart: Expr): Tile {
  const { exprs } = ctx;
  const start = new Map<Axis, Expr>([...tiles].map(([axis, at]) => [axis, exprs.mul(at, inner.find((i) => i.axis === axis)?.step ?? 1)]));
  start.set(plan.column, columnStart);
  if (plan.row !== null) start.set(plan.row, rowStart);
  return new Tile(ctx, plan, packed, { tiles, start, rows, columns });
}

function forColumns({ ctx, plan, tile, width }: Job, tiles: ReadonlyMap<Axis, Expr>, body: (columns: number, start: Expr) => Stmt): Stmt {
  const start = ctx.exprs.mul(tiles.get(plan.column)!, tile.columns);
  return split(ctx, plan.column.extent, start, tile.columns, tile.columns > width ? [width, 1] : [1], body);
}

/** `offset`: where in the tile the rows begin. */
function forRows({ ctx, plan, tile }: Job, tiles: ReadonlyMap<Axis, Expr>, body: (rows: number, start: Expr, offset: Expr) => Stmt): Stmt {
  const { exprs } = ctx;
  if (plan.row === null) return body(1, exprs.int(0), exprs.int(0));
  const start = exprs.mul(tiles.get(plan.row)!, tile.rows);
  return split(ctx, plan.row.extent, start, tile.rows, [1], (rows, at) => body(rows, at, exprs.sub(at, start)));
}
