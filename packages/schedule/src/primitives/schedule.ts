import { TenonError, type AttrValue, type Expr, type ExprBuilder, type Scope, type ScheduleChoices, type TensorFunction, type TensorIntrinsic } from '@tenon/plugin';
import { parseExpr, printExpr, verifyModule, type Exprs } from '@tenon/core';
import { isList, type ChoiceStep, type ChoiceValue, type Trace, type TraceStep, type TraceValue } from '../trace/trace.ts';
import type { IndexMap } from './index-map.ts';
import { checkLegality } from './legality.ts';
import { State, type Outcome } from './state.ts';
import { primitives } from './table.ts';
import { uniqueNames } from './unique-names.ts';

export interface ScheduleOptions {
  /** What is known of dims. */
  readonly dims?: Scope;
  /** Values for choices by name, in place of the defaults. */
  readonly choices?: ReadonlyMap<string, ChoiceValue>;
  /** Where {@link Schedule.choose} takes its values from, instead: the choices of a schedule rule. */
  readonly chooser?: ScheduleChoices;
  /** The intrinsics that `tensorize` may name. */
  readonly intrinsics?: readonly TensorIntrinsic[];
  /** Verify the function after each primitive. Default false. */
  readonly verify?: boolean;
}

/** A choice that stands in a trace by its name: replay with another value changes what was made of it. */
export interface Choice<T extends ChoiceValue = ChoiceValue> {
  readonly choice: string;
  readonly value: T;
}
/** A size: a number, a dim, or a choice of numbers. */
export type Size = number | Expr | Choice<number>;
/** How indices change: a function of index expressions, or the map as data. */
export type IndexMapLike = IndexMap | ((...indices: Expr[]) => readonly Expr[]);

/**
 * A schedule of one tensor function: primitives, each of which checks by dependence analysis that the meaning stays, and
 * records itself in a trace. Blocks, loops and buffers go by their names, which are unique. A primitive that cannot be
 * applied throws a diagnostic `schedule/…` that says what forbids it, and changes nothing.
 */
export class Schedule implements ScheduleChoices {
  #fn: TensorFunction;
  #root: string | null = null;
  readonly #exprs: Exprs;
  readonly #options: ScheduleOptions;
  readonly #steps: (TraceStep | ChoiceStep)[] = [];
  readonly #choices = new Map<string, ChoiceValue>();

  constructor(fn: TensorFunction, exprs: ExprBuilder, options: ScheduleOptions = {}) {
    this.#exprs = exprs as Exprs;
    this.#options = options;
    this.#fn = uniqueNames(fn, this.#exprs);
  }

