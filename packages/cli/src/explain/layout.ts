/**
 * Draws a directed acyclic graph in layers from top to bottom, after K. Sugiyama, S. Tagawa and M. Toda, "Methods for
 * Visual Understanding of Hierarchical System Structures", IEEE SMC 1981. Deep graphs are set in columns, like a
 * newspaper: a chain of a thousand operators is otherwise a line too thin to see. Time is linear in nodes and edges but
 * for sorting.
 */

/** Nodes by index; every edge leads from a lower to a higher index. */
export interface LayoutGraph {
  readonly nodes: number;
  readonly edges: readonly (readonly [from: number, to: number])[];
}

export interface Layout {
  /** Upper left corner by node, in pixels at zoom 1. All nodes are `nodeWidth` × `nodeHeight`. */
  readonly positions: readonly (readonly [x: number, y: number])[];
  /** By edge: x and y alternating, from the lower side of one node to the upper side of the other. */
  readonly routes: readonly EdgeRoute[];
  readonly width: number;
  readonly height: number;
}

/** `curve`: smooth through its points. `lane`: horizontal and vertical lines beside the columns, for edges that go far. */
export interface EdgeRoute {
  readonly kind: 'curve' | 'lane';
  readonly points: readonly number[];
}

export const nodeWidth = 168;
export const nodeHeight = 44;
const gapX = 24;
const gapY = 40;
const layerHeight = nodeHeight + gapY;
/** Between lanes; beside the columns. */
const laneGap = 7;
const gutterPadding = 22;
/** An edge over more layers goes through a lane beside the column instead of between the nodes. */
const farLayers = 7;
/** Width by height that the drawing aims at. */
const aspect = 1.2;
const sweeps = 10;

/** A node or a bend of an edge, in the order of its layer. */
interface Item {
  readonly node: number | null;
  readonly width: number;
  readonly up: Item[];
  readonly down: Item[];
  order: number;
  /** The middle. */
  x: number;
}

export function layoutGraph(graph: LayoutGraph): Layout {
  const layers = assignLayers(graph);
  const depth = layers.reduce((a, b) => Math.max(a, b), -1) + 1;
  const columnOfLayer = breakColumns(graph, layers, depth);
  const columnOf = (node: number): number => columnOfLayer[layers[node]!]!;
  const columns = (columnOfLayer.at(-1) ?? 0) + 1;
  const firstLayer = Array.from({ length: columns }, (_, c) => columnOfLayer.indexOf(c));
  const near = graph.edges.map(([from, to]) => columnOf(from) === columnOf(to) && layers[to]! - layers[from]! <= farLayers);

  const { rows, items, bends } = makeItems(graph, layers, depth, near);
  for (let c = 0; c < columns; c++) {
    const mine = rows.slice(firstLayer[c], c + 1 < columns ? firstLayer[c + 1] : depth);
    orderRows(mine);
    placeRows(mine);
  }

  // Columns stand side by side, each with its lanes to the right of it.
  const left = new Float64Array(columns).fill(Infinity);
  const right = new Float64Array(columns).fill(-Infinity);
  rows.forEach((row, layer) => {
    const c = columnOfLayer[layer]!;
    for (const item of row) {
      left[c] = Math.min(left[c]!, item.x - item.width / 2);
      right[c] = Math.max(right[c]!, item.x + item.width / 2);
    }
  });
  const y = (node: number): number => (layers[node]! - firstLayer[columnOf(node)]!) * layerHeight;
  const lanes = new Lanes(graph, near, columnOf, y);
  const shift: number[] = [];
  let width = 0;
  for (let c = 0; c < columns; c++) {
    shift.push(width - left[c]!);
    width += right[c]! - left[c]!;
    lanes.gutterX.push(width + gutterPadding);
    const count = lanes.count(c);
    width += count > 0 || c + 1 < columns ? 2 * gutterPadding + count * laneGap : 0;
  }
  rows.forEach((row, layer) => {
    for (const item of row) item.x += shift[columnOfLayer[layer]!]!;
  });

  const top = lanes.topHeight;
  const positions = Array.from({ length: graph.nodes }, (_, n): [number, number] => [items[n]!.x - nodeWidth / 2, y(n) + top]);
  const ports = portsOf(graph, near, items);
  const routes = graph.edges.map(([from, to], e): EdgeRoute => {
    const start = [items[from]!.x + ports.out[e]!, positions[from]![1] + nodeHeight] as const;
    const end = [items[to]!.x + ports.in[e]!, positions[to]![1]] as const;
    if (!near[e]) return { kind: 'lane', points: lanes.route(from, to, start, end).map(Math.round) };
    const points: number[] = [...start];
    bends[e]!.forEach((item, i) => {
      // A bend is as high as a node, so that the edge goes straight past its neighbours.
      const at = positions[from]![1] + (i + 1) * layerHeight;
      points.push(item.x, at, item.x, at + nodeHeight);
    });
    points.push(...end);
    return { kind: 'curve', points: points.map(Math.round) };
  });
  const rounded = positions.map(([px, py]) => [Math.round(px), Math.round(py)] as const);
  return { positions: rounded, routes, width: Math.ceil(width), height: Math.max(0, ...positions.map(([, py]) => py + nodeHeight)) };
}

