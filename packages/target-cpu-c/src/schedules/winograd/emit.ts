import type { AttrValue, Buffer, Expr, For, Stmt, TensorFunction } from '@tenon/plugin';
import { seq } from '@tenon/core';
import { alloc, formed, loop, parallelOver, stagesOf } from '@tenon/schedule';
import { outlined } from '../../annotations.ts';
import { split } from '../contraction/split.ts';
import { launches } from '../rows.ts';
import type { StageContext } from '../stage.ts';
import type { Convolution } from './plan.ts';
import { emitProduct, type Product } from './product.ts';
import { overTiles, tileAt, transformInput, transformOutput } from './transform.ts';
import type { Strategy } from './cost.ts';

/** What all parts of the schedule know. */
interface Job {
  readonly ctx: StageContext;
  readonly conv: Convolution;
  readonly strategy: Strategy;
  /** The transformed weights, `[column tiles, products of each axis…, inputs, columns]`. */
  readonly weights: Buffer;
  readonly products: number;
  readonly tiles: number;
}

/** The function with its convolution done by Winograd's algorithm; stages before it as they are. */
export function emit(fn: TensorFunction, conv: Convolution, strategy: Strategy, ctx: StageContext, width: number): TensorFunction {
  const { exprs } = ctx;
  const { axes, register, tiles } = strategy;
  const products = axes.reduce((n, axis) => n * axis.products, 1);
  const { channels, window } = conv;
  const rank = conv.weights.shape.length;
  const order = [...Array.from({ length: rank }, (_, a) => a).filter((a) => a !== channels.weights.inputs && a !== channels.weights.outputs), channels.weights.inputs];
  const maps = window.flatMap((axis, w) => (axis.taps === 1 ? [] : [{ axis: axis.weights, matrix: axes[w]!.transforms.filter }]));
  const sizeOf = (axis: number): number => {
    const w = window.findIndex((a) => a.weights === axis);
    return w >= 0 ? axes[w]!.products : exprs.valueOf(conv.weights.shape[axis]!)!;
  };
  const weights: Buffer = {
    ...conv.weights, shape: [Math.ceil(channels.outputs / register.columns), ...order.map(sizeOf), register.columns].map((n) => exprs.int(n)),
  };
  const job: Job = { ctx, conv, strategy, weights, products, tiles };
  const nests = strategy.block === null ? nestByNest(job, width) : { temporaries: [], body: [blockByBlock(job, strategy.block, width)] };
  const staged = stagesOf(fn)!;
  const kept = new Set(conv.before.flatMap((s) => (formed(s) === null ? [] : [formed(s)!.form.store.buffer])));
  let body = seq([...launches(ctx, conv.before), ...nests.body]);
  for (const buffer of [...staged.temporaries.filter((b) => kept.has(b.name)), ...nests.temporaries].reverse()) body = alloc(buffer, body);
  const pack: { [input: string]: AttrValue } = { [conv.weights.name]: { axis: channels.weights.outputs, tile: register.columns, order, maps } };
  return { ...fn, inputs: fn.inputs.map((b) => (b.name === weights.name ? weights : b)), attrs: { ...fn.attrs, pack }, body };
}

/** Elements of a line of cache. */
const line = 16;

/** What passes between two steps: a number for each product, tile and channel. */
interface Scratch {
  readonly buffer: Buffer;
  readonly at: (product: Expr | number, tile: Expr, channel: Expr) => readonly Expr[];
}

/**
 * Tiles and channels of a product lie together. A transform works on all products of one element at a time: they are
 * an odd number of lines apart, so that they are in different sets of the caches.
 */
function scratch({ ctx: { exprs, names }, products }: Job, name: string, tiles: number, channels: number, scope: 'local' | 'global'): Scratch {
  const lines = Math.ceil((tiles * channels) / line);
  return {
    buffer: { name: names.fresh(name), dtype: 'f32', shape: [products, line * (lines + 1 - (lines % 2))].map((n) => exprs.int(n)), scope },
    at: (product, tile, channel) => [typeof product === 'number' ? exprs.int(product) : product, exprs.add(exprs.mul(tile, channels), channel)],
  };
}

