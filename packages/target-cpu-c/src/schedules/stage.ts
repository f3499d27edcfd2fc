import type { Buffer, Expr, IterVar, Stmt, TensorIntrinsic } from '@tenon/plugin';
import { loadsOf } from '@tenon/core';
import { alloc, combinationOf, flatIndex, linearIn, loop, loops, stepped, store, vectorLoop, type FormedStage, type Linear, type LoopContext } from '@tenon/schedule';

/** Vectors that one vectorized loop covers: enough to hide the latency of an operation. */
export const unroll = 2;

export interface StageContext extends LoopContext {
  readonly buffers: ReadonlyMap<string, Buffer>;
  /** Elements per step of vectorized loops. */
  width(dtype: string): number;
  /** Those of the target that the device has. */
  readonly intrinsics: readonly TensorIntrinsic[];
}

/** The flattened index of every load of a stage and of its store, in terms of iteration variables. */
function accesses(ctx: StageContext, s: FormedStage): { loads: Expr[]; store: Expr } {
  const flat = (buffer: string, indices: readonly Expr[]): Expr => flatIndex(ctx.exprs, ctx.buffers.get(buffer)!.shape, indices);
  return {
    loads: loadsOf(s.stage.block.body).filter((l) => l.value !== s.form.store.buffer).map((l) => flat(l.value as string, l.args)),
    store: flat(s.form.store.buffer, s.form.store.indices),
  };
}

/** The flattened indices of every access of a stage, its own result when it accumulates included once. */
export function flatAccesses(ctx: StageContext, s: FormedStage): Expr[] {
  const { loads, store: stored } = accesses(ctx, s);
  return [...loads, stored];
}

/** Whether every load is contiguous or constant along a variable. */
export function vectorizes(ctx: StageContext, s: FormedStage, variable: string): boolean {
  return accesses(ctx, s).loads.every((index) => {
    const c: Linear = linearIn(ctx.exprs, index, variable);
    return c === 0 || c === 1;
  });
}

type Values = ReadonlyMap<string, Expr>;

function bound(values: Values, iters: readonly IterVar[], indices: readonly Expr[]): Values {
  const all = new Map(values);
  iters.forEach((iter, i) => all.set(iter.name, indices[i]!));
  return all;
}

/** The statement `out[…] = value` of a compute stage at given iteration values. */
export function computeAt(ctx: StageContext, s: FormedStage, values: Values): Stmt {
  const { exprs } = ctx;
  return {
    kind: 'store', buffer: s.form.store.buffer,
    indices: s.form.store.indices.map((e) => exprs.substitute(e, values)), value: exprs.substitute(s.form.store.value, values),
  };
}

/** The loops of a compute stage over its last `iters`, the first ones being fixed by `values`. */
export function emitCompute(ctx: StageContext, s: FormedStage, iters: readonly IterVar[], values: Values): Stmt {
  const dtype = s.form.store.value.dtype;
  const fused = fuse(ctx, s, iters);
  if (fused !== null) {
    return vectorLoop(ctx, fused.extent, ctx.width(dtype), (f) => computeAt(ctx, s, bound(values, iters, fused.indices(f))));
  }
  if (iters.length === 0) return computeAt(ctx, s, values);
  const outer = iters.slice(0, -1);
  const last = iters.at(-1)!;
  return loops(ctx, outer.map((i) => i.extent), 'serial', (indices) => {
    const here = bound(values, outer, indices);
    return vectorLoop(ctx, last.extent, ctx.width(dtype), (i) => computeAt(ctx, s, bound(here, [last], [i])));
  });
}

/**
 * The trailing axes of a stage as one, where every access then runs through memory linearly: a tensor is walked as the
 * row of elements that it is. null where an access does not.
 */