/** The longest path from a source; then whatever can go down without making edges longer does, next to its users. */
function assignLayers({ nodes, edges }: LayoutGraph): Int32Array {
  const layers = new Int32Array(nodes);
  const into = new Int32Array(nodes);
  const outOf: number[][] = Array.from({ length: nodes }, () => []);
  for (const [from, to] of edges) {
    if (!(from < to)) throw new RangeError(`the edge ${from} → ${to} does not lead to a higher node`);
    outOf[from]!.push(to);
    into[to]!++;
  }
  for (let n = 0; n < nodes; n++) for (const to of outOf[n]!) layers[to] = Math.max(layers[to]!, layers[n]! + 1);
  for (let n = nodes - 1; n >= 0; n--) {
    const users = outOf[n]!;
    if (users.length >= into[n]! && users.length > 0) layers[n] = users.reduce((least, to) => Math.min(least, layers[to]!), Infinity) - 1;
  }
  return layers;
}

/** The column of every layer: as many columns as give the drawing a pleasant shape, broken where few edges cross. */
function breakColumns({ nodes, edges }: LayoutGraph, layers: Int32Array, depth: number): number[] {
  if (depth === 0) return [];
  const counts = new Int32Array(depth);
  for (let n = 0; n < nodes; n++) counts[layers[n]!]!++;
  const wide = [...counts].sort((a, b) => a - b)[Math.floor(depth * 0.9)]!;
  const columnWidth = wide * (nodeWidth + gapX) + 3 * gutterPadding;
  const columns = Math.min(Math.ceil(depth / 4), Math.max(1, Math.round(Math.sqrt((aspect * depth * layerHeight) / columnWidth))));
  // Edges across the gap after each layer, by differences.
  const crossing = new Int32Array(depth + 1);
  for (const [from, to] of edges) {
    if (layers[to]! - layers[from]! > farLayers) continue;
    crossing[layers[from]!]!++;
    crossing[layers[to]!]!--;
  }
  for (let l = 1; l < depth; l++) crossing[l]! += crossing[l - 1]!;
  const breaks: number[] = [];
  const each = depth / columns;
  for (let c = 1; c < columns; c++) {
    const ideal = Math.round(c * each) - 1;
    const reach = Math.max(1, Math.floor(each * 0.2));
    let best = ideal;
    let least = Infinity;
    for (let l = Math.max(ideal - reach, (breaks.at(-1) ?? -1) + 1); l <= Math.min(ideal + reach, depth - 2); l++) {
      const cost = crossing[l]! + Math.abs(l - ideal) / (4 * reach);
      if (cost < least) [best, least] = [l, cost];
    }
    breaks.push(best);
  }
  const result: number[] = [];
  for (let l = 0, c = 0; l < depth; l++) {
    result.push(c);
    if (breaks[c] === l) c++;
  }
  return result;
}

/** Rows of nodes and of the bends that near edges make on their way. */
function makeItems(graph: LayoutGraph, layers: Int32Array, depth: number, near: readonly boolean[]): { rows: Item[][]; items: Item[]; bends: Item[][] } {
  const rows: Item[][] = Array.from({ length: depth }, () => []);
  const add = (layer: number, node: number | null): Item => {
    const item: Item = { node, width: node === null ? 10 : nodeWidth, up: [], down: [], order: 0, x: 0 };
    rows[layer]!.push(item);
    return item;
  };
  const items = Array.from({ length: graph.nodes }, (_, n) => add(layers[n]!, n));
  const bends: Item[][] = [];
  graph.edges.forEach(([from, to], e) => {
    const mine: Item[] = [];
    bends.push(mine);
    if (!near[e]) return;
    let last = items[from]!;
    for (let l = layers[from]! + 1; l <= layers[to]!; l++) {
      const next = l === layers[to]! ? items[to]! : add(l, null);
      if (next.node === null) mine.push(next);
      last.down.push(next);
      next.up.push(last);
      last = next;
    }
  });
  return { rows, items, bends };
}

