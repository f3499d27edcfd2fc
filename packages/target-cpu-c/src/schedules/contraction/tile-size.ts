export interface TileSize {
  readonly rows: number;
  readonly columns: number;
}

/**
 * The tile that needs the fewest cycles for the whole result, by a model of one core: two multiply-adds and one load a
 * cycle (two loads is what cores promise; with vectors of 64 bytes not all keep it), four cycles until a sum can be added
 * to again, and columns that come from the second cache level. A tile of `rows × vectors` needs registers for its sums, one
 * row of columns, and a broadcast.
 */
export function tileSize(width: number, registers: number, rowExtent: number | null, columnExtent: number | null): TileSize {
  const rowCount = rowExtent ?? 4096;
  const columnCount = columnExtent ?? 4096;
  const vectorCount = Math.ceil(columnCount / width);
  const latency = 4;
  const cycles = (rows: number, vectors: number): number => Math.max((rows * vectors) / 2, rows + vectors, latency, 2 * vectors);
  let best: { cost: number; tile: TileSize } | null = null;
  for (let vectors = 1; vectors <= Math.min(8, vectorCount); vectors++) {
    const most = Math.floor((registers - 1) / vectors) - 1;
    if (most < 1) break;
    // Tiles as equal as they can be.
    const rows = rowExtent === null ? Math.min(most, rowCount) : Math.ceil(rowCount / Math.ceil(rowCount / Math.min(most, rowCount)));
    const along = (count: number, step: number): readonly (readonly [number, number])[] => [[Math.floor(count / step), step], [count % step === 0 ? 0 : 1, count % step]];
    let cost = 0;
    for (const [r, rowsHere] of along(rowCount, rows)) for (const [v, vectorsHere] of along(vectorCount, vectors)) if (r > 0 && v > 0) cost += r * v * cycles(rowsHere, vectorsHere);
    // Of equal tiles the one with more rows: its columns are read less often.
    if (best === null || cost < best.cost * 0.99) best = { cost, tile: { rows, columns: Math.min(vectors * width, columnCount) } };
  }
  return best!.tile;
}
