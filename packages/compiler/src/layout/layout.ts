import type { Binding, GraphFunction, IRModule, LayoutRecord, Pass, PassContext, ScheduleRule, TargetContext, TensorFunction, Value } from '@tenon/plugin';
import { buffersOf, hashFunction, printType, visitStmts, type Exprs, type Session } from '@tenon/core';
import { Names, permuteBuffers, type Permutations } from '@tenon/schedule';
import { freshName, graphFunctions } from '../graph.ts';
import { withSurroundings, type Surroundings } from './padding.ts';
import { withPlaced, type Placed } from './parts.ts';
import { decidePlaces, pinnedValues, type Permutation } from './places.ts';
import { Storages } from './storage.ts';

/**
 * Decides how the values between kernels lie in memory, over the whole graph: schedule rules say what they would like
 * (`ScheduleRule.layouts`), the votes of all kernels that touch a value are counted, and kernels without a wish follow their
 * inputs. Values that convolutions pad are then stored with their zeros (padding.ts), and what is concatenated or sliced lies
 * inside of the whole (places.ts). Kernels are rewritten by permuting and shifting indices, so that no value is ever transposed or
 * copied for the sake of a layout.
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
  for (const [name, fn] of functions) if (fn.kind === 'tensor' && !called.has(name) && (state.wishes.has(name) || !module.functions.has(name))) functions.delete(name);
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
  const decided = decidePlaces(fn, permutations, {
    ctx: state.ctx, functions: state.functions,
    of: (callee) => state.functions.get(callee) as TensorFunction, wishes: (callee) => Object.keys(wishesOf(callee, state)).length > 0,
  });
  if (permutations.size === 0 && decided.places.size === 0) return fn;
  const storages = new Storages(permutations, decided, state.ctx.exprs);
  record(fn, storages, state);
  /** What has been written last of values that lie otherwise, and of values that others lie in. */
  const latest = new Map<Value, Value>();
  const current = (v: Value): Value => latest.get(storages.rootOf(v)) ?? storages.rootOf(v);
  const bindings = decided.bindings.map((b): Binding => {
    const args = b.args.map((a) => (a === null ? null : current(a)));
    if (b.kind !== 'kernel' || ![...b.args, ...b.results].some((v) => v !== null && storages.of(v) !== null)) return { ...b, args };
    // Others have written a part of its memory before.
    const updated = b.results.flatMap((r, i) => (latest.has(storages.rootOf(r)) ? [i] : []));
    const before = updated.map((i) => current(b.results[i]!));
    const results = b.results.map((r) => {
      if (storages.of(r) === null) return r;
      const value: Value = { ...r, type: storages.typeOf(r) };
      latest.set(storages.rootOf(r), value);
      return value;
    });
    return {
      ...b, callee: variant(b, storages, updated, state), args: [...args, ...before], results,
      effects: updated.length === 0 ? b.effects : { mutates: updated.map((_, k) => args.length + k), aliases: updated.map((i, k) => [i, args.length + k]) },
    };
  });
  return { ...fn, bindings, results: fn.results.map(current) };
}

/** Notes where values lie. */
function record(fn: GraphFunction, storages: Storages, { ctx, records }: State): void {
  for (const b of fn.bindings) {
    for (const r of b.results) {
      const storage = storages.of(r);
      if (storage === null) continue;
      const { root, before } = storage;
      records.push({
        target: ctx.target.name, region: fn.name, value: r.name, order: storage.order, type: printType(storages.typeOf(r)),
        ...(root === r ? {} : { within: { value: root.name, before: storage.order.map((a) => before[a]!) } }),
      });
    }
  }
}

/** The orders of axes of values that lie otherwise than their types say. */
function decide(fn: GraphFunction, state: State): Map<Value, Permutation> {
  const fixed = pinnedValues(fn);
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

/** The kernel that a call needs where its arguments and results lie. `updated`: results whose memory others have written a part of. */
function variant(b: Binding, storages: Storages, updated: readonly number[], state: State): string {
  const fn = state.functions.get(b.callee) as TensorFunction;
  const wishes = state.wishes.get(b.callee) ?? {};
  const permutations = new Map<string, Permutation>();
  const around = new Map<string, Surroundings>();
  const touched: { [buffer: string]: Placed['touched'][string] } = {};
  const note = (buffer: string, value: Value | null | undefined): void => {
    const storage = value == null ? null : storages.of(value);
    if (storage === null) return;
    if (storage.permutation !== null) permutations.set(buffer, storage.permutation);
    if (storage.surroundings !== null) around.set(buffer, storage.surroundings);
    if (storage.cut.length > 0) touched[buffer] = storage.cut.map(({ axis, extent }) => [storage.order.indexOf(axis), extent]);
  };
  fn.inputs.forEach((buffer, i) => note(buffer.name, b.args[i]));
  fn.outputs.forEach((buffer, i) => note(buffer.name, b.results[i]));
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
  const stored = around.size === 0 ? fn : withSurroundings(fn, around, (buffer) => permutations.get(buffer)!.at(-1)!, exprs);
  const permuted = permuteBuffers(stored, permutations as Permutations, exprs);
  const names = new Names(permuted);
  const befores = updated.map((i) => {
    const output = permuted.outputs[i]!;
    return { output: output.name, buffer: { ...output, name: names.fresh(`${output.name}_before`) } };
  });
  const placed = withPlaced(
    { ...permuted, inputs: [...permuted.inputs, ...befores.map(({ buffer }) => buffer)] },
    { updates: Object.fromEntries(befores.map(({ output, buffer }) => [output, buffer.name])), touched },
  );
  const hash = hashFunction(placed);
  let name = state.variants.get(hash);
  if (name === undefined) {
    name = freshName(state.functions, fn.name);
    state.variants.set(hash, name);
    state.functions.set(name, { ...placed, name });
  }
  return name;
}