/** The index of a transformed weight. Products are numbered row-major over the axes of the window, in the order of the weights' axes. */
function weightAt(job: Job, tile: Expr, product: Expr, input: Expr, column: Expr): readonly Expr[] {
  const { ctx: { exprs }, weights } = job;
  const sizes = weights.shape.slice(1, -2).map((d) => exprs.valueOf(d)!);
  const indices: Expr[] = [];
  let rest = product;
  for (let k = sizes.length - 1; k >= 0; k--) {
    indices.unshift(k === 0 ? rest : exprs.mod(rest, sizes[k]!));
    rest = exprs.floordiv(rest, sizes[k]!);
  }
  return [tile, ...indices, input, column];
}

/** Channels of a tile that one thread transforms, where steps run one after the other. */
const channelsAtOnce = 64;

/** A tile of columns at a time, the last one with the columns that are left. */
function forColumns({ ctx, conv, strategy }: Job, tile: Expr, body: (columns: number, start: Expr) => Stmt): Stmt {
  const { columns } = strategy.register;
  return split(ctx, ctx.exprs.int(conv.channels.outputs), ctx.exprs.mul(tile, columns), columns, [], body);
}

/**
 * Blocks of tiles in parallel: what passes between the three steps stays in the second cache level of the thread that
 * does them. The last block begins early enough to be whole; it stores only what the others have not.
 */
function blockByBlock(job: Job, block: number, width: number): Stmt {
  const { ctx, conv, strategy, tiles, products } = job;
  const { exprs } = ctx;
  const { axes, register } = strategy;
  const { inputs, outputs } = conv.channels;
  const count = Math.ceil(tiles / block);
  const columnTiles = Math.ceil(outputs / register.columns);
  // Panels come product by product, and tile of columns by tile of columns.
  const next = (column: Expr, product: Expr): { readonly column: Expr; readonly product: Expr } => {
    const panel = exprs.min(exprs.add(exprs.mul(column, products), exprs.add(product, 1)), columnTiles * products - 1);
    return { column: exprs.floordiv(panel, products), product: exprs.mod(panel, products) };
  };
  return parallelOver(ctx, [exprs.int(count)], ([at]) => {
    const nominal = exprs.mul(at!, block);
    const start = tiles % block === 0 ? nominal : exprs.min(nominal, tiles - block);
    const skipped = exprs.sub(nominal, start);
    const image = scratch(job, 'image', block, inputs, 'local');
    return alloc(image.buffer, seq([
      apart(overTiles(ctx, conv, axes, start, exprs.int(block), (tile, i) =>
        transformInput(ctx, conv, axes, tile, { start: exprs.int(0), count: exprs.int(inputs) }, width, image.buffer, (product, c) => image.at(product, i, c)))),
      loop(ctx, exprs.int(columnTiles), 'serial', (column) => forColumns(job, column, (columns, first) => {
        const sums = scratch(job, 'sums', block, columns, 'local');
        return alloc(sums.buffer, seq([
          apart(loop(ctx, exprs.int(products), 'serial', (product) => emitProduct(ctx, register, {
            rows: block, columns, inputs, beside: fetching(job, block, width, next(column, product)),
            from: (tile, c) => exprs.load(image.buffer, image.at(product, tile, c)),
            weight: (c, k) => exprs.load(job.weights, weightAt(job, column, product, c, k)),
            to: (tile, k) => ({ buffer: sums.buffer, indices: sums.at(product, tile, k) }),
          }))),
          apart(overTiles(ctx, conv, axes, exprs.add(start, skipped), exprs.sub(exprs.int(block), skipped), (tile, i) =>
            transformOutput(ctx, conv, axes, tile, { start: first, count: exprs.int(columns) }, width, sums.buffer, (product, k) => sums.at(product, exprs.add(i, skipped), k)))),
        ]));
      })),
    ]));
  });
}

/** Weights of fewer bytes are there before they could be fetched ahead. */
const worthFetching = 256 << 10;

