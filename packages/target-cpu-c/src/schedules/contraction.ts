import { accept, reject, type AttrValue, type Buffer, type Expr, type IterVar, type ScheduleChoices, type ScheduleRule, type Stmt, type TargetContext, type TensorFunction } from '@tenon/plugin';
import { loadsOf, seq } from '@tenon/core';
import { alloc, flatIndex, isVariable, linearIn, loop, loops, parallelOver, stagesOf, store, type Stage } from '@tenon/schedule';
import { bytesOf, lanes, vectorRegisters } from './machine.ts';
import { emitStage, stageContext } from './rows.ts';
import { combination, flatAccesses, formed, type FormedStage, type StageContext } from './stage.ts';

/**
 * Matrix products and convolutions: `out[…] = Σ a · b`, with whatever runs on the result in place. A tile of the result
 * stays in registers while the whole reduction runs: `rows × columns`, columns along an axis on which one operand is
 * contiguous and the other constant, rows along an axis on which it is the other way round.
 */
export const contraction: ScheduleRule = {
  id: 'cpu-c/contraction',
  target: 'cpu-c',
  specificity: 10,
  doc: 'Register tiles for sums of products of two operands.',
  applies: (fn, ctx) => {
    const plan = analyze(fn, ctx);
    return typeof plan === 'string' ? reject('schedule/contraction', plan) : accept();
  },
  apply: (fn, ctx, choices) => {
    const plan = analyze(fn, ctx);
    if (typeof plan === 'string') throw new RangeError(plan);
    return emit(fn, plan, ctx, choices);
  },
  layouts: (fn, ctx) => preferredLayouts(fn, ctx),
};

/** One spatial axis of the result, possibly several trailing ones walked as one. */
interface Axis {
  /** Positions among the result's axes. */
  readonly positions: readonly number[];
  readonly extent: Expr;
  indices(i: Expr): readonly Expr[];
}

/** A constant operand in tiles along one axis: what the tile reads lies together. */
interface Packed {
  readonly buffer: Buffer;
  readonly axis: Axis;
  /** The axis of the buffer that is tiled, the others in the order of the reduction, and their iteration variables. */
  readonly tiled: number;
  readonly order: readonly number[];
  readonly reduce: readonly string[];
}

interface Plan {
  readonly before: readonly Stage[];
  readonly sum: FormedStage;
  readonly epilogue: FormedStage | null;
  readonly axes: readonly Axis[];
  readonly column: Axis;
  readonly row: Axis | null;
  /** The result is contiguous along the column axis. */
  readonly contiguous: boolean;
  /** Axes that the contiguous operand depends on, besides the columns: they go outside the column tiles. */
  readonly shared: readonly Axis[];
  /** By operand of the product. */
  readonly packed: readonly (Packed | null)[];
}

/** A sum of products, and what comes before and after it. */
interface SumOfProducts {
  readonly before: readonly Stage[];
  readonly sum: FormedStage;
  readonly epilogue: FormedStage | null;
  readonly operands: readonly [Expr, Expr];
}

function sumOfProducts(fn: TensorFunction): SumOfProducts | string {
  const staged = stagesOf(fn);
  if (staged === null) return 'the function is not a sequence of stages';
  const forms = staged.stages.map(formed);
  const at = forms.findIndex((f) => f?.form.kind === 'reduce');
  const sum = forms[at];
  if (at < 0 || !sum || forms.filter((f) => f?.form.kind === 'reduce').length !== 1) return 'there is not exactly one reduction';
  if (forms.some((f) => f === null) || forms.length - at > 2) return 'more than one stage works on the result';
  const epilogue = forms[at + 1] ?? null;
  if (epilogue !== null && !staged.temporaries.some((b) => b.name === sum.form.store.buffer)) return 'the sum itself is an output, besides what is made of it';
  const product = combination(sum);
  if (product?.op !== 'add' || product.value.op !== 'mul' || product.value.args.some((a) => a.op !== 'load')) return 'the reduction is not a sum of products of two loads';
  const { dtype } = sum.form.store.value;
  if (dtype !== 'f32' && dtype !== 'f64') return `register tiles are for f32 and f64, not ${dtype}`;
  if (sum.reduce.length === 0 || sum.spatial.length === 0) return 'there is nothing to tile';
  if (epilogue !== null && !worksInPlace(epilogue, sum)) return 'the stage after the reduction reads its result out of place';
  return { before: staged.stages.slice(0, at), sum, epilogue, operands: product.value.args as [Expr, Expr] };
}