/** Orders rows so that few edges cross: every item by the mean of its neighbours, downwards and upwards in turn. */
function orderRows(rows: readonly Item[][]): void {
  const number = (row: Item[]): void => row.forEach((item, i) => (item.order = i));
  rows.forEach(number);
  const sort = (row: Item[], side: 'up' | 'down'): void => {
    const key = new Map(row.map((item) => [item, item[side].length === 0 ? item.order : mean(item[side], (other) => other.order)]));
    row.sort((a, b) => key.get(a)! - key.get(b)! || a.order - b.order);
    number(row);
  };
  for (let sweep = 0; sweep < sweeps; sweep++) {
    if (sweep % 2 === 0) for (let l = 1; l < rows.length; l++) sort(rows[l]!, 'up');
    else for (let l = rows.length - 2; l >= 0; l--) sort(rows[l]!, 'down');
  }
}

const mean = (items: readonly Item[], of: (item: Item) => number): number => items.reduce((sum, item) => sum + of(item), 0) / items.length;

/** Nodes give way less than bends, so that a trunk with branches stays straight. */
const firmness = (item: Item): number => (item.node === null ? 1 : 8);

function firmMean(items: readonly Item[]): number {
  let [sum, weight] = [0, 0];
  for (const item of items) {
    sum += item.x * firmness(item);
    weight += firmness(item);
  }
  return sum / weight;
}

/** Moves every row under its neighbours as far as order and widths allow. */
function placeRows(rows: readonly Item[][]): void {
  for (const row of rows) {
    let x = 0;
    for (const item of row) {
      item.x = x + item.width / 2;
      x += item.width + gapX;
    }
    for (const item of row) item.x -= (x - gapX) / 2;
  }
  const place = (row: readonly Item[], side: 'up' | 'down'): void => {
    const wanted = row.map((item) => (item[side].length === 0 ? item.x : firmMean(item[side])));
    spread(row, wanted, row.map((item) => (item[side].length === 0 ? 0.1 : firmness(item))));
  };
  // Downwards last: a chain hangs straight below its first node.
  for (let sweep = 0; sweep <= sweeps; sweep++) {
    if (sweep % 2 === 0) for (let l = 1; l < rows.length; l++) place(rows[l]!, 'up');
    else for (let l = rows.length - 2; l >= 0; l--) place(rows[l]!, 'down');
  }
}

/**
 * The positions nearest to those wanted, by weighted squares, that keep order and distances: isotonic regression by
 * pooling adjacent violators (M. Ayer et al., 1955).
 */
function spread(row: readonly Item[], wanted: readonly number[], weights: readonly number[]): void {
  const blocks: { at: number; weight: number; count: number }[] = [];
  const offsets: number[] = [];
  let offset = 0;
  row.forEach((item, i) => {
    if (i > 0) offset += (row[i - 1]!.width + item.width) / 2 + gapX;
    offsets.push(offset);
    let block = { at: wanted[i]! - offset, weight: weights[i]!, count: 1 };
    for (let before = blocks.at(-1); before !== undefined && before.at >= block.at; before = blocks.at(-1)) {
      blocks.pop();
      const weight = before.weight + block.weight;
      block = { at: (before.at * before.weight + block.at * block.weight) / weight, weight, count: before.count + block.count };
    }
    blocks.push(block);
  });
  let i = 0;
  for (const block of blocks) for (const end = i + block.count; i < end; i++) row[i]!.x = block.at + offsets[i]!;
}

