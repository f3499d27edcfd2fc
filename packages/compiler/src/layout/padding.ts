import type { Block, Buffer, Expr, ExprBuilder, For, Stmt, TensorFunction } from '@tenon/plugin';
import { blockRegions, buffersOf, mapChildren, mapExpressions, seq, type Exprs } from '@tenon/core';
import { computeForm, Names, stageOf, stagesOf } from '@tenon/schedule';

/**
 * Convolutions read beyond the edges of their input, where zeros stand. Written plainly, that is a copy of the input with
 * zeros around it. Here the input itself is stored with them: its producer writes inside of a frame of zeros, and its readers
 * skip what they do not need of it.
 */

/** Zeros before and after each axis. */
export interface Frame {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

/** What is before and after a buffer along each axis, where it lies inside of a larger one: the zeros next to it, and beyond them other values. */
export interface Surroundings extends Frame {
  readonly zeros: Frame;
}

/** A stage that copies an input into a temporary with zeros around it. */
interface PaddedCopy {
  readonly input: string;
  readonly temporary: string;
  readonly frame: Frame;
}

/** What a kernel would have around each of its inputs, by name. */
export function framesOf(fn: TensorFunction, exprs: ExprBuilder): ReadonlyMap<string, Frame> {
  return new Map(copiesOf(fn, exprs).map(({ input, frame }) => [input, frame]));
}

/** The least frame that contains both. */
export function union(a: Frame, b: Frame): Frame {
  const larger = (x: readonly number[], y: readonly number[]): number[] => x.map((n, i) => Math.max(n, y[i]!));
  return { before: larger(a.before, b.before), after: larger(a.after, b.after) };
}

function copiesOf(fn: TensorFunction, exprs: ExprBuilder): PaddedCopy[] {
  const staged = stagesOf(fn);
  if (staged === null) return [];
  const found: PaddedCopy[] = [];
  for (const { block } of staged.stages) {
    const form = computeForm(block);
    if (form === null || form.kind !== 'compute') continue;
    const temporary = staged.temporaries.find((b) => b.name === form.store.buffer);
    const { value } = form.store;
    const [condition, load, fill] = value.op === 'select' ? value.args : [];
    const input = fn.inputs.find((b) => b.name === load?.value);
    if (temporary === undefined || load?.op !== 'load' || input === undefined || fill === undefined || Number(exprs.valueOf(fill) ?? constantOf(fill)) !== 0) continue;
    if (input.dtype !== temporary.dtype || load.args.length !== form.spatial.length) continue;
    if (staged.stages.filter((s) => s.block.writes.some((w) => w.buffer === temporary.name)).length !== 1) continue;
    const frame = frameOf(condition!, load, form.spatial, input, temporary, exprs);
    if (frame !== null) found.push({ input: input.name, temporary: temporary.name, frame });
  }
  return found;
}

const constantOf = (e: Expr): number => (e.op === 'const' ? Number(e.value) : NaN);

/** The frame of `select(inside, input[i − before…], 0)`; null where the condition is not just that the index is inside. */
function frameOf(condition: Expr, load: Expr, spatial: readonly string[], input: Buffer, temporary: Buffer, exprs: ExprBuilder): Frame | null {
  const before: number[] = [];
  const after: number[] = [];
  for (const [axis, index] of load.args.entries()) {
    const shift = exprs.valueOf(exprs.sub(exprs.variable(spatial[axis]!), index));
    const size = exprs.valueOf(exprs.sub(exprs.sub(temporary.shape[axis]!, input.shape[axis]!), shift ?? 0));
    if (shift === null || size === null || shift < 0 || size < 0) return null;
    before.push(shift);
    after.push(size);
  }
  // Each comparison must be a bound of one index, and where zeros stand there must be one.
  const bounds = new Set<string>();
  for (const c of conjuncts(condition)) {
    const lower = load.args.findIndex((index) => exprs.ge(index, 0) === c);
    const upper = load.args.findIndex((index, axis) => exprs.lt(index, input.shape[axis]!) === c);
    if (lower < 0 && upper < 0) return null;
    bounds.add(lower >= 0 ? `${lower} lower` : `${upper} upper`);
  }
  const complete = before.every((n, axis) => n === 0 || bounds.has(`${axis} lower`)) && after.every((n, axis) => n === 0 || bounds.has(`${axis} upper`));
  return complete ? { before, after } : null;
}

function conjuncts(e: Expr): readonly Expr[] {
  return e.op === 'and' ? e.args.flatMap(conjuncts) : [e];
}

/** Whether a kernel can write an output inside of a frame: one stage writes it, element by element. */
export function canFrame(fn: TensorFunction, output: string): boolean {
  const staged = stagesOf(fn);
  if (staged === null) return false;
  const writers = staged.stages.filter((s) => s.block.writes.some((w) => w.buffer === output));
  return writers.length === 1 && computeForm(writers[0]!.block) !== null;
}

/** Whether the innermost axis in memory has no zeros around it, and at most two axes have: such frames are filled in rows. */
export function fillable({ before, after }: Frame, innermost: number): boolean {
  const framed = before.flatMap((n, axis) => (n + after[axis]! > 0 ? [axis] : []));
  return framed.length <= 2 && !framed.includes(innermost);
}

/** Whether a frame has the zeros that another wants. */
function covers(frame: Frame, wanted: Frame): boolean {
  return wanted.before.every((n, axis) => n <= frame.before[axis]!) && wanted.after.every((n, axis) => n <= frame.after[axis]!);
}

/**
 * The kernel with inputs and outputs stored inside of larger buffers. It writes the zeros around its outputs; what other values are there is
 * written by others. `innermost`: the axis of each that is contiguous in memory.
 */
export function withSurroundings(fn: TensorFunction, around: ReadonlyMap<string, Surroundings>, innermost: (buffer: string) => number, exprs: Exprs): TensorFunction {
  const copies = copiesOf(fn, exprs).filter(({ input, frame }) => around.has(input) && covers(around.get(input)!.zeros, frame));
  const buffers = buffersOf(fn);
  const stored = (b: Buffer): Buffer => {
    const place = around.get(b.name);
    return place === undefined ? b : { ...b, shape: b.shape.map((d, axis) => exprs.add(d, place.before[axis]! + place.after[axis]!)) };
  };
  const shifted = (indices: readonly Expr[], by: readonly number[]): Expr[] => indices.map((e, axis) => exprs.add(e, by[axis]!));
  const copyOf = new Map(copies.map((c) => [c.temporary, c]));
  const expr = (e: Expr): Expr => exprs.transform(e, (x) => {
    if (x.op !== 'load') return x;
    const copy = copyOf.get(x.value as string);
    if (copy !== undefined) {
      const place = around.get(copy.input)!;
      return exprs.load(stored(buffers.get(copy.input)!), shifted(x.args, place.before.map((n, axis) => n - copy.frame.before[axis]!)));
    }
    const place = around.get(x.value as string);
    return place === undefined ? x : exprs.load(stored(buffers.get(x.value as string)!), shifted(x.args, place.before));
  });
  const inputs = fn.inputs.map(stored);
  const outputs = fn.outputs.map(stored);
  const all = [...buffers.values()].map(stored);
  const visit = (s: Stmt): Stmt => {
    if (s.kind === 'alloc' && copyOf.has(s.buffer.name)) return visit(s.body);
    const inside = mapChildren(s, visit);
    if (inside.kind === 'store') {
      const place = around.get(inside.buffer);
      return place === undefined ? inside : { ...inside, indices: shifted(inside.indices, place.before) };
    }
    return inside.kind === 'block' ? { ...inside, ...blockRegions(inside.init, inside.body, all, exprs) } : inside;
  };
  const isCopy = (s: Stmt): boolean => {
    const form = stageOf(s)?.block;
    return form !== undefined && form.writes.some((w) => copyOf.has(w.buffer));
  };
  const without = (s: Stmt): Stmt => {
    if (s.kind === 'alloc') return { ...s, body: without(s.body) };
    return seq((s.kind === 'seq' ? s.body : [s]).filter((part) => !isCopy(part)));
  };
  const names = new Names(fn);
  const fills = fn.outputs.flatMap((b) => {
    const place = around.get(b.name);
    return place === undefined || !hasZeros(place.zeros) ? [] : [fill(stored(b), b.shape, place, innermost(b.name), exprs, names, all)];
  });
  const before = (s: Stmt): Stmt => (s.kind === 'alloc' ? { ...s, body: before(s.body) } : seq([...fills, s]));
  return { ...fn, inputs, outputs, body: before(visit(mapExpressions(without(fn.body), expr))) };
}

const hasZeros = ({ before, after }: Frame): boolean => [...before, ...after].some((n) => n > 0);

/** Zeros all around a value of shape `inner` in a buffer, row by row. */
function fill(b: Buffer, inner: readonly Expr[], place: Surroundings, innermost: number, exprs: Exprs, names: Names, buffers: readonly Buffer[]): Stmt {
  const { before, after } = place.zeros;
  const framed = before.flatMap((n, axis) => (n + after[axis]! > 0 ? [axis] : []));
  const along = framed.at(-1)!;
  const across = framed.length > 1 ? framed[0]! : null;
  const extent = inner.map((d, axis) => exprs.add(d, before[axis]! + after[axis]!));
  /** Beyond the zeros lie other values. */
  const index = (axis: number, i: Expr): Expr => exprs.add(i, place.before[axis]! - before[axis]!);
  const outer = b.shape.flatMap((_, axis) => (axis === along || axis === innermost ? [] : [axis]));
  const variables = new Map(outer.map((axis) => [axis, names.fresh('v')]));
  const loop = (n: Expr, kind: For['loop'], body: (i: Expr) => Stmt): Stmt => {
    const variable = names.fresh('i');
    return { kind: 'for', variable, extent: n, loop: kind, annotations: {}, body: body(exprs.variable(variable)) };
  };
  const zeros = (n: Expr, start: Expr): Stmt => loop(n, 'serial', (i) => loop(extent[innermost]!, 'vectorized', (c) => ({
    kind: 'store', buffer: b.name, value: exprs.constant(0, b.dtype),
    indices: b.shape.map((_, axis) => index(axis, axis === along ? exprs.add(start, i) : axis === innermost ? c : exprs.variable(variables.get(axis)!))),
  })));
  const ends = seq([
    ...(before[along]! > 0 ? [zeros(exprs.int(before[along]!), exprs.int(0))] : []),
    ...(after[along]! > 0 ? [zeros(exprs.int(after[along]!), exprs.add(inner[along]!, before[along]!))] : []),
  ]);
  let body: Stmt = ends;
  if (across !== null) {
    const at = exprs.variable(variables.get(across)!);
    const outside = exprs.or(exprs.lt(at, before[across]!), exprs.le(exprs.add(inner[across]!, before[across]!), at));
    body = { kind: 'if', condition: outside, then: zeros(extent[along]!, exprs.int(0)), otherwise: ends };
  }
  const loops = outer.map((axis) => ({ variable: names.fresh('i'), extent: extent[axis]! }));
  const block: Block = {
    kind: 'block', name: names.fresh(`${b.name}_frame`), predicate: null, init: null, body,
    // Nothing else in the function touches these elements.
    annotations: { apart: true },
    iters: outer.map((axis, k) => ({ name: variables.get(axis)!, type: 'spatial', extent: extent[axis]!, binding: exprs.variable(loops[k]!.variable) })),
    ...blockRegions(null, body, buffers, exprs),
  };
  return loops.reduceRight<Stmt>((inside, { variable, extent: n }) => ({ kind: 'for', variable, extent: n, loop: 'serial', annotations: {}, body: inside }), block);
}