function analyze(fn: TensorFunction, ctx: TargetContext): Plan | string {
  const found = sumOfProducts(fn);
  if (typeof found === 'string') return found;
  const { before, epilogue, operands } = found;
  const context = stageContext(fn, ctx);
  const { exprs } = ctx;
  if ([...found.sum.spatial, ...found.sum.reduce].some((i) => exprs.valueOf(i.extent) === 0)) return 'there are no elements';
  const { dtype } = found.sum.form.store.value;
  const flat = operands.map((l) => flatIndex(exprs, context.buffers.get(l.value as string)!.shape, l.args));
  const last = epilogue ?? found.sum;
  const result = flatIndex(exprs, context.buffers.get(last.form.store.buffer)!.shape, last.form.store.indices);
  const width = lanes(ctx, dtype);
  let best: { score: number; plan: Plan } | null = null;
  for (const [w, x] of [[0, 1], [1, 0]] as const) {
    const sum = { ...found.sum, reduce: contiguousLast(exprs, found.sum.reduce, flat[x]!) };
    const axes = mergeAxes(context, sum, epilogue);
    const along = (index: Expr, axis: Axis, s: FormedStage): number | null => {
      const values = new Map(axis.positions.map((p, k) => [s.spatial[p]!.name, axis.indices(exprs.variable('f_0'))[k]!]));
      return linearIn(exprs, exprs.substitute(index, values), 'f_0');
    };
    for (const column of axes) {
      if (exprs.valueOf(column.extent) === 1) continue;
      const packedColumns = packable(fn, context, sum, operands[w]!, column);
      if (packedColumns === null && along(flat[w]!, column, sum) !== 1) continue;
      // Along the columns the other operand is one number for all, or it lies as they do (a depthwise convolution).
      const alongColumns = along(flat[x]!, column, sum);
      if (alongColumns !== 0 && (alongColumns !== 1 || packedColumns === null)) continue;
      const rows = axes.filter((a) => a !== column && exprs.valueOf(a.extent) !== 1 && along(flat[w]!, a, sum) === 0 && along(flat[x]!, a, sum) !== 0);
      const row = rows.reduce<Axis | null>((most, a) => (most === null || size(exprs.valueOf(a.extent)) >= size(exprs.valueOf(most.extent)) ? a : most), null);
      const contiguous = along(result, column, last) === 1;
      const score = utilization(exprs.valueOf(column.extent), width) + (contiguous ? 0.3 : 0) + (row === null ? 0 : 0.5);
      if (best !== null && best.score >= score) continue;
      const shared = axes.filter((a) => a !== column && a !== row && along(flat[w]!, a, sum) !== 0);
      const packed: (Packed | null)[] = [null, null];
      packed[w] = packedColumns;
      packed[x] = row === null ? null : packable(fn, context, sum, operands[x]!, row);
      best = { score, plan: { before, sum, epilogue, axes, column, row, contiguous, shared, packed } };
    }
  }
  return best?.plan ?? 'no axis is contiguous in one operand and constant in the other';
}

/** The axes of a reduction with that of the smallest step through an operand innermost. */
function contiguousLast(exprs: TargetContext['exprs'], reduce: readonly IterVar[], index: Expr): readonly IterVar[] {
  const step = (iter: IterVar): number => linearIn(exprs, index, iter.name) ?? Infinity;
  const steps = new Map(reduce.map((iter) => [iter, step(iter)]));
  // An operand that does not depend on an axis is read again and again: that axis stays where it is.
  if ([...steps.values()].some((s) => s === Infinity || s <= 0)) return reduce;
  return [...reduce].sort((a, b) => steps.get(b)! - steps.get(a)!);
}

/**
 * Products with constant weights over windows (convolutions) are best with channels innermost: the result's, along
 * which weights are packed, so that they are what a vector holds, and those of the other operand, along which it is summed.
 */
