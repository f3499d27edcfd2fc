import type { Binding, Context, Expr, GraphFunction, TensorFunction, TensorType, Value } from '@tenon/plugin';
import type { Exprs } from '@tenon/core';
import { freshName, usersOf } from '../graph.ts';
import { canFrame, fillable, framesOf, union, type Frame } from './padding.ts';
import { partsOf, rangeKernel, type Parts, type Range } from './parts.ts';

/**
 * Which values lie inside of others. What a kernel concatenates is written where the concatenation will have it, and what is a
 * slice of a value is read there, so that neither is copied. Values that lie in one another share memory, an order of axes and a
 * frame of zeros: these are decided for all of them together, and where that would cost one its frame, it is copied as before.
 */
export interface Places {
  /** Without slices that are read in place; of concatenations, what is still to be computed or copied, each range a kernel. */
  readonly bindings: readonly Binding[];
  readonly places: ReadonlyMap<Value, Place>;
  /** The zeros around values, and around what others lie in. */
  readonly frames: ReadonlyMap<Value, Frame>;
}

/** Where a value begins inside of one that lies in no other. */
export interface Place {
  readonly root: Value;
  readonly before: readonly number[];
}

/** What deciding must know of kernels. */
export interface Kernels {
  readonly ctx: Context;
  readonly functions: Map<string, unknown>;
  of(callee: string): TensorFunction;
  /** Whether a schedule rule has a say in how its buffers lie. */
  wishes(callee: string): boolean;
}

/** Axis i in memory is axis `permutation[i]` of the value. */
export type Permutation = readonly number[];

/** Shorter runs of bytes share a line of a cache with their neighbours, and are not worth what their readers lose. */
const shortestRun = 64;

/** Bytes that caches hold for as long as nothing else is touched. */
const cached = 2 << 20;

/** What others address, so that it lies as its type says: results, and all that is no kernel's alone. */
export function pinnedValues(fn: GraphFunction): ReadonlySet<Value> {
  const pinned = new Set<Value>(fn.results);
  for (const b of fn.bindings) {
    if (b.kind === 'kernel' && b.effects === null) continue;
    for (const v of [...b.args, ...b.results]) if (v !== null) pinned.add(v);
  }
  return pinned;
}

/** Adds the permutations of values that are new to `permutations`, and their kernels to `kernels`. */
export function decidePlaces(fn: GraphFunction, permutations: Map<Value, Permutation>, kernels: Kernels): Places {
  return new Decision(fn, permutations, kernels).run();
}

/** Values that share memory, and what lies around all of them. */
interface Group {
  readonly members: readonly Value[];
  /** Axes along which members are shorter than the whole. */
  readonly cut: ReadonlySet<number>;
  readonly frame: Frame | null;
}

/** What a value lies in, and from which index of an axis on. */
interface Inside {
  readonly value: Value;
  readonly axis: number;
  readonly at: number;
  /** It is there already when the value is asked for; else the value's kernel writes it there. */
  readonly slice: boolean;
}

/** Adjacent ranges of a kernel that copy adjacent parts of one value; null: a range that is computed. */
interface Run {
  readonly value: Value | null;
  readonly at: number;
  readonly ranges: Range[];
}

class Decision {
  readonly #fn: GraphFunction;
  readonly #permutations: Map<Value, Permutation>;
  readonly #kernels: Kernels;
  readonly #exprs: Exprs;
  readonly #users: ReadonlyMap<Value, readonly Binding[]>;
  readonly #pinned: ReadonlySet<Value>;
  readonly #producers = new Map<Value, Binding>();
  /** What each value lies in, directly. */
  readonly #inside = new Map<Value, Inside>();
  readonly #groups = new Map<Value, Group>();
  readonly #parts = new Map<string, Parts | null>();
  readonly #padded = new Map<string, ReadonlyMap<string, Frame>>();

  constructor(fn: GraphFunction, permutations: Map<Value, Permutation>, kernels: Kernels) {
    this.#fn = fn;
    this.#permutations = permutations;
    this.#kernels = kernels;
    this.#exprs = kernels.ctx.exprs as Exprs;
    this.#users = usersOf(fn);
    this.#pinned = pinnedValues(fn);
    for (const b of fn.bindings) for (const r of b.results) this.#producers.set(r, b);
  }

