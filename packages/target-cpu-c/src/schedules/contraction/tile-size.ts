export interface TileSize {
  readonly rows: number;
  readonly columns: number;
}

/** A tile, and the cycles of one step of the reduction for the whole result. */
export interface TileChoice extends TileSize {
  readonly cycles: number;
}

/** What the model takes from the machine. `width`: elements of a vector. */
export interface Core {
  readonly width: number;
  readonly registers: number;
  readonly vectorBytes: number;
  readonly l1: number;
}

/**
 * The tile that needs the fewest cycles for the whole result, by a model of one core: two multiply-adds and one load a
 * cycle (two loads is what cores promise; with vectors of 64 bytes not all keep it), four cycles until a sum can be added
 * to again, and 3.5 cycles for each vector of columns that comes from the second cache level, which it does where the
 * columns of a tile, `depth` rows of them, do not fit into the first. A tile of `rows × vectors` needs registers for its
 * sums, one row of columns, and a broadcast.
 */
export function tileSize(core: Core, rowExtent: number | null, columnExtent: number | null, depth: number | null): TileChoice {
  const { width, registers, vectorBytes, l1 } = core;
  const rowCount = rowExtent ?? 4096;
  const columnCount = columnExtent ?? 4096;
  const vectorCount = Math.ceil(columnCount / width);
  const latency = 4;
  const fits = (vectors: number): boolean => depth !== null && depth * vectors * vectorBytes <= l1 / 2;
  const cycles = (rows: number, vectors: number): number => Math.max((rows * vectors) / 2, rows + vectors, latency, fits(vectors) ? 0 : 3.5 * vectors);
  const along = (count: number, step: number): readonly (readonly [number, number])[] => [[Math.floor(count / step), step], [count % step === 0 ? 0 : 1, count % step]];
  const candidates: { readonly cost: number; readonly rows: number; readonly columns: number }[] = [];
  // A tile is of whole vectors, unless all columns are less than one: what is left over is a tile of its own.
  for (let vectors = 1; vectors <= Math.min(8, Math.max(1, Math.floor(columnCount / width))); vectors++) {
    const most = Math.min(Math.floor((registers - 1) / vectors) - 1, rowCount);
    for (let rows = rowExtent === null ? Math.max(1, most) : 1; rows <= most; rows++) {
      let cost = 0;
      for (const [r, rowsHere] of along(rowCount, rows)) for (const [v, vectorsHere] of along(vectorCount, vectors)) if (r > 0 && v > 0) cost += r * v * cycles(rowsHere, vectorsHere);
      candidates.push({ cost, rows, columns: Math.min(vectors * width, columnCount) });
    }
  }
  // Of about equal tiles the one with most rows: its columns are read less often.
  const least = Math.min(...candidates.map((c) => c.cost));
  const { rows, columns, cost } = candidates.filter((c) => c.cost <= least * 1.01).reduce((a, b) => (b.rows > a.rows ? b : a));
  return { rows, columns, cycles: cost };
}