function preferredLayouts(fn: TensorFunction, ctx: TargetContext): { [buffer: string]: readonly number[] } | null {
  const found = sumOfProducts(fn);
  if (typeof found === 'string') return null;
  const { before, sum, epilogue, operands } = found;
  const context = stageContext(fn, ctx);
  const last = epilogue ?? sum;
  const rank = sum.spatial.length;
  if (rank < 3) return null;
  const innermost = (axis: number, of: number): readonly number[] => [...Array.from({ length: of }, (_, i) => i).filter((i) => i !== axis), axis];
  for (const [w, x] of [[0, 1], [1, 0]] as const) {
    const load = operands[x]!;
    const source = context.buffers.get(load.value as string)!;
    if (source.shape.length < 3) continue;
    const channel = sum.spatial.findIndex((iter, p) =>
      ctx.exprs.valueOf(iter.extent) !== 1 && packable(fn, context, sum, operands[w]!, { positions: [p], extent: iter.extent, indices: (i) => [i] }) !== null);
    if (channel < 0) continue;
    const name = sum.spatial[channel]!.name;
    // A depthwise convolution has the same channels on both sides; others sum over those of the input.
    const depthwise = load.args.findIndex((e) => isVariable(e, name));
    const summed = load.args.findIndex((e) => sum.reduce.some((r) => isVariable(e, r.name)));
    const inner = depthwise >= 0 ? depthwise : summed;
    if (inner < 0 || (depthwise < 0 && load.args.some((e) => ctx.exprs.variables(e).includes(name)))) continue;
    const wishes: { [buffer: string]: readonly number[] } = { [last.form.store.buffer]: innermost(channel, rank) };
    if (epilogue !== null) {
      for (const l of loadsOf(epilogue.stage.block)) if (l.args.length === rank) wishes[l.value as string] = innermost(channel, rank);
    }
    const permutation = innermost(inner, source.shape.length);
    wishes[source.name] = permutation;
    // What is copied into the padded operand should lie as it does.
    for (const stage of before) {
      const form = formed(stage);
      if (form?.form.store.buffer !== source.name) continue;
      for (const l of loadsOf(stage.block)) if (l.args.length === permutation.length) wishes[l.value as string] = permutation;
    }
    return wishes;
  }
  return null;
}

/** How a constant operand can be packed in tiles along an axis: it must be indexed by that axis and the reduction alone. */
function packable(fn: TensorFunction, ctx: StageContext, sum: FormedStage, load: Expr, axis: Axis): Packed | null {
  const constants = fn.attrs['constants'];
  const input = fn.inputs.findIndex((b) => b.name === load.value);
  if (!Array.isArray(constants) || !constants.includes(input) || axis.positions.length !== 1) return null;
  const buffer = fn.inputs[input]!;
  if (buffer.shape.some((d) => ctx.exprs.valueOf(d) === null)) return null;
  // Read elsewhere too, the buffer must stay as it is.
  const loads = new Set(stagesOf(fn)!.stages.flatMap((s) => loadsOf(s.block)).filter((l) => l.value === load.value));
  if (loads.size !== 1) return null;
  const name = sum.spatial[axis.positions[0]!]!.name;
  const tiled = load.args.findIndex((e) => isVariable(e, name));
  const reduce = sum.reduce.filter((r) => load.args.some((e) => isVariable(e, r.name)));
  const order = reduce.map((r) => load.args.findIndex((e) => isVariable(e, r.name)));
  const all = new Set([tiled, ...order]);
  // What is left must be axes of size one.
  const rest = load.args.flatMap((e, i) => (all.has(i) ? [] : [{ e, i }]));
  if (tiled < 0 || all.size !== order.length + 1 || !rest.every(({ e, i }) => ctx.exprs.valueOf(e) === 0 && ctx.exprs.valueOf(buffer.shape[i]!) === 1)) return null;
  return { buffer, axis, tiled, order: [...rest.map(({ i }) => i), ...order], reduce: reduce.map((r) => r.name) };
}

/** Symbolic extents count as large. */
const size = (extent: number | null): number => extent ?? 4096;

/** The share of lanes that do useful work. */
function utilization(extent: number | null, width: number): number {
  return extent === null ? 0.9 : extent / (Math.ceil(extent / width) * width);
}

