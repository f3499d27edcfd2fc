import type { Buffer, Expr, Stmt } from '@tenon/plugin';
import { seq, type Exprs } from '@tenon/core';
import { alloc, combinationOf, loop, loops, store, type FormedStage } from '@tenon/schedule';
import type { StageContext } from '../stage.ts';
import type { Ahead } from './ahead.ts';
import type { Axis, Packed, Plan } from './plan.ts';

/** Where a tile is, and how large. */
export interface Place {
  /** The position of the tile along each axis, in tiles, and in elements. */
  readonly tiles: ReadonlyMap<Axis, Expr>;
  readonly start: ReadonlyMap<Axis, Expr>;
  readonly rows: number;
  readonly columns: number;
}

/** A part of the outermost axis of the reduction. */
export interface Range {
  readonly start: Expr;
  readonly extent: Expr;
}

/** The statements that a tile is made of. Its sums are `[rows, columns]`. */
export class Tile {
  readonly #ctx: StageContext;
  readonly #plan: Plan;
  readonly #packed: readonly (Buffer | null)[];
  readonly #place: Place;
  readonly #shape: readonly [Expr, Expr];

  constructor(ctx: StageContext, plan: Plan, packed: readonly (Buffer | null)[], place: Place) {
    this.#ctx = ctx;
    this.#plan = plan;
    this.#packed = packed;
    this.#place = place;
    this.#shape = [ctx.exprs.int(place.rows), ctx.exprs.int(place.columns)];
  }

  /** Sums in registers, as long as `body` runs. */
  sums(body: (acc: Buffer) => Stmt): Stmt {
    const { dtype } = this.#plan.sum.form.store.value;
    const acc: Buffer = { name: this.#ctx.names.fresh('acc'), dtype, shape: this.#shape, scope: 'local' };
    return alloc(acc, body(acc));
  }

  /** A statement for every element, in vectors along the columns. */
  each(body: (r: Expr, c: Expr) => Stmt): Stmt {
    return loop(this.#ctx, this.#shape[0], 'unrolled', (r) => loop(this.#ctx, this.#shape[1], 'vectorized', (c) => body(r, c)));
  }

  /** What a sum begins with. */
  initial(r: Expr, c: Expr): Expr {
    const { sum } = this.#plan;
    return this.#ctx.exprs.substitute(sum.form.init!.value, this.#values(sum, r, c));
  }

  /** Adds the products of the reduction, or of a part of it, to the sums. */
  accumulate(acc: Buffer, ahead: Ahead | null, range: Range | null): Stmt {
    const { exprs } = this.#ctx;
    const extents = this.#plan.sum.reduce.map((r) => r.extent);
    const first = range?.start ?? exprs.int(0);
    if (range !== null) extents[0] = range.extent;
    const step = (k: readonly Expr[]): Stmt => this.#step(acc, k.map((i, n) => (n === 0 ? exprs.add(first, i) : i)));
    if (ahead === null) return loops(this.#ctx, extents, 'serial', step);
    return ahead.bind((fetched) => loops(this.#ctx, extents.slice(0, -1), 'serial', (outer) =>
      loop(this.#ctx, exprs.floordiv(extents.at(-1)!, ahead.steps), 'serial', (fetch) => seq([
        { kind: 'evaluate', value: fetched(outer, fetch) },
        loop(this.#ctx, exprs.int(ahead.steps), 'unrolled', (i) => step([...outer, exprs.add(exprs.mul(fetch, ahead.steps), i)])),
      ]))));
  }

  #step(acc: Buffer, k: readonly Expr[]): Stmt {
    const { exprs } = this.#ctx;
    return this.each((r, c) => store(acc, [r, c], exprs.add(exprs.load(acc, [r, c]), exprs.mul(this.operand(0, r, c, k), this.operand(1, r, c, k)))));
  }

  /** An operand of the product at indices of the reduction. */
  operand(i: 0 | 1, r: Expr, c: Expr, k: readonly Expr[]): Expr {
    const { exprs } = this.#ctx;
    const { sum } = this.#plan;
    const at = this.#values(sum, r, c);
    sum.reduce.forEach((iter, n) => at.set(iter.name, k[n]!));
    const p = this.#plan.packed[i] ?? null;
    const buffer = this.#packed[i] ?? null;
    if (p === null || buffer === null) return exprs.substitute(combinationOf(sum.form.store)!.value.args[i]!, at);
    const middle = p.order.slice(0, p.order.length - p.reduce.length).map(() => exprs.int(0));
    return exprs.load(buffer, [this.#tileOf(p, at), ...middle, ...p.reduce.map((name) => at.get(name)!), p.axis === this.#plan.column ? c : r]);
  }

  /** Which tile of a packed operand it is. */
  #tileOf({ axis, group }: Packed, at: ReadonlyMap<string, Expr>): Expr {
    const { exprs } = this.#ctx;
    const tile = this.#place.tiles.get(axis)!;
    if (group === null) return tile;
    const step = axis === this.#plan.column ? this.#place.columns : this.#place.rows;
    return exprs.add(exprs.mul(at.get(group.name)!, group.size / step), tile);
  }

  /** Writes the result; `sum` gives the finished sums. */
  finish(sum: (r: Expr, c: Expr) => Expr): Stmt {
    const { exprs, names } = this.#ctx;
    const { epilogue, contiguous } = this.#plan;
    const last = epilogue ?? this.#plan.sum;
    const finished = (r: Expr, c: Expr): Expr => {
      if (epilogue === null) return sum(r, c);
      const value = exprs.substitute(epilogue.form.store.value, this.#values(epilogue, r, c));
      const own = this.#plan.sum.form.store.buffer;
      return (exprs as Exprs).transform(value, (x) => (x.op === 'load' && x.value === own ? sum(r, c) : x));
    };
    const write = (value: Expr, r: Expr, c: Expr): Stmt => {
      const at = this.#values(last, r, c);
      return { kind: 'store', buffer: last.form.store.buffer, indices: last.form.store.indices.map((e) => exprs.substitute(e, at)), value };
    };
    if (contiguous) return this.each((r, c) => write(finished(r, c), r, c));
    // Scattered stores index the tile by loop variables, which registers cannot be: finished elements go through memory.
    const copy: Buffer = { name: names.fresh('tile'), dtype: last.form.store.value.dtype, shape: this.#shape, scope: 'local' };
    return alloc(copy, seq([
      this.each((r, c) => store(copy, [r, c], finished(r, c))),
      loop(this.#ctx, this.#shape[1], 'serial', (c) => loop(this.#ctx, this.#shape[0], 'serial', (r) => write(exprs.load(copy, [r, c]), r, c))),
    ]));
  }

  #values(s: FormedStage, r: Expr, c: Expr): Map<string, Expr> {
    const { exprs } = this.#ctx;
    const all = new Map<string, Expr>();
    for (const axis of this.#plan.axes) {
      const at = this.#place.start.get(axis)!;
      const index = axis === this.#plan.column ? exprs.add(at, c) : axis === this.#plan.row ? exprs.add(at, r) : at;
      axis.positions.forEach((p, k) => all.set(s.spatial[p]!.name, axis.indices(index)[k]!));
    }
    return all;
  }
}
