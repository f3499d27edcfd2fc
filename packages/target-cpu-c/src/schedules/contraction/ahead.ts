import type { Buffer, Expr, Stmt } from '@tenon/plugin';
import { bytesOf } from '../machine.ts';
import type { StageContext } from '../stage.ts';
import type { Plan } from './plan.ts';
import type { TileSize } from './tile-size.ts';

/** What the steps of a tile's reduction fetch for the column tile that comes next. */
export interface Ahead {
  /** Steps of the innermost reduction axis per fetch. */
  readonly steps: number;
  /** Surrounds the tile with what the index needs, computed once. */
  bind(body: (at: (outer: readonly Expr[], fetch: Expr) => Expr) => Stmt): Stmt;
}

/** A column tile, or a block of the outermost reduction axis of one: what is read again and again for one tile of rows after the other. */
export interface Panel {
  readonly tile: Expr;
  readonly block: Expr;
  /** How many blocks a column tile has, and how much of the outermost reduction axis each is. */
  readonly blocks: number;
  readonly extent: number;
  /** Which of the `visits` tiles of rows reads it now. */
  readonly visit: Expr;
  readonly visits: number;
}

/** Fewer bytes than these are there before they could be fetched ahead. */
const worthFetching = 256 << 10;
/** Copies of the innermost step: more would only make code. */
const mostSteps = 4;
/** With more tiles of rows than these, memory has time enough. */
const mostVisits = 64;

/**
 * Panels of constants are read from memory by the first tile of rows and from the cache by those that follow: without
 * help, memory rests while they compute. So every tile of rows fetches its share of the next panel: of the `visits`, visit i
 * fetches vector i mod V of the rows that part ⌊i / V⌋ has of the innermost reduction axis. null where that is not worth while.
 */
export function fetchAhead(ctx: StageContext, plan: Plan, packed: readonly (Buffer | null)[], tile: TileSize, width: number, panel: Panel): Ahead | null {
  const { exprs } = ctx;
  const operand = plan.packed.findIndex((p) => p?.axis === plan.column);
  const buffer = packed[operand] ?? null;
  const p = plan.packed[operand];
  const { reduce } = plan.sum;
  if (buffer === null || p == null || p.group !== null || p.reduce.length !== reduce.length || buffer.shape.some((d) => exprs.valueOf(d) === null)) return null;
  const shape = buffer.shape.map((d) => exprs.valueOf(d)!);
  const panels = shape[0]! * panel.blocks;
  if (shape.reduce((a, b) => a * b, bytesOf[buffer.dtype] ?? 4) < worthFetching || panels < 2) return null;
  const vectors = Math.ceil(tile.columns / width);
  if (panel.visits < vectors || panel.visits > mostVisits) return null;
  const extent = reduce.length === 1 ? panel.extent : exprs.valueOf(reduce.at(-1)!.extent)!;
  let steps = Math.min(mostSteps, Math.floor(panel.visits / vectors));
  while (extent % steps !== 0) steps--;
  return {
    steps,
    bind(body) {
      const names = [ctx.names.fresh('next'), ctx.names.fresh('part'), ctx.names.fresh('vector')];
      const [next, part, vector] = names.map((n) => exprs.variable(n));
      const values = [
        exprs.min(exprs.add(exprs.add(exprs.mul(panel.tile, panel.blocks), panel.block), 1), panels - 1),
        exprs.mul(exprs.min(exprs.floordiv(panel.visit, vectors), steps - 1), extent / steps),
        exprs.mul(exprs.mod(panel.visit, vectors), width),
      ];
      const middle = p.order.slice(0, p.order.length - p.reduce.length).map(() => exprs.int(0));
      const from = exprs.mul(exprs.mod(next!, panel.blocks), panel.extent);
      const inside = body((outer, fetch) => {
        const index = [...outer, exprs.add(part!, fetch)].map((k, n) => (n === 0 ? exprs.add(from, k) : k));
        return exprs.make('call', 'i64', [exprs.load(buffer, [exprs.floordiv(next!, panel.blocks), ...middle, ...index, vector!])], 'prefetch');
      });
      return names.reduceRight<Stmt>((stmt, variable, i) => ({ kind: 'let', variable, value: values[i]!, body: stmt }), inside);
    },
  };
}
