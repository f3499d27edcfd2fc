import type { Binding, GraphFunction, IRModule, LayoutRecord, Pass, PassContext, ScheduleRule, TargetContext, TensorFunction, Value } from '@tenon/plugin';
import { buffersOf, hashFunction, printType, visitStmts, type Exprs, type Session } from '@tenon/core';
import { permuteBuffers, type Permutations } from '@tenon/schedule';
import { freshName, graphFunctions, usersOf } from '../graph.ts';
import { canFrame, fillable, framesOf, union, withFrames, type Frame } from './padding.ts';

/**
 * Decides how the values between kernels lie in memory, over the whole graph: schedule rules say what they would like
 * (`ScheduleRule.layouts`), the votes of all kernels that touch a value are counted, and kernels without a wish follow their
 * inputs. Values that convolutions pad are then stored with their zeros (padding.ts). Kernels are rewritten by permuting and
 * shifting indices, so that no value is ever transposed or copied for the sake of a layout.
 * Parameters and results of a region, constants, and what operators view stay as they are.
 */
export function layoutPass(session: Session, records: LayoutRecord[]): Pass {
  return {
    name: 'assign-layouts',
    phase: 'layout',
    doc: 'Orders the axes of values between kernels as the kernels would have them.',
    run: (module, ctx) => assignLayouts(module, ctx, session.registry.schedules, records),
  };
}

type Permutation = readonly number[];

/** How values lie, where they lie otherwise than their types say. */
interface Layouts {
  readonly permutations: ReadonlyMap<Value, Permutation>;
  readonly frames: ReadonlyMap<Value, Frame>;
}

function assignLayouts(module: IRModule, ctx: PassContext, schedules: readonly ScheduleRule[], records: LayoutRecord[]): IRModule {
  const { target } = ctx;
  if (target?.form !== 'kernels') return module;
  const rules = schedules.filter((r) => r.target === target.name && r.layouts !== undefined).sort((a, b) => b.specificity - a.specificity || (a.id < b.id ? -1 : 1));
  if (rules.length === 0) return module;
  const functions = new Map(module.functions);
  const state: State = { ctx: ctx as PassContext & TargetContext, module, functions, rules, wishes: new Map(), variants: new Map(), records };
  let changed = false;
  for (const fn of graphFunctions(module)) {
    if (fn.attrs['target'] !== target.name) continue;
    const next = assignFunction(fn, state);
    if (next === fn) continue;
    functions.set(fn.name, next);
    changed = true;
  }
  if (!changed) return module;
  // Kernels that are called in another layout only.
  const called = new Set([...functions.values()].flatMap((f) => (f.kind === 'graph' ? f.bindings.flatMap((b) => (b.kind === 'kernel' ? [b.callee] : [])) : [])));
  for (const name of state.variants.values()) called.add(name);
  for (const [name, fn] of functions) if (fn.kind === 'tensor' && !called.has(name) && state.wishes.has(name)) functions.delete(name);
  return { ...module, functions };
}

interface State {
  readonly ctx: PassContext & TargetContext;
  readonly module: IRModule;
  readonly functions: Map<string, GraphFunction | TensorFunction>;
  readonly rules: readonly ScheduleRule[];
  /** What the most specific rule with a wish says of each kernel. */
  readonly wishes: Map<string, { readonly [buffer: string]: Permutation }>;
  /** Kernels by their structure in the layouts that they are called with. */
  readonly variants: Map<string, string>;
  readonly records: LayoutRecord[];
}

function assignFunction(fn: GraphFunction, state: State): GraphFunction {
  const permutations = decide(fn, state);
  if (permutations.size === 0) return fn;
  const decided: Layouts = { permutations, frames: decideFrames(fn, permutations, state) };
  const values = new Map<Value, Value>();
  const bindings = fn.bindings.map((b): Binding => {
    if (!touches(b, decided)) return b;
    const results = b.results.map((r) => {
      const permutation = permutations.get(r);
      if (permutation === undefined || r.type.kind !== 'tensor') return r;
      const frame = decided.frames.get(r);
      const shape = r.type.shape.map((d, axis) => (frame === undefined ? d : state.ctx.exprs.add(d, frame.before[axis]! + frame.after[axis]!)));
      const value: Value = { ...r, type: { ...r.type, shape: permutation.map((a) => shape[a]!) } };
      values.set(r, value);
      state.records.push({ target: state.ctx.target.name, region: fn.name, value: r.name, order: permutation, type: printType(value.type) });
      return value;
    });
    return { ...b, callee: variant(b, decided, state), args: b.args.map((a) => (a === null ? null : (values.get(a) ?? a))), results };
  });
  return { ...fn, bindings };
}