/** An epilogue reads the sum only at the index that it writes. */
function worksInPlace(epilogue: FormedStage, sum: FormedStage): boolean {
  const buffer = sum.form.store.buffer;
  if (epilogue.form.kind !== 'compute' || epilogue.spatial.length !== sum.spatial.length) return false;
  if (!epilogue.spatial.every((iter, i) => iter.extent === sum.spatial[i]!.extent)) return false;
  return loadsOf(epilogue.stage.block).filter((l) => l.value === buffer).every((l) =>
    l.args.every((e, i) => isVariable(e, epilogue.spatial[i]!.name) || (e.op === 'const' && epilogue.spatial[i]!.extent.op === 'const' && epilogue.spatial[i]!.extent.value === 1)));
}

/** Neighbouring axes become one where every access walks them at one step (the pixels of a 1×1 convolution). */
function mergeAxes(ctx: StageContext, sum: FormedStage, epilogue: FormedStage | null): Axis[] {
  const { exprs } = ctx;
  const rank = sum.spatial.length;
  const single = (p: number): Axis => ({ positions: [p], extent: sum.spatial[p]!.extent, indices: (i) => [i] });
  const walks = (s: FormedStage, run: readonly number[]): boolean => {
    const indices = splitIndex(exprs, exprs.variable('f_0'), run.map((p) => s.spatial[p]!.extent));
    const values = new Map(run.map((p, k) => [s.spatial[p]!.name, indices[k]!]));
    return flatAccesses(ctx, s).every((e) => linearIn(exprs, exprs.substitute(e, values), 'f_0') !== null);
  };
  const axes: Axis[] = [];
  for (let from = 0; from < rank; ) {
    // An axis of size one has nothing to walk: a run neither begins nor ends with one.
    const unit = (p: number): boolean => exprs.valueOf(sum.spatial[p]!.extent) === 1;
    let end = unit(from) ? from + 1 : rank;
    for (; end > from + 1; end--) {
      if (unit(end - 1)) continue;
      const run = Array.from({ length: end - from }, (_, k) => from + k);
      if (walks(sum, run) && (epilogue === null || walks(epilogue, run))) break;
    }
    if (end === from + 1) axes.push(single(from));
    else {
      const positions = Array.from({ length: end - from }, (_, k) => from + k);
      const extents = positions.map((p) => sum.spatial[p]!.extent);
      axes.push({ positions, extent: exprs.product(extents), indices: (i) => splitIndex(exprs, i, extents) });
    }
    from = end;
  }
  return axes;
}

/** The indices of a row-major position in a box. */
function splitIndex(exprs: TargetContext['exprs'], at: Expr, extents: readonly Expr[]): Expr[] {
  const out: Expr[] = extents.map(() => exprs.int(0));
  let rest = at;
  for (let k = extents.length - 1; k >= 0; k--) {
    if (exprs.valueOf(extents[k]!) === 1) continue;
    const first = extents.slice(0, k).every((e) => exprs.valueOf(e) === 1);
    out[k] = first ? rest : exprs.mod(rest, extents[k]!);
    rest = exprs.floordiv(rest, extents[k]!);
  }
  return out;
}

interface TileSize {
  readonly rows: number;
  readonly columns: number;
}

/**
 * The tile that needs the fewest cycles for the whole result, by a model of one core: two multiply-adds and one load a
 * cycle (two loads is what cores promise; with vectors of 64 bytes not all keep it), four cycles until a sum can be added
 * to again, and columns that come from the second cache level. A tile of `rows × vectors` needs registers for its sums, one
 * row of columns, and a broadcast.
 */