  /** The function as scheduled so far. */
  get fn(): TensorFunction {
    return this.#fn;
  }
  /** What was done so far. */
  get trace(): Trace {
    return { version: 1, steps: [...this.#steps] };
  }

  /** A schedule in the same state, which goes its own way from here. */
  copy(): Schedule {
    const other = new Schedule(this.#fn, this.#exprs, this.#options);
    other.#root = this.#root;
    other.#steps.push(...this.#steps);
    for (const [name, value] of this.#choices) other.#choices.set(name, value);
    return other;
  }

  /** Applies a primitive by its name in traces, with arguments as data. Gives the names that it made or found. */
  apply(primitive: string, args: { readonly [name: string]: TraceValue }): readonly string[] {
    const run = (primitives as { readonly [name: string]: ((state: State, args: never) => Outcome) | undefined })[primitive];
    if (run === undefined) throw new TenonError({ code: 'schedule/unknown-primitive', message: `there is no schedule primitive ${primitive}` });
    const before = this.#state(primitive, this.#fn);
    const resolved: { [name: string]: unknown } = Object.fromEntries(Object.entries(args).map(([k, v]) => [k, this.#resolve(v)]));
    if (typeof resolved['intrinsic'] === 'string') resolved['intrinsic'] = this.#intrinsic(resolved['intrinsic']);
    const outcome = run(before, resolved as never);
    if (outcome.fn !== this.#fn) {
      const after = this.#state(primitive, outcome.fn);
      checkLegality(after, before);
      if (this.#options.verify === true) this.#verify(primitive, outcome.fn);
    }
    this.#fn = outcome.fn;
    if (outcome.root !== undefined) this.#root = outcome.root;
    this.#steps.push({ primitive, args, results: outcome.results });
    return outcome.results;
  }

  #state(primitive: string, fn: TensorFunction): State {
    return new State(primitive, fn, this.#exprs, this.#options.dims ?? new Map(), this.#root);
  }

  #verify(primitive: string, fn: TensorFunction): void {
    const found = verifyModule({ dims: new Map(), sources: new Map(), constants: new Map(), functions: new Map([[fn.name, fn]]) }, { exprs: this.#exprs, operator: () => undefined });
    if (found.length > 0) throw new TenonError({ code: 'schedule/invalid', message: `${primitive} made a function that does not verify: ${found[0]!.message}`, related: found });
  }

  #resolve(value: TraceValue): unknown {
    if (value === null || typeof value !== 'object') return value;
    if (isList(value)) return value.map((v) => this.#resolve(v));
    if ('record' in value) return Object.fromEntries(Object.entries(value.record).map(([k, v]) => [k, this.#resolve(v)]));
    if ('block' in value) return value.block;
    if ('loop' in value) return value.loop;
    if ('buffer' in value) return value.buffer;
    if ('expr' in value) {
      const parsed = parseExpr(value.expr, this.#exprs);
      return this.#exprs.simplify(parsed);
    }
    const known = this.#choices.get(value.choice);
    if (known === undefined) throw new TenonError({ code: 'schedule/choice', message: `no choice ${value.choice} was made` });
    return known;
  }

  // Choices.

  /** One of `values`, by name: the default, or what this schedule was told to take. */
  choose<T extends ChoiceValue>(name: string, values: readonly T[], byDefault: T): T {
    return this.sample(name, values, byDefault).value;
  }

  /** The same, as a choice that sizes may be made of: replay with another value then changes them, too. */
  sample<T extends ChoiceValue>(name: string, values: readonly T[], byDefault: T): Choice<T> {
    const fail = (message: string): never => {
      throw new TenonError({ code: 'schedule/choice', message });
    };
    if (this.#choices.has(name)) fail(`the choice ${name} is made twice`);
    if (!values.includes(byDefault)) fail(`the default ${byDefault} of ${name} is not among its values`);
    const told = this.#options.choices?.get(name);
    if (told !== undefined && !(values as readonly ChoiceValue[]).includes(told)) fail(`${told} is not among the values of ${name}: ${values.join(', ')}`);
    const value = (told as T | undefined) ?? this.#options.chooser?.choose(name, values, byDefault) ?? byDefault;
    this.#choices.set(name, value);
    this.#steps.push({ primitive: 'choose', name, values, value });
    return { choice: name, value };
  }

  #size(size: Size): TraceValue {
    if (typeof size === 'number') return size;
    return 'choice' in size ? { choice: size.choice } : { expr: printExpr(size) };
  }
  #map(map: IndexMapLike, rank: number): TraceValue {
    const inputs = typeof map === 'function' ? Array.from({ length: rank }, (_, k) => `index_${k}`) : map.inputs;
    const outputs = typeof map === 'function' ? map(...inputs.map((name) => this.#exprs.variable(name))) : map.outputs;
    return { record: { inputs: [...inputs], outputs: outputs.map((e) => ({ expr: printExpr(e) })) } };
  }

  // Questions.

  /** Checks that a block exists where the work goes on, and gives its name. */
  getBlock(name: string): string {
    return this.apply('get_block', { name: { block: name } })[0]!;
  }
  /** The loops around a block, outermost first. */
  getLoops(block: string): readonly string[] {
    return this.apply('get_loops', { block: { block } });
  }
  /** Blocks directly inside a block or loop, or where the work goes on. */
  getChildBlocks(of: { readonly block: string } | { readonly loop: string } | null = null): readonly string[] {
    return this.apply('get_child_blocks', of === null ? {} : 'block' in of ? { block: { block: of.block } } : { loop: { loop: of.loop } });
  }
  getProducers(block: string): readonly string[] {
    return this.apply('get_producers', { block: { block } });
  }
  getConsumers(block: string): readonly string[] {
    return this.apply('get_consumers', { block: { block } });
  }
  /** Looks for blocks inside this one from now on; null: in the whole function. */
  workOn(block: string | null): void {
    this.apply('work_on', { block: block === null ? null : { block } });
  }

  // Loops.

  /** A loop as nested loops; one factor may be null. With the tail `partition` a remainder gets a loop of its own, given last. */
  split(loop: string, factors: readonly (Size | null)[], options: { readonly tail?: 'predicate' | 'partition' } = {}): readonly string[] {
    return this.apply('split', { loop: { loop }, factors: factors.map((f) => (f === null ? null : this.#size(f))), tail: options.tail ?? 'predicate' });
  }
  /** Directly nested loops, given outermost first, as one. */
  fuse(...loops: readonly string[]): string {
    return this.apply('fuse', { loops: loops.map((loop) => ({ loop })) })[0]!;
  }
  /** Loops of one nest in this order. */
  reorder(...loops: readonly string[]): void {
    this.apply('reorder', { loops: loops.map((loop) => ({ loop })) });
  }
  /** Two loops over the same range, one directly behind the other, as one. */
  merge(first: string, second: string): string {
    return this.apply('merge', { first: { loop: first }, second: { loop: second } })[0]!;
  }
  /** A loop over several nests as one loop for each. */
  fission(loop: string): readonly string[] {
    return this.apply('fission', { loop: { loop } });
  }
  addUnitLoop(at: { readonly block: string } | { readonly loop: string }): string {
    return this.apply('add_unit_loop', 'block' in at ? { block: { block: at.block } } : { loop: { loop: at.loop } })[0]!;
  }
  /** A loop as up to three, the middle one without guards; or cut at given points. */
  loopPartition(loop: string, cuts: readonly Size[] | null = null): readonly string[] {
    return this.apply('loop_partition', { loop: { loop }, cuts: cuts === null ? null : cuts.map((c) => (typeof c === 'number' ? { expr: String(c) } : this.#size(c))) });
  }
  hoistGuards(loop: string): void {
    this.apply('hoist_guards', { loop: { loop } });
  }

  parallel(loop: string): void {
    this.apply('parallel', { loop: { loop } });
  }
  vectorize(loop: string): void {
    this.apply('vectorize', { loop: { loop } });
  }
  unroll(loop: string): void {
    this.apply('unroll', { loop: { loop } });
  }
  serial(loop: string): void {
    this.apply('serial', { loop: { loop } });
  }
  /** Binds a loop to a thread axis such as `blockIdx.x`. */
  bind(loop: string, thread: string): void {
    this.apply('bind', { loop: { loop }, thread });
  }
  /** Data for code generators. Values are plain: numbers, strings, booleans, null, and lists and records of them. */
  annotate(at: { readonly block: string } | { readonly loop: string }, key: string, value: AttrValue): void {
    this.apply('annotate', { ...this.#at(at), key, value: plainValue(value) });
  }
  unannotate(at: { readonly block: string } | { readonly loop: string }, key: string): void {
    this.apply('unannotate', { ...this.#at(at), key });
  }
  #at(at: { readonly block: string } | { readonly loop: string }): { readonly [name: string]: TraceValue } {
    return 'block' in at ? { block: { block: at.block } } : { loop: { loop: at.loop } };
  }

  // Memory.

  cacheRead(block: string, buffer: string, scope: string): { readonly block: string; readonly buffer: string } {
    return pair(this.apply('cache_read', { block: { block }, buffer: { buffer }, scope }));
  }
  cacheWrite(block: string, buffer: string, scope: string): { readonly block: string; readonly buffer: string } {
    return pair(this.apply('cache_write', { block: { block }, buffer: { buffer }, scope }));
  }
  reindex(block: string, buffer: string, access: 'read' | 'write'): { readonly block: string; readonly buffer: string } {
    return pair(this.apply('reindex', { block: { block }, buffer: { buffer }, access }));
  }
  transformLayout(buffer: string, map: IndexMapLike): void {
    const rank = typeof map === 'function' ? this.#state('transform_layout', this.#fn).buffer(buffer).shape.length : map.inputs.length;
    this.apply('transform_layout', { buffer: { buffer }, map: this.#map(map, rank) });
  }
  /** Gives the loops of the new nest. */
  transformBlockLayout(block: string, map: IndexMapLike): readonly string[] {
    const rank = typeof map === 'function' ? this.#state('transform_block_layout', this.#fn).block(block).block.iters.length : map.inputs.length;
    return this.apply('transform_block_layout', { block: { block }, map: this.#map(map, rank) });
  }
  reorderBlockIters(block: string, order: readonly number[]): void {
    this.apply('reorder_block_iters', { block: { block }, order: [...order] });
  }
  setScope(buffer: string, scope: string): void {
    this.apply('set_scope', { buffer: { buffer }, scope });
  }
  storageAlign(buffer: string, axis: number, factor: number, offset = 0): void {
    this.apply('storage_align', { buffer: { buffer }, axis, factor, offset });
  }

  // Where blocks compute.

  computeAt(block: string, loop: string): void {
    this.apply('compute_at', { block: { block }, loop: { loop } });
  }
  reverseComputeAt(block: string, loop: string): void {
    this.apply('reverse_compute_at', { block: { block }, loop: { loop } });
  }
  computeInline(block: string): void {
    this.apply('compute_inline', { block: { block } });
  }
  reverseComputeInline(block: string): void {
    this.apply('reverse_compute_inline', { block: { block } });
  }

  // Reductions.

  /** Gives the block that sets the initial value. */
  decomposeReduction(block: string, loop: string): string {
    return this.apply('decompose_reduction', { block: { block }, loop: { loop } })[0]!;
  }
  mergeReduction(init: string, block: string): void {
    this.apply('merge_reduction', { init: { block: init }, block: { block } });
  }
  unrollInit(block: string, loop: string): string {
    return this.apply('unroll_init', { block: { block }, loop: { loop } })[0]!;
  }
  /** Gives the block and the buffer of partial results. */
  rfactor(loop: string, axis: number): { readonly block: string; readonly buffer: string } {
    const [block, , buffer] = this.apply('rfactor', { loop: { loop }, axis });
    return { block: block!, buffer: buffer! };
  }
  padEinsum(block: string, padding: readonly Size[]): readonly string[] {
    return this.apply('pad_einsum', { block: { block }, padding: padding.map((p) => this.#size(p)) });
  }
  decomposePadding(block: string): string {
    return this.apply('decompose_padding', { block: { block } })[0]!;
  }

  // Tiles as blocks.

  blockize(loop: string): string {
    return this.apply('blockize', { loop: { loop } })[0]!;
  }
  /** Gives the block that the intrinsic stands for. */
  tensorize(at: { readonly block: string } | { readonly loop: string }, intrinsic: string): string {
    return this.apply('tensorize', { ...this.#at(at), intrinsic })[0]!;
  }
  #intrinsic(name: string): TensorIntrinsic {
    const found = this.#options.intrinsics?.find((i) => i.name === name);
    if (found === undefined) throw new TenonError({ code: 'schedule/no-intrinsic', message: `tensorize: no intrinsic ${name} is declared` });
    return found;
  }
}

function pair(results: readonly string[]): { readonly block: string; readonly buffer: string } {
  return { block: results[0]!, buffer: results[1]! };
}

function plainValue(value: AttrValue): TraceValue {
  if (value === null || typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean') return value;
  if (Array.isArray(value)) return (value as readonly AttrValue[]).map(plainValue);
  if (typeof value === 'bigint' || (value as Partial<Expr>).tag === 'expr') throw new TenonError({ code: 'schedule/annotation', message: 'annotate: values are numbers, strings, booleans, null, and lists and records of them' });
  return { record: Object.fromEntries(Object.entries(value as { readonly [key: string]: AttrValue }).map(([k, v]) => [k, plainValue(v)])) };
}
