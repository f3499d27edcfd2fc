import type { Buffer, Expr, Stmt } from '@tenon/plugin';
import { seq } from '@tenon/core';
import { alloc, loop, store } from '@tenon/schedule';
import { split } from '../contraction/split.ts';
import type { TileSize } from '../contraction/tile-size.ts';
import type { StageContext } from '../stage.ts';

/** The sums over input channels of one product of all tiles, for one tile of columns: `to[tile, column] = Σ_c from[tile, c] · weights[c, column]`. */
export interface Product {
  /** Rows: tiles of the image. */
  readonly rows: number;
  /** Columns: output channels of one tile of columns. */
  readonly columns: number;
  readonly inputs: number;
  readonly from: (tile: Expr, input: Expr) => Expr;
  readonly weight: (input: Expr, column: Expr) => Expr;
  readonly to: (tile: Expr, column: Expr) => { readonly buffer: Buffer; readonly indices: readonly Expr[] };
  /** Statements of the step `input` of the tile of rows `visit`, beside its products. */
  readonly beside?: ((visit: Expr, input: Expr) => Stmt) | undefined;
}

/** Register tiles for a product. */
export function emitProduct(ctx: StageContext, tile: TileSize, product: Product): Stmt {
  const { exprs } = ctx;
  const { rows, columns, inputs, from, weight, to, beside } = product;
  return loop(ctx, exprs.int(Math.ceil(rows / tile.rows)), 'serial', (visit) => split(ctx, exprs.int(rows), exprs.mul(visit, tile.rows), tile.rows, [], (count, start) => {
    const acc: Buffer = { name: ctx.names.fresh('acc'), dtype: 'f32', shape: [exprs.int(count), exprs.int(columns)], scope: 'local' };
    const each = (body: (r: Expr, c: Expr) => Stmt): Stmt => loop(ctx, exprs.int(count), 'unrolled', (r) => loop(ctx, exprs.int(columns), 'vectorized', (c) => body(r, c)));
    return alloc(acc, seq([
      each((r, c) => store(acc, [r, c], exprs.constant(0, 'f32'))),
      loop(ctx, exprs.int(inputs), 'serial', (k) => seq([
        ...(beside === undefined ? [] : [beside(visit, k)]),
        each((r, c) => store(acc, [r, c], exprs.add(exprs.load(acc, [r, c]), exprs.mul(from(exprs.add(start, r), k), weight(k, c))))),
      ])),
      each((r, c) => {
        const { buffer, indices } = to(exprs.add(start, r), c);
        return store(buffer, indices, exprs.load(acc, [r, c]));
      }),
    ]));
  }));
}