function tileSize(width: number, registers: number, rowExtent: number | null, columnExtent: number | null): TileSize {
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

function emit(fn: TensorFunction, plan: Plan, ctx: TargetContext, choices: ScheduleChoices): TensorFunction {
  const context = stageContext(fn, ctx);
  const { exprs } = ctx;
  const staged = stagesOf(fn)!;
  const { dtype } = plan.sum.form.store.value;
  const width = lanes(ctx, dtype);
  const { column, row } = plan;
  const best = tileSize(width, vectorRegisters(ctx), row === null ? 1 : exprs.valueOf(row.extent), exprs.valueOf(column.extent));
  const around = (n: number, most: number): number[] => [...new Set([n, 1, 2, 4, 6, 8, 12, 16].filter((v) => v <= Math.max(n, most)))].sort((a, b) => a - b);
  const rowLimit = row === null ? 1 : (exprs.valueOf(row.extent) ?? 16);
  const tile: TileSize = {
    rows: choices.choose('rows', around(best.rows, rowLimit), best.rows),
    columns: choices.choose('columns', [...new Set([best.columns, ...[1, 2, 3, 4, 8].map((n) => n * width)])].sort((a, b) => a - b), best.columns),
  };
  const free = plan.axes.filter((a) => a !== column && a !== row && !plan.shared.includes(a));
  const order: { axis: Axis; step: number }[] = [
    ...plan.shared.map((axis) => ({ axis, step: 1 })),
    { axis: column, step: tile.columns },
    ...free.map((axis) => ({ axis, step: 1 })),
    ...(row === null ? [] : [{ axis: row, step: tile.rows }]),
  ];
  const packedBuffers = plan.packed.map((p): Buffer | null => {
    if (p === null) return null;
    const step = p.axis === column ? tile.columns : tile.rows;
    const { shape } = p.buffer;
    return { ...p.buffer, shape: [exprs.ceildiv(shape[p.tiled]!, step), ...p.order.map((a) => shape[a]!), exprs.int(step)] };
  });
  const ahead = prefetching(context, plan, packedBuffers, order, tile, width);
  const nest = parallelOver(context, order.map(({ axis, step }) => exprs.ceildiv(axis.extent, step)), (points) => {
    const start = new Map(order.map(({ axis, step }, i) => [axis, exprs.mul(points[i]!, step)]));
    const tiles = new Map(order.map(({ axis }, i) => [axis, points[i]!]));
    const body = (rows: number, rowStart: Expr, columns: number, columnStart: Expr): Stmt =>
      emitTile(context, plan, packedBuffers, tiles, new Map([...start, [column, columnStart], ...(row === null ? [] : [[row, rowStart] as const])]), rows, columns, ahead?.(points) ?? null);
    const withRows = (columns: number, columnStart: Expr): Stmt =>
      row === null
        ? body(1, exprs.int(0), columns, columnStart)
        : split(context, row.extent, start.get(row)!, tile.rows, [1], (count, at) => body(count, at, columns, columnStart));
    return split(context, column.extent, start.get(column)!, tile.columns, tile.columns > width ? [width, 1] : [1], withRows);
  });
  const kept = new Set(plan.before.flatMap((s) => (formed(s) === null ? [] : [formed(s)!.form.store.buffer])));
  let body = seq([...plan.before.map((s) => emitStage(context, formed(s)!)), nest]);
  for (const buffer of staged.temporaries.filter((b) => kept.has(b.name)).reverse()) body = alloc(buffer, body);
  const pack: { [input: string]: AttrValue } = {};
  plan.packed.forEach((p) => {
    if (p !== null) pack[p.buffer.name] = { axis: p.tiled, tile: p.axis === column ? tile.columns : tile.rows, order: p.order };
  });
  const inputs = fn.inputs.map((b) => packedBuffers.find((p) => p?.name === b.name) ?? b);
  return { ...fn, inputs, attrs: Object.keys(pack).length === 0 ? fn.attrs : { ...fn.attrs, pack }, body };
}

/** What the steps of a tile's reduction fetch for the column tile that comes next. */
interface Ahead {
  /** Steps of the innermost reduction axis per fetch. */
  readonly steps: number;
  /** Surrounds the tile with what the index needs, computed once. */
  bind(body: (at: (outer: readonly Expr[], fetch: Expr) => Expr) => Stmt): Stmt;
}

/** Fewer bytes than these are there before they could be fetched ahead. */
const worthFetching = 256 << 10;
/** Copies of the innermost step: more would only make code. */
const mostSteps = 4;

/**
 * Columns of constants are read from memory by the first tile of rows and from the cache by those that follow: without
 * help, memory rests while they compute. So every tile of rows fetches its share of the next column tile: of the `visits`
 * of a column tile, visit i fetches vector i mod V of the rows that part ⌊i / V⌋ has of the innermost reduction axis.
 */
function prefetching(
  ctx: StageContext, plan: Plan, packed: readonly (Buffer | null)[], order: readonly { axis: Axis; step: number }[], tile: TileSize, width: number,
): ((points: readonly Expr[]) => Ahead) | null {
  const { exprs } = ctx;
  const operand = plan.packed.findIndex((p) => p?.axis === plan.column);
  const buffer = packed[operand] ?? null;
  const p = plan.packed[operand];
  if (buffer === null || p == null || p.reduce.length !== plan.sum.reduce.length || buffer.shape.some((d) => exprs.valueOf(d) === null)) return null;
  const shape = buffer.shape.map((d) => exprs.valueOf(d)!);
  if (shape.reduce((a, b) => a * b, bytesOf[buffer.dtype] ?? 4) < worthFetching || shape[0]! < 2) return null;
  const at = order.findIndex(({ axis }) => axis === plan.column);
  const counts = order.slice(at + 1).map(({ axis, step }) => exprs.ceildiv(axis.extent, step));
  const visits = exprs.valueOf(exprs.product(counts));
  const vectors = Math.ceil(tile.columns / width);
  const extent = exprs.valueOf(plan.sum.reduce.at(-1)!.extent);
  if (visits === null || visits < vectors || visits > 64 || extent === null) return null;
  let steps = Math.min(mostSteps, Math.floor(visits / vectors));
  while (extent % steps !== 0) steps--;
  return (points) => ({
    steps,
    bind(body) {
      let visit: Expr = exprs.int(0);
      counts.forEach((count, i) => (visit = exprs.add(exprs.mul(visit, count), points[at + 1 + i]!)));
      const names = [ctx.names.fresh('next'), ctx.names.fresh('part'), ctx.names.fresh('vector')];
      const [next, part, vector] = names.map((n) => exprs.variable(n));
      const values = [
        exprs.min(exprs.add(points[at]!, 1), shape[0]! - 1),
        exprs.mul(exprs.min(exprs.floordiv(visit, vectors), steps - 1), extent / steps),
        exprs.mul(exprs.mod(visit, vectors), width),
      ];
      const middle = p.order.slice(0, p.order.length - p.reduce.length).map(() => exprs.int(0));
      const inside = body((outer, fetch) => exprs.make('call', 'i64', [exprs.load(buffer, [next!, ...middle, ...outer, exprs.add(part!, fetch), vector!])], 'prefetch'));
      return names.reduceRight<Stmt>((stmt, variable, i) => ({ kind: 'let', variable, value: values[i]!, body: stmt }), inside);
    },
  });
}

/**
 * The part of an axis that starts at `start`: `full` elements where they are all there; else what is left, at once where
 * its size is static, in steps of `smaller` where it is not.
 */
function split(ctx: StageContext, extent: Expr, start: Expr, full: number, smaller: readonly number[], body: (count: number, at: Expr) => Stmt): Stmt {
  const { exprs } = ctx;
  const size = exprs.valueOf(extent);
  if (size !== null && size % full === 0) return body(full, start);
  const whole = exprs.le(exprs.add(start, full), extent);
  if (size !== null) {
    const rest = body(size % full, start);
    return size < full ? rest : { kind: 'if', condition: whole, then: body(full, start), otherwise: rest };
  }
  const left = exprs.sub(extent, start);
  const parts: Stmt[] = [];
  let done: Expr = start;
  let remaining = left;
  for (const step of smaller) {
    if (step >= full) continue;
    const at = done;
    const count = exprs.floordiv(remaining, step);
    parts.push(loop(ctx, count, 'serial', (i) => body(step, exprs.add(at, exprs.mul(i, step)))));
    done = exprs.add(at, exprs.mul(count, step));
    remaining = exprs.mod(remaining, step);
  }
  return full === 1 ? body(1, start) : { kind: 'if', condition: whole, then: body(full, start), otherwise: seq(parts) };
}

function emitTile(
  ctx: StageContext, plan: Plan, packed: readonly (Buffer | null)[], tiles: ReadonlyMap<Axis, Expr>, start: ReadonlyMap<Axis, Expr>, rows: number, columns: number,
  ahead: Ahead | null,
): Stmt {
  const { exprs } = ctx;
  const { sum, epilogue } = plan;
  const { dtype } = sum.form.store.value;
  const shape = [exprs.int(rows), exprs.int(columns)];
  const acc: Buffer = { name: ctx.names.fresh('acc'), dtype, shape, scope: 'local' };
  const product = combination(sum)!.value;
  const over = (body: (r: Expr, c: Expr) => Stmt): Stmt => loop(ctx, shape[0]!, 'unrolled', (r) => loop(ctx, shape[1]!, 'vectorized', (c) => body(r, c)));
  const values = (s: FormedStage, r: Expr, c: Expr): Map<string, Expr> => {
    const all = new Map<string, Expr>();
    for (const axis of plan.axes) {
      const at = start.get(axis)!;
      const index = axis === plan.column ? exprs.add(at, c) : axis === plan.row ? exprs.add(at, r) : at;
      axis.positions.forEach((p, k) => all.set(s.spatial[p]!.name, axis.indices(index)[k]!));
    }
    return all;
  };
  const step = (k: readonly Expr[]): Stmt => over((r, c) => {
    const at = values(sum, r, c);
    sum.reduce.forEach((iter, i) => at.set(iter.name, k[i]!));
    const [a, b] = product.args.map((load, i) => {
      const p = plan.packed[i] ?? null;
      const buffer = packed[i] ?? null;
      if (p === null || buffer === null) return exprs.substitute(load, at);
      const middle = p.order.slice(0, p.order.length - p.reduce.length).map(() => exprs.int(0));
      return exprs.load(buffer, [tiles.get(p.axis)!, ...middle, ...p.reduce.map((name) => at.get(name)!), p.axis === plan.column ? c : r]);
    });
    return store(acc, [r, c], exprs.add(exprs.load(acc, [r, c]), exprs.mul(a!, b!)));
  });
  const extents = sum.reduce.map((r) => r.extent);
  const accumulate = ahead === null
    ? loops(ctx, extents, 'serial', step)
    : ahead.bind((fetched) => loops(ctx, extents.slice(0, -1), 'serial', (outer) =>
      loop(ctx, exprs.floordiv(extents.at(-1)!, ahead.steps), 'serial', (fetch) => seq([
        { kind: 'evaluate', value: fetched(outer, fetch) },
        loop(ctx, exprs.int(ahead.steps), 'unrolled', (i) => step([...outer, exprs.add(exprs.mul(fetch, ahead.steps), i)])),
      ]))));
  const last = epilogue ?? sum;
  /** What the tile's element becomes in the result. */
  const finished = (r: Expr, c: Expr): Expr =>
    epilogue === null
      ? exprs.load(acc, [r, c])
      : replaceLoads(exprs, exprs.substitute(epilogue.form.store.value, values(epilogue, r, c)), sum.form.store.buffer, exprs.load(acc, [r, c]));
  const write = (value: Expr, r: Expr, c: Expr): Stmt => {
    const at = values(last, r, c);
    return { kind: 'store', buffer: last.form.store.buffer, indices: last.form.store.indices.map((e) => exprs.substitute(e, at)), value };
  };
  const parts: Stmt[] = [over((r, c) => store(acc, [r, c], exprs.substitute(sum.form.init!.value, values(sum, r, c)))), accumulate];
  if (plan.contiguous) return alloc(acc, seq([...parts, over((r, c) => write(finished(r, c), r, c))]));
  // Scattered stores index the tile by loop variables, which registers cannot be: finished elements go through memory.
  const copy: Buffer = { name: ctx.names.fresh('tile'), dtype: last.form.store.value.dtype, shape, scope: 'local' };
  return alloc(copy, seq([
    alloc(acc, seq([...parts, over((r, c) => store(copy, [r, c], finished(r, c)))])),
    loop(ctx, shape[1]!, 'serial', (c) => loop(ctx, shape[0]!, 'serial', (r) => write(exprs.load(copy, [r, c]), r, c))),
  ]));
}

function replaceLoads(exprs: TargetContext['exprs'], e: Expr, buffer: string, by: Expr): Expr {
  return (exprs as StageContext['exprs'] & { transform(e: Expr, fn: (x: Expr) => Expr): Expr }).transform(e, (x) => (x.op === 'load' && x.value === buffer ? by : x));
}