  run(): Places {
    const bindings = this.#fn.bindings.flatMap((b) => this.#binding(b));
    const places = new Map<Value, Place>();
    for (const value of this.#inside.keys()) places.set(value, this.#placeOf(value));
    const frames = new Map<Value, Frame>();
    for (const value of this.#permutations.keys()) {
      const { frame } = this.#groupOf(value);
      if (frame !== null && !this.#inside.has(value)) frames.set(value, frame);
    }
    return { bindings, places, frames };
  }

  /** What is left of a binding. */
  #binding(b: Binding): readonly Binding[] {
    if (!isPlain(b) || b.results.length !== 1) return [b];
    const parts = this.#partsOf(b.callee);
    if (parts === null) return [b];
    const { axis, ranges } = parts;
    const result = b.results[0]!;
    const fn = this.#kernels.of(b.callee);
    const runs = this.#runs(parts, ({ copy }) => (copy === null ? null : b.args[fn.inputs.findIndex((i) => i.name === copy.input)]!));
    if (runs.length === 1) {
      const { value, at } = runs[0]!;
      const slice = value !== null && !value.constant && !this.#pinned.has(result);
      return slice && this.#join(result, { value, axis, at, slice }) ? [] : [b];
    }
    const left = runs.flatMap((run) => {
      const placed = this.#isWhole(run, axis) && this.#join(run.value!, { value: result, axis, at: run.ranges[0]!.from, slice: false });
      return placed ? [] : run.ranges;
    });
    return left.length === ranges.length ? [b] : left.map((range, i) => this.#rangeBinding(b, fn, axis, range, i));
  }

  #runs({ axis, ranges }: Parts, input: (range: Range) => Value | null): readonly Run[] {
    const runs: Run[] = [];
    for (const range of ranges) {
      let value = input(range);
      let at = range.copy?.at ?? 0;
      for (let outer = value && this.#inside.get(value); outer?.slice === true && outer.axis === axis; outer = this.#inside.get(value)) {
        value = outer.value;
        at += outer.at;
      }
      const last = runs.at(-1);
      if (value !== null && last?.value === value && at - last.at === range.from - last.ranges[0]!.from) last.ranges.push(range);
      else runs.push({ value, at, ranges: [range] });
    }
    return runs;
  }

  /** Whether a run is a whole value, whose kernel can write it anywhere. */
  #isWhole({ value, at, ranges }: Run, axis: number): boolean {
    if (value === null || at !== 0 || value.constant || value.type.kind !== 'tensor' || this.#pinned.has(value) || this.#inside.has(value)) return false;
    return this.#exprs.valueOf(value.type.shape[axis]!) === ranges.at(-1)!.to - ranges[0]!.from && this.#isWritable(value);
  }

  /** A kernel that writes what is left of a concatenation, one range of it. */
  #rangeBinding(b: Binding, whole: TensorFunction, axis: number, range: Range, i: number): Binding {
    const result = b.results[0]!;
    const { functions } = this.#kernels;
    const fn = rangeKernel(whole, axis, range, this.#exprs);
    const name = freshName(functions, whole.name);
    functions.set(name, { ...fn, name });
    const args = whole.inputs.flatMap((input, k) => (fn.inputs.some((f) => f.name === input.name) ? [b.args[k]!] : []));
    const type = result.type as TensorType;
    const value: Value = { ...result, name: `${result.name}.part${i}`, type: { ...type, shape: type.shape.map((d, a) => (a === axis ? this.#exprs.int(range.to - range.from) : d)) } };
    const order = this.#permutations.get(result);
    if (order !== undefined) this.#permutations.set(value, order);
    this.#inside.set(value, { value: result, axis, at: range.from, slice: false });
    return { ...b, callee: name, args, results: [value] };
  }

  #isWritable(value: Value): boolean {
    const producer = this.#producers.get(value);
    if (producer === undefined || !isPlain(producer) || producer.results.length !== 1) return false;
    const fn = this.#kernels.of(producer.callee);
    return canFrame(fn, fn.outputs[0]!.name);
  }

  /** Puts a value inside of another, if that is right for all that lies in either. */
  #join(value: Value, inside: Inside): boolean {
    const order = this.#permutations.get(value);
    const [part, whole] = [value.type as TensorType, inside.value.type as TensorType];
    if (!part.shape.every((d, axis) => (axis === inside.axis ? this.#exprs.valueOf(d) !== null : d === whole.shape[axis]))) return false;
    if (order?.join() !== this.#permutations.get(inside.value)?.join() || !this.#pays(part, inside.axis, order)) return false;
    if (!inside.slice && !this.#soonWhole(value, inside.value)) return false;
    const [a, b] = [this.#groupOf(value), this.#groupOf(inside.value)];
    const members = [...b.members, ...a.members];
    if (!inside.slice && this.#fn.results.includes(this.#placeOf(inside.value).root) && !this.#onlyGathered(a.members, members)) return false;
    const cut = new Set([...a.cut, ...b.cut, inside.axis]);
    this.#inside.set(value, inside);
    const { frame, lost } = this.#frameOf(members, cut);
    if ((a.frame !== null || b.frame !== null) && (frame === null || lost)) {
      this.#inside.delete(value);
      return false;
    }
    this.#groups.set(this.#placeOf(value).root, { members, cut, frame });
    return true;
  }

  /**
   * Whether kernels between a value and the concatenation that it is a part of write, and read of constants, little: no more bytes than the whole has, or than
   * caches hold. Where a value waits for long, caches have forgotten it: copying reads ahead better than what would read it in place, and memory that
   * was used last is better to write the rest to.
   */
  #soonWhole(value: Value, whole: Value): boolean {
    const { exprs, ctx } = { exprs: this.#exprs, ctx: this.#kernels.ctx };
    const bytesOf = (v: Value): Expr => (v.type.kind === 'tensor' ? ctx.bytesOf(v.type) : exprs.int(0));
    const parts = new Set(this.#producers.get(whole)!.args);
    const between = this.#fn.bindings.slice(this.#fn.bindings.indexOf(this.#producers.get(value)!) + 1, this.#fn.bindings.indexOf(this.#producers.get(whole)!));
    const touched = between.flatMap((b) => (b.kind === 'op' ? [] : [...b.results.filter((r) => !parts.has(r) && !this.#inside.has(r)), ...b.args.filter((a) => a?.constant === true)]));
    return exprs.prove(exprs.le(touched.reduce((sum, v) => exprs.add(sum, bytesOf(v!)), exprs.int(0)), exprs.max(bytesOf(whole), cached))) === 'yes';
  }

  /**
   * Whether nothing but what they are gathered in reads values. A result's memory is the caller's, on pages that are small and often new: what is read
   * before the end lies better in memory of the region's.
   */
  #onlyGathered(values: readonly Value[], members: readonly Value[]): boolean {
    return values.every((v) => (this.#users.get(v) ?? []).every((user) => user.results.every((r) => members.includes(r))));
  }

  #pays({ dtype, shape }: TensorType, axis: number, order: Permutation | undefined): boolean {
    const axes = order ?? shape.map((_, a) => a);
    const run = axes.slice(axes.indexOf(axis)).map((a) => shape[a]!);
    return this.#exprs.prove(this.#exprs.le(shortestRun, this.#kernels.ctx.bytesOf({ dtype, shape: run }))) === 'yes';
  }

  #placeOf(value: Value): Place {
    const before = (value.type as TensorType).shape.map(() => 0);
    let root = value;
    for (let outer = this.#inside.get(root); outer !== undefined; outer = this.#inside.get(root)) {
      before[outer.axis]! += outer.at;
      root = outer.value;
    }
    return { root, before };
  }

  #groupOf(value: Value): Group {
    const { root } = this.#placeOf(value);
    let group = this.#groups.get(root);
    if (group === undefined) this.#groups.set(root, (group = { members: [root], cut: new Set(), frame: this.#frameOf([root], new Set()).frame }));
    return group;
  }

  /**
   * The zeros around values that share memory, where a reader pads one of them. Of permuted values only: those have channels innermost, so
   * that rows of zeros are contiguous. Every other reader must be one that does not care how far apart rows are. `lost`: a reader would have
   * zeros where other values are.
   */
  #frameOf(members: readonly Value[], cut: ReadonlySet<number>): { readonly frame: Frame | null; readonly lost: boolean } {
    const innermost = this.#permutations.get(members[0]!)?.at(-1);
    if (innermost === undefined) return { frame: null, lost: false };
    let frame: Frame | null = null;
    let lost = false;
    let possible = true;
    for (const value of members) {
      const inside = this.#inside.get(value);
      possible &&= inside?.slice === true || this.#isWritable(value);
      // Rows that have others between them are read one by one already.
      const apart = inside !== undefined && cut.has(innermost);
      for (const user of this.#users.get(value) ?? []) {
        const kernel = this.#kernels.of(user.callee);
        user.args.forEach((a, k) => {
          if (a !== value) return;
          const wanted = this.#framesIn(user.callee).get(kernel.inputs[k]!.name);
          if (wanted === undefined) possible &&= apart || this.#kernels.wishes(user.callee) || !this.#walksOn(value, innermost, user);
          else if ([...cut].some((axis) => wanted.before[axis]! + wanted.after[axis]! > 0)) lost = true;
          else frame = frame === null ? wanted : union(frame, wanted);
        });
      }
    }
    return { frame: frame !== null && possible && fillable(frame, innermost) ? frame : null, lost };
  }

  /**
   * Whether a kernel without wishes may walk from one row of a value to the next as if they were one. Where the rows of its result are longer or shorter (a
   * concatenation, a slice), it reads row by row anyway.
   */
  #walksOn(value: Value, innermost: number, user: Binding): boolean {
    return user.results.some((r) => {
      if (r.type.kind !== 'tensor' || value.type.kind !== 'tensor' || r.type.shape.length !== value.type.shape.length) return true;
      return this.#permutations.get(r)?.at(-1) !== innermost || r.type.shape[innermost] === value.type.shape[innermost];
    });
  }

  #partsOf(callee: string): Parts | null {
    let parts = this.#parts.get(callee);
    if (parts === undefined) this.#parts.set(callee, (parts = partsOf(this.#kernels.of(callee), this.#exprs)));
    return parts;
  }

  #framesIn(callee: string): ReadonlyMap<string, Frame> {
    let frames = this.#padded.get(callee);
    if (frames === undefined) this.#padded.set(callee, (frames = framesOf(this.#kernels.of(callee), this.#exprs)));
    return frames;
  }
}

const isPlain = (b: Binding): boolean => b.kind === 'kernel' && b.effects === null;
