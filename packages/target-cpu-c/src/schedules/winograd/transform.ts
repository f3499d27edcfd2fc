import type { Buffer, Expr, ExprBuilder, For, Stmt } from '@tenon/plugin';
import type { Exprs } from '@tenon/core';
import { loop, store, unravel, vectorLoop, type FormedStage } from '@tenon/schedule';
import type { StageContext } from '../stage.ts';
import type { Transforms } from './cook-toom.ts';
import { applyMap, linearMap, type LinearMap } from '../linear-map.ts';
import { Lines } from '../lines.ts';
import type { Convolution } from './plan.ts';

/** The algorithm's parameters along one axis of the window. */
export interface AxisTiles {
  /** Results of a tile. */
  readonly step: number;
  /** Products of a tile, and positions of the image that they are made from. */
  readonly products: number;
  readonly positions: number;
  /** Tiles along the axis; the last may reach beyond its end. */
  readonly count: number;
  readonly transforms: Transforms;
}

/** A tile: where it is along the axes of the result other than channels. */
export interface TileAt {
  readonly batch: readonly Expr[];
  readonly tiles: readonly Expr[];
}

/** Where a product, and an element of channels, is in a buffer. */
export type Place = (product: number, channel: Expr) => readonly Expr[];

/** Applies a map along every axis of a grid of values: row by row of the last axis, so that few results wait at a time. */
function separable(exprs: ExprBuilder, maps: readonly LinearMap[], sizes: readonly number[], at: (index: readonly number[]) => Expr, lines: Lines, result: (index: readonly number[], value: Expr) => void): void {
  const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
  const [first, second] = maps;
  const columns = range(sizes[1] ?? 1).map((b) => applyMap(exprs, first!, range(sizes[0]!).map((a) => at(second === undefined ? [a] : [a, b])), lines.name).map(lines.name));
  columns[0]!.forEach((_, i) => {
    if (second === undefined) result([i], columns[0]![i]!);
    else applyMap(exprs, second, columns.map((column) => column[i]!), lines.name).forEach((value, j) => result([i, j], value));
  });
}

const flatten = (index: readonly number[], sizes: readonly number[]): number => index.reduce((at, i, axis) => at * sizes[axis]! + i, 0);

/**
 * The input's transform of one tile, for a range of channels. Positions beyond the image, which a tile at an edge has, read
 * the last one instead: no result that is stored depends on them.
 */
export function transformInput(ctx: StageContext, conv: Convolution, axes: readonly AxisTiles[], at: TileAt, channels: { readonly start: Expr; readonly count: Expr }, width: number, into: Buffer, place: Place): Stmt {
  const { exprs } = ctx;
  const { image, window, batch } = conv;
  const outside = new Lines(ctx);
  const positions = window.map((axis, w) => {
    const { step, positions: length, count } = axes[w]!;
    const last = axis.stride * (axis.extent - 1) + axis.taps - 1;
    return Array.from({ length }, (_, a) => {
      const position = exprs.add(exprs.mul(at.tiles[w]!, axis.stride * step), a);
      return outside.name(exprs.add(axis.stride * (count - 1) * step + a <= last ? position : exprs.min(position, last), axis.first));
    });
  });
  const sizes = axes.map((axis) => axis.products);
  const maps = axes.map((axis) => linearMap(axis.transforms.input));
  outside.push(vectorLoop(ctx, channels.count, width, (i) => {
    const c = exprs.add(channels.start, i);
    const lines = new Lines(ctx);
    const read = (index: readonly number[]): Expr => {
      const indices: Expr[] = image.shape.map(() => exprs.int(0));
      window.forEach((axis, w) => (indices[axis.image] = positions[w]![index[w]!]!));
      batch.forEach((axis, b) => {
        if (axis.image !== null) indices[axis.image] = at.batch[b]!;
      });
      indices[conv.channels.image] = exprs.add(c, conv.channels.first);
      return lines.name(exprs.load(image, indices));
    };
    separable(exprs, maps, axes.map((axis) => axis.positions), read, lines, (index, value) => lines.push(store(into, place(flatten(index, sizes), c), value)));
    return lines.finish();
  }));
  return outside.finish();
}

/** The output's transform of one tile for a range of channels, what is made of the result, and its stores. */
export function transformOutput(ctx: StageContext, conv: Convolution, axes: readonly AxisTiles[], at: TileAt, channels: { readonly start: Expr; readonly count: Expr }, width: number, from: Buffer, place: Place): Stmt {
  const { exprs } = ctx;
  const { sum, epilogue, window, batch } = conv;
  const last: FormedStage = epilogue ?? sum;
  const outside = new Lines(ctx);
  const starts = window.map((_, w) => outside.name(exprs.mul(at.tiles[w]!, axes[w]!.step)));
  const sizes = axes.map((axis) => axis.products);
  const maps = axes.map((axis) => linearMap(axis.transforms.output));
  outside.push(vectorLoop(ctx, channels.count, width, (i) => {
    const c = exprs.add(channels.start, i);
    const lines = new Lines(ctx);
    const product = (index: readonly number[]): Expr => lines.name(exprs.load(from, place(flatten(index, sizes), i)));
    separable(exprs, maps, sizes, product, lines, (index, value) => {
      const positions = window.map((_, w) => exprs.add(starts[w]!, index[w]!));
      const values = new Map([[last.spatial[conv.channels.result]!.name, c]]);
      window.forEach((axis, w) => values.set(last.spatial[axis.result]!.name, positions[w]!));
      batch.forEach((axis, b) => values.set(last.spatial[axis.result]!.name, at.batch[b]!));
      const finished = lines.name(value);
      const stored = epilogue === null
        ? finished
        : (exprs as Exprs).transform(exprs.substitute(epilogue.form.store.value, values), (x) => (x.op === 'load' && x.value === sum.form.store.buffer ? finished : x));
      const write: Stmt = { kind: 'store', buffer: last.form.store.buffer, indices: last.form.store.indices.map((e) => exprs.substitute(e, values)), value: stored };
      const guards = window.flatMap((axis, w) => {
        const { step, count } = axes[w]!;
        return (count - 1) * step + index[w]! < axis.extent ? [] : [exprs.lt(positions[w]!, axis.extent)];
      });
      lines.push(guards.reduce<Stmt>((then, condition) => ({ kind: 'if', condition, then, otherwise: null }), write));
    });
    return lines.finish();
  }));
  return outside.finish();
}

/** A loop over tiles, numbered row-major over the batch axes and those of the window. */
export function overTiles(ctx: StageContext, conv: Convolution, axes: readonly AxisTiles[], start: Expr, count: Expr, body: (at: TileAt, i: Expr) => Stmt): For {
  return loop(ctx, count, 'serial', (i) => tileAt(ctx, conv, axes, ctx.exprs.add(start, i), (at) => body(at, i)));
}

export function tileAt(ctx: StageContext, conv: Convolution, axes: readonly AxisTiles[], number: Expr, body: (at: TileAt) => Stmt): Stmt {
  const extents = [...conv.batch.map((axis) => axis.extent), ...axes.map((axis) => axis.count)].map((n) => ctx.exprs.int(n));
  return unravel(ctx, number, extents, (indices) => body({ batch: indices.slice(0, conv.batch.length), tiles: indices.slice(conv.batch.length) }));
}