const touches = (b: Binding, { permutations }: Layouts): boolean =>
  b.results.some((r) => permutations.has(r)) || b.args.some((a) => a !== null && permutations.has(a));

/** The orders of axes of values that lie otherwise than their types say. */
function decide(fn: GraphFunction, state: State): ReadonlyMap<Value, Permutation> {
  const fixed = new Set<Value>(fn.results);
  for (const b of fn.bindings) {
    if (b.kind === 'kernel' && b.effects === null) continue;
    for (const v of [...b.args, ...b.results]) if (v !== null) fixed.add(v);
  }
  const votes = new Map<Value, Map<string, number>>();
  for (const b of fn.bindings) {
    if (b.kind !== 'kernel') continue;
    const wishes = wishesOf(b.callee, state);
    const kernel = state.functions.get(b.callee) as TensorFunction;
    const count = (value: Value | null, buffer: string): void => {
      const wish = wishes[buffer];
      if (value === null || wish === undefined || value.constant || fixed.has(value)) return;
      const all = votes.get(value) ?? new Map<string, number>();
      all.set(wish.join(), (all.get(wish.join()) ?? 0) + 1);
      votes.set(value, all);
    };
    kernel.inputs.forEach((buffer, i) => count(b.args[i] ?? null, buffer.name));
    kernel.outputs.forEach((buffer, i) => count(b.results[i] ?? null, buffer.name));
  }
  const decided = new Map<Value, Permutation>();
  for (const b of fn.bindings) {
    if (b.kind !== 'kernel') continue;
    for (const result of b.results) {
      if (fixed.has(result) || result.type.kind !== 'tensor') continue;
      const rank = result.type.shape.length;
      const permutation = elected(votes.get(result)) ?? followed(b, rank, decided, wishesOf(b.callee, state));
      if (permutation?.some((a, i) => a !== i)) decided.set(result, permutation);
    }
  }
  return decided;
}

/**
 * The zeros around values that a reader pads. Of permuted values only: those have channels innermost, so that rows of
 * zeros are contiguous. Every other reader must be one that does not care how far apart rows are.
 */
function decideFrames(fn: GraphFunction, permutations: ReadonlyMap<Value, Permutation>, state: State): ReadonlyMap<Value, Frame> {
  const { exprs } = state.ctx;
  const users = usersOf(fn);
  const found = new Map<string, ReadonlyMap<string, Frame>>();
  const framesIn = (kernel: string): ReadonlyMap<string, Frame> => {
    let frames = found.get(kernel);
    if (frames === undefined) found.set(kernel, (frames = framesOf(state.functions.get(kernel) as TensorFunction, exprs)));
    return frames;
  };
  const frames = new Map<Value, Frame>();
  for (const b of fn.bindings) {
    for (const [i, value] of b.results.entries()) {
      const permutation = permutations.get(value);
      if (permutation === undefined || b.results.length !== 1) continue;
      let frame: Frame | null = null;
      let others = false;
      for (const user of users.get(value) ?? []) {
        const kernel = state.functions.get(user.callee) as TensorFunction;
        user.args.forEach((a, k) => {
          if (a !== value) return;
          const wanted = framesIn(user.callee).get(kernel.inputs[k]!.name);
          if (wanted !== undefined) frame = frame === null ? wanted : union(frame, wanted);
          else if (Object.keys(wishesOf(user.callee, state)).length === 0 && walksOn(value, user, permutations)) others = true;
        });
      }
      if (frame === null || others || !fillable(frame, permutation.at(-1)!)) continue;
      const producer = state.functions.get(b.callee) as TensorFunction;
      if (canFrame(producer, producer.outputs[i]!.name)) frames.set(value, frame);
    }
  }
  return frames;
}

/**
 * Whether a kernel without wishes may walk from one row of a value to the next as if they were one. Where the rows of its result are longer or shorter (a
 * concatenation, a slice), it reads row by row anyway.
 */
function walksOn(value: Value, user: Binding, permutations: ReadonlyMap<Value, Permutation>): boolean {
  const innermost = permutations.get(value)!.at(-1)!;
  return user.results.some((r) => {
    if (r.type.kind !== 'tensor' || value.type.kind !== 'tensor' || r.type.shape.length !== value.type.shape.length) return true;
    return permutations.get(r)?.at(-1) !== innermost || r.type.shape[innermost] === value.type.shape[innermost];
  });
}

/** What most kernels would have; of equals the first in order. */
function elected(votes: ReadonlyMap<string, number> | undefined): Permutation | null {
  if (votes === undefined) return null;
  const [first] = [...votes].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  return first![0].split(',').map(Number);
}