/**
 * What the steps of a product do besides: every tile of rows fetches its share of the panel of weights that comes next, so that
 * memory does not rest while they are multiplied. Panels are the weights of one product and one tile of columns.
 */
function fetching(job: Job, rows: number, width: number, next: { readonly column: Expr; readonly product: Expr }): Product['beside'] {
  const { ctx: { exprs }, strategy: { register }, weights } = job;
  if (4 * weights.shape.reduce((n, d) => n * exprs.valueOf(d)!, 1) < worthFetching) return undefined;
  const visits = Math.ceil(rows / register.rows);
  const vectors = Math.ceil(register.columns / width);
  const share = Math.ceil(vectors / visits);
  return (visit, input) => seq(Array.from({ length: share }, (_, i) => {
    const vector = exprs.min(exprs.add(exprs.mul(visit, share), i), vectors - 1);
    const fetched = exprs.load(weights, weightAt(job, next.column, next.product, input, exprs.mul(vector, width)));
    return { kind: 'evaluate', value: exprs.make('call', 'i64', [fetched], 'prefetch') };
  }));
}

/** A loop as a function of its own: the steps need registers for different things. */
const apart = (s: For): For => ({ ...s, annotations: { ...s.annotations, [outlined]: true } });

/** Few tiles: the three steps one after the other, each in parallel over what it has most of, so that weights are read once. */
function nestByNest(job: Job, width: number): { readonly temporaries: readonly Buffer[]; readonly body: readonly Stmt[] } {
  const { ctx, conv, strategy, tiles, products } = job;
  const { exprs } = ctx;
  const { axes, register } = strategy;
  const { inputs, outputs } = conv.channels;
  const image = scratch(job, 'image', tiles, inputs, 'global');
  const sums = scratch(job, 'sums', tiles, outputs, 'global');
  const columnTiles = Math.ceil(outputs / register.columns);
  const part = channelsAtOnce;
  const next = (product: Expr, column: Expr): { readonly column: Expr; readonly product: Expr } => {
    const panel = exprs.min(exprs.add(exprs.mul(product, columnTiles), exprs.add(column, 1)), columnTiles * products - 1);
    return { column: exprs.mod(panel, columnTiles), product: exprs.floordiv(panel, columnTiles) };
  };
  const parts = (size: number, body: (channels: { readonly start: Expr; readonly count: Expr }) => Stmt, p: Expr): Stmt =>
    split(ctx, exprs.int(size), exprs.mul(p, part), part, [], (count, start) => body({ start, count: exprs.int(count) }));
  return {
    temporaries: [image.buffer, sums.buffer],
    body: [
      parallelOver(ctx, [tiles, Math.ceil(inputs / part)].map((n) => exprs.int(n)), ([t, p]) => tileAt(ctx, conv, axes, t!, (at) => parts(inputs, (channels) =>
        transformInput(ctx, conv, axes, at, channels, width, image.buffer, (product, c) => image.at(product, t!, c)), p!))),
      parallelOver(ctx, [products, columnTiles].map((n) => exprs.int(n)), ([product, column]) => forColumns(job, column!, (columns, first) => emitProduct(ctx, register, {
        rows: tiles, columns, inputs, beside: fetching(job, tiles, width, next(product!, column!)),
        from: (tile, c) => exprs.load(image.buffer, image.at(product!, tile, c)),
        weight: (c, k) => exprs.load(job.weights, weightAt(job, column!, product!, c, k)),
        to: (tile, k) => ({ buffer: sums.buffer, indices: sums.at(product!, tile, exprs.add(first, k)) }),
      }))),
      parallelOver(ctx, [tiles, Math.ceil(outputs / part)].map((n) => exprs.int(n)), ([t, p]) => tileAt(ctx, conv, axes, t!, (at) => parts(outputs, (channels) =>
        transformOutput(ctx, conv, axes, at, channels, width, sums.buffer, (product, k) => sums.at(product, t!, exprs.add(channels.start, k))), p!))),
    ],
  };
}