export function fuse(ctx: StageContext, s: FormedStage, iters: readonly IterVar[]): { extent: Expr; indices(f: Expr): Expr[] } | null {
  const { exprs } = ctx;
  const inner = iters.filter((i) => exprs.valueOf(i.extent) !== 1);
  if (inner.length < 2) return null;
  const indices = (f: Expr): Expr[] => {
    let rest = f;
    const out: Expr[] = iters.map(() => exprs.int(0));
    for (let k = iters.length - 1; k >= 0; k--) {
      if (exprs.valueOf(iters[k]!.extent) === 1) continue;
      const first = iters.slice(0, k).every((i) => exprs.valueOf(i.extent) === 1);
      out[k] = first ? rest : exprs.mod(rest, iters[k]!.extent);
      rest = exprs.floordiv(rest, iters[k]!.extent);
    }
    return out;
  };
  // What is computed from indices would be computed for every element by itself.
  if (inner.some((iter) => usedOutsideLoads(s.form.store.value, iter.name))) return null;
  const f = exprs.variable('f_0');
  const values = new Map(iters.map((iter, i) => [iter.name, indices(f)[i]!]));
  const { loads, store: stored } = accesses(ctx, s);
  const linear = [...loads, stored].every((e) => {
    const c = linearIn(exprs, exprs.substitute(e, values), 'f_0');
    return c === 0 || c === 1;
  });
  return linear ? { extent: exprs.product(iters.map((i) => i.extent)), indices } : null;
}

function usedOutsideLoads(value: Expr, variable: string): boolean {
  const seen = new Set<Expr>();
  const visit = (e: Expr): boolean => {
    if (seen.has(e) || e.op === 'load') return false;
    seen.add(e);
    return e.op === 'var' ? e.value === variable : e.args.some(visit);
  };
  return visit(value);
}

/** The loops of a reduction stage over its remaining spatial axes and its reduction domain. */
export function emitReduce(ctx: StageContext, s: FormedStage, iters: readonly IterVar[], values: Values): Stmt {
  const { exprs } = ctx;
  const dtype = s.form.store.value.dtype;
  const last = iters.at(-1);
  const form = combinationOf(s.form.store);
  if (form !== null && last !== undefined && exprs.valueOf(last.extent) !== 1 && vectorizes(ctx, s, last.name)) {
    // Along a spatial axis: one accumulator per lane.
    const outer = iters.slice(0, -1);
    return loops(ctx, outer.map((i) => i.extent), 'serial', (indices) => {
      const here = bound(values, outer, indices);
      const tile = (start: Expr, count: Expr): Stmt => {
        const acc: Buffer = { name: ctx.names.fresh('acc'), dtype, shape: [count], scope: 'local' };
        const each = (body: (i: Expr) => Stmt): Stmt => loop(ctx, count, 'vectorized', body);
        return alloc(acc, seqOf([
          each((i) => store(acc, [i], exprs.substitute(s.form.init!.value, bound(here, [last], [exprs.add(start, i)])))),
          loops(ctx, s.reduce.map((r) => r.extent), 'serial', (r) => each((i) => {
            const at = bound(bound(here, [last], [exprs.add(start, i)]), s.reduce, r);
            return store(acc, [i], exprs[form.op](exprs.load(acc, [i]), exprs.substitute(form.value, at)));
          })),
          each((i) => store(ctx.buffers.get(s.form.store.buffer)!, s.form.store.indices.map((e) => exprs.substitute(e, bound(here, [last], [exprs.add(start, i)]))), exprs.load(acc, [i]))),
        ]));
      };
      const width = ctx.width(dtype);
      return stepped(ctx, last.extent, width, (start) => tile(start, exprs.int(width)), (start, count) =>
        count.op === 'const' ? tile(start, count) : loop(ctx, count, 'serial', (i) => tile(exprs.add(start, i), exprs.int(1))));
    });
  }
  return loops(ctx, iters.map((i) => i.extent), 'serial', (indices) => reducePoint(ctx, s, bound(values, iters, indices)));
}