/** A kernel without wishes writes in the order in which it reads the largest of its inputs of the same rank. */
function followed(b: Binding, rank: number, decided: ReadonlyMap<Value, Permutation>, wishes: { readonly [buffer: string]: Permutation }): Permutation | null {
  if (Object.keys(wishes).length > 0) return null;
  let best: Permutation | null = null;
  for (const arg of b.args) {
    if (arg === null || arg.constant || arg.type.kind !== 'tensor' || arg.type.shape.length !== rank) continue;
    const permutation = decided.get(arg);
    // One input that lies as its type says decides against: its reader would jump through it.
    if (permutation === undefined || (best !== null && best.join() !== permutation.join())) return null;
    best = permutation;
  }
  return best;
}

function wishesOf(kernel: string, state: State): { readonly [buffer: string]: Permutation } {
  let wishes = state.wishes.get(kernel);
  if (wishes === undefined) {
    const fn = state.functions.get(kernel) as TensorFunction;
    wishes = {};
    for (const rule of state.rules) {
      const found = rule.layouts!(fn, state.ctx);
      if (found === null) continue;
      checkWishes(found, fn, rule, state);
      wishes = found;
      break;
    }
    state.wishes.set(kernel, wishes);
  }
  return wishes;
}

/** Rules may come from anybody's plugin. */
function checkWishes(wishes: { readonly [buffer: string]: Permutation }, fn: TensorFunction, rule: ScheduleRule, { ctx }: State): void {
  const buffers = buffersOf(fn);
  const fail = (message: string): never => ctx.fail({ code: 'schedule/layout', message: `${rule.id}: ${message}`, hint: 'The plugin that has the rule is at fault.' });
  for (const [name, permutation] of Object.entries(wishes)) {
    const buffer = buffers.get(name);
    if (buffer === undefined) return fail(`there is no buffer ${name} in @${fn.name}`);
    const rank = buffer.shape.length;
    if (permutation.length !== rank || [...permutation].sort((a, b) => a - b).some((a, i) => a !== i)) {
      return fail(`[${permutation.join(', ')}] is no order of the ${rank} axes of ${name} in @${fn.name}`);
    }
  }
}

/** The kernel that a call needs in the layouts of its arguments and results. */
function variant(b: Binding, { permutations: decided, frames }: Layouts, state: State): string {
  const fn = state.functions.get(b.callee) as TensorFunction;
  const wishes = state.wishes.get(b.callee) ?? {};
  const permutations = new Map<string, Permutation>();
  fn.inputs.forEach((buffer, i) => {
    const permutation = b.args[i] ? decided.get(b.args[i]) : undefined;
    if (permutation !== undefined) permutations.set(buffer.name, permutation);
  });
  fn.outputs.forEach((buffer, i) => {
    const permutation = decided.get(b.results[i]!);
    if (permutation !== undefined) permutations.set(buffer.name, permutation);
  });
  const given = [...permutations.values()];
  const exprs = state.ctx.exprs as Exprs;
  visitStmts(fn.body, (s) => {
    if (s.kind !== 'alloc') return;
    const { name, shape } = s.buffer;
    // Temporaries lie as the rule would have them, else as what is around them: where inputs and results lie differently, a
    // temporary that is smaller than the result lies as that does, so that the smaller tensor is written across.
    const larger = fn.outputs.find((o) => o.shape.length === shape.length && exprs.prove(exprs.lt(exprs.product(shape), exprs.product(o.shape))) === 'yes');
    const own = wishes[name] ?? (larger === undefined ? given.find((p) => p.length === shape.length) : permutations.get(larger.name));
    if (own !== undefined) permutations.set(name, own);
  });
  const framed = new Map<string, Frame>();
  const note = (buffer: string, value: Value | null | undefined): void => {
    const frame = value == null ? undefined : frames.get(value);
    if (frame !== undefined) framed.set(buffer, frame);
  };
  fn.inputs.forEach((buffer, i) => note(buffer.name, b.args[i]));
  fn.outputs.forEach((buffer, i) => note(buffer.name, b.results[i]));
  const stored = framed.size === 0 ? fn : withFrames(fn, framed, (buffer) => permutations.get(buffer)!.at(-1)!, exprs);
  const permuted = permuteBuffers(stored, permutations as Permutations, exprs);
  const hash = hashFunction(permuted);
  let name = state.variants.get(hash);
  if (name === undefined) {
    name = freshName(state.functions, fn.name);
    state.variants.set(hash, name);
    state.functions.set(name, { ...permuted, name });
  }
  return name;
}