/** Where edges leave and enter along the sides of their nodes, relative to the middle, in the order of where they come from. */
function portsOf(graph: LayoutGraph, near: readonly boolean[], items: readonly Item[]): { out: Float64Array; in: Float64Array } {
  const ports = { out: new Float64Array(graph.edges.length), in: new Float64Array(graph.edges.length) };
  const outgoing: number[][] = Array.from({ length: graph.nodes }, () => []);
  const incoming: number[][] = Array.from({ length: graph.nodes }, () => []);
  graph.edges.forEach(([from, to], e) => {
    outgoing[from]!.push(e);
    incoming[to]!.push(e);
  });
  // Lanes are to the right.
  const far = (e: number, x: number): number => (near[e] ? x : Infinity);
  const distribute = (edges: number[], x: (e: number) => number, into: Float64Array): void => {
    edges.sort((a, b) => (x(a) < x(b) ? -1 : x(a) > x(b) ? 1 : a - b));
    edges.forEach((e, i) => (into[e] = ((i + 1) / (edges.length + 1) - 0.5) * nodeWidth * Math.min(0.8, edges.length * 0.2)));
  };
  for (const edges of outgoing) distribute(edges, (e) => far(e, items[graph.edges[e]![1]]!.x), ports.out);
  for (const edges of incoming) distribute(edges, (e) => far(e, items[graph.edges[e]![0]]!.x), ports.in);
  return ports;
}

/**
 * Lanes for edges that go far. All edges from one node share a lane: in the gutter right of its column, where nodes of
 * the same and of the next column are reached from, and above the columns for those farther away.
 */
class Lanes {
  /** Where the lanes of each column begin. */
  readonly gutterX: number[] = [];
  readonly #columnOf: (node: number) => number;
  /** By column and source: which lane. */
  readonly #gutters: ReadonlyMap<number, number>[];
  readonly #counts: number[];
  readonly #top: ReadonlyMap<number, number>;
  readonly topHeight: number;

  constructor({ edges }: LayoutGraph, near: readonly boolean[], columnOf: (node: number) => number, y: (node: number) => number) {
    this.#columnOf = columnOf;
    const spans: Map<number, [number, number]>[] = [];
    const top = new Map<number, [number, number]>();
    const extend = (map: Map<number, [number, number]>, source: number, a: number, b: number): void => {
      const [low, high] = map.get(source) ?? [Infinity, -Infinity];
      map.set(source, [Math.min(low, a, b), Math.max(high, a, b)]);
    };
    edges.forEach(([from, to], e) => {
      if (near[e]) return;
      const [s, t] = [columnOf(from), columnOf(to)];
      if (t <= s + 1) extend((spans[s] ??= new Map()), from, y(from) + nodeHeight, y(to));
      else {
        extend((spans[s] ??= new Map()), from, 0, y(from) + nodeHeight);
        extend((spans[t - 1] ??= new Map()), from, 0, y(to));
        extend(top, from, s, t - 1);
      }
    });
    const assigned = Array.from({ length: spans.length }, (_, c) => assignLanes(spans[c] ?? new Map()));
    this.#gutters = assigned.map((a) => a.lanes);
    this.#counts = assigned.map((a) => a.count);
    const above = assignLanes(top);
    this.#top = above.lanes;
    this.topHeight = above.count === 0 ? 0 : above.count * laneGap + gapY;
  }

  count(column: number): number {
    return this.#counts[column] ?? 0;
  }

  route(from: number, to: number, start: readonly [number, number], end: readonly [number, number]): number[] {
    const [s, t] = [this.#columnOf(from), this.#columnOf(to)];
    const lane = this.#gutters[s]!.get(from)!;
    const x = this.gutterX[s]! + lane * laneGap;
    // Lanes turn at slightly different heights between the rows.
    const turn = gapY / 2 + ((lane % 5) - 2) * 3;
    const [leave, enter] = [start[1] + turn, end[1] - turn];
    if (t <= s + 1) return [...start, start[0], leave, x, leave, x, enter, end[0], enter, ...end];
    const height = this.topHeight - gapY - this.#top.get(from)! * laneGap;
    const last = this.gutterX[t - 1]! + this.#gutters[t - 1]!.get(from)! * laneGap;
    return [...start, start[0], leave, x, leave, x, height, last, height, last, enter, end[0], enter, ...end];
  }
}

/** Gives overlapping intervals different lanes, each the first that is free. */
function assignLanes(spans: ReadonlyMap<number, readonly [number, number]>): { lanes: ReadonlyMap<number, number>; count: number } {
  const ends: number[] = [];
  const lanes = new Map<number, number>();
  for (const [source, [low, high]] of [...spans].sort((a, b) => a[1][0] - b[1][0] || a[0] - b[0])) {
    const free = ends.findIndex((end) => end < low);
    const lane = free === -1 ? ends.length : free;
    ends[lane] = high;
    lanes.set(source, lane);
  }
  return { lanes, count: ends.length };
}