/** One element of a reduction: vectors of partial results where the innermost axis is contiguous, else one by one. */
function reducePoint(ctx: StageContext, s: FormedStage, values: Values): Stmt {
  const { exprs } = ctx;
  const out = ctx.buffers.get(s.form.store.buffer)!;
  const dtype = out.dtype;
  const indices = s.form.store.indices.map((e) => exprs.substitute(e, values));
  const init = exprs.substitute(s.form.init!.value, values);
  const form = combinationOf(s.form.store);
  const inner = s.reduce.at(-1);
  if (form === null || inner === undefined) {
    // The accumulator is the output element itself.
    return seqOf([store(out, indices, init), loops(ctx, s.reduce.map((r) => r.extent), 'serial', (r) => {
      const at = bound(values, s.reduce, r);
      return store(out, indices, exprs.substitute(s.form.store.value, at));
    })]);
  }
  const acc: Buffer = { name: ctx.names.fresh('acc'), dtype, shape: [], scope: 'local' };
  const into = (value: Expr): Stmt => store(acc, [], exprs[form.op](exprs.load(acc, []), value));
  const size = exprs.valueOf(inner.extent);
  const one = ctx.width(dtype) / unroll;
  // Rows of less than all accumulators fill one vector.
  const width = size === null || size >= ctx.width(dtype) ? ctx.width(dtype) : one;
  const vector = (dtype === 'f32' || dtype === 'f64') && vectorizes(ctx, s, inner.name) && (size === null || size >= width);
  if (!vector) {
    return alloc(acc, seqOf([
      store(acc, [], init),
      loops(ctx, s.reduce.map((r) => r.extent), 'serial', (r) => into(exprs.substitute(form.value, bound(values, s.reduce, r)))),
      store(out, indices, exprs.load(acc, [])),
    ]));
  }
  const outer = s.reduce.slice(0, -1);
  const lanes: Buffer = { name: ctx.names.fresh('lanes'), dtype, shape: [exprs.int(width)], scope: 'local' };
  const each = (body: (i: Expr) => Stmt): Stmt => loop(ctx, exprs.int(width), 'vectorized', body);
  const neutral = form.op === 'add' ? exprs.constant(0, dtype) : form.op === 'mul' ? exprs.constant(1, dtype) : init;
  return alloc(acc, alloc(lanes, seqOf([
    store(acc, [], init),
    each((i) => store(lanes, [i], neutral)),
    loops(ctx, outer.map((r) => r.extent), 'serial', (o) => {
      const here = bound(values, outer, o);
      const value = (i: Expr): Expr => exprs.substitute(form.value, bound(here, [inner], [i]));
      const vectorAt = (start: Expr, lanesHere: number): Stmt =>
        loop(ctx, exprs.int(lanesHere), 'vectorized', (i) => store(lanes, [i], exprs[form.op](exprs.load(lanes, [i]), value(exprs.add(start, i)))));
      const singly = (start: Expr, count: Expr): Stmt => loop(ctx, count, 'serial', (i) => into(value(exprs.add(start, i))));
      return stepped(ctx, inner.extent, width, (start) => vectorAt(start, width), (start, count) =>
        width === one ? singly(start, count) : stepped(ctx, count, one, (at) => vectorAt(exprs.add(start, at), one), (at, left) => singly(exprs.add(start, at), left)));
    }),
    folded(ctx, lanes, width, (a, b) => exprs[form.op](a, b), into),
    store(out, indices, exprs.load(acc, [])),
  ])));
}

/** Combines the lanes of a buffer in halves: one after the other they would wait for each other. */
function folded(ctx: StageContext, lanes: Buffer, width: number, combined: (a: Expr, b: Expr) => Expr, into: (value: Expr) => Stmt): Stmt {
  const { exprs } = ctx;
  // A buffer of its own: what is read in vectors of several widths does not stay in registers.
  const half: Buffer = { ...lanes, name: ctx.names.fresh('half'), shape: [exprs.int(width)] };
  const over = (count: number, body: (i: Expr) => Stmt): Stmt => loop(ctx, exprs.int(count), 'vectorized', body);
  const steps: Stmt[] = [over(width, (i) => store(half, [i], exprs.load(lanes, [i])))];
  let count = width;
  for (; count % 2 === 0; count /= 2) {
    const next = count / 2;
    steps.push(over(next, (i) => store(half, [i], combined(exprs.load(half, [i]), exprs.load(half, [exprs.add(i, next)])))));
  }
  return alloc(half, seqOf([...steps, loop(ctx, exprs.int(count), 'serial', (i) => into(exprs.load(half, [i])))]));
}

function seqOf(body: readonly Stmt[]): Stmt {
  return { kind: 'seq', body };
}

