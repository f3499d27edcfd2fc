import type { AttrValue, Binding, Buffer, BufferRegion, ConstantDecl, Context, Expr, GraphFunction, IRModule, Pass, PassContext, Scope, Stmt, TensorFunction, TensorType, Value } from '@tenon/plugin';
import { hashFunction, mapChildren, mapExpressions, seq, type Exprs } from '@tenon/core';
import { computeInline, declaredBuffers, declaredVariables, inlinable, Names, renameStmt } from '@tenon/schedule';
import { withScalars } from '../free-dims.ts';
import { dimScope, freshName, graphFunctions } from '../graph.ts';
import { attrKey } from '../passes/common-subexpressions.ts';
import { sourceFunction } from './source.ts';
import { summarize, type Summary } from './access.ts';
import { groupBindings, type Group } from './group.ts';
import { apart, bridgesOf, spreadMovements } from './views.ts';

/**
 * Turns the operators of kernel regions into kernels: tensor functions of one or several operators each. Where a target
 * `keepsSources`, every kernel names the graph function of its operators, for libraries to match in.
 */
export function fusePass(keepsSources: (target: string) => boolean): Pass {
  return {
    name: 'fuse-operators',
    phase: 'fuse',
    doc: 'Groups operators into kernels and writes each kernel as one tensor function.',
    run: (module, ctx) => fuseModule(module, ctx, ctx.target !== null && keepsSources(ctx.target.name)),
  };
}

interface Definition {
  readonly fn: TensorFunction;
  readonly summary: Summary;
}

function fuseModule(module: IRModule, ctx: PassContext, keepSources: boolean): IRModule {
  if (ctx.target?.form !== 'kernels') return module;
  const state = startFusion(module, ctx, keepSources);
  const { functions } = state;
  for (const fn of graphFunctions(module)) {
    if (fn.attrs['target'] === ctx.target.name) functions.set(fn.name, fuseFunction(fn, state));
  }
  return { ...module, functions };
}

/** Starts fusing functions of a module. Kernels may be shared with `known` ones. */
export function startFusion(module: IRModule, ctx: Context, keepSources: boolean, known: Iterable<TensorFunction> = []): Fusion {
  const byHash = new Map(Array.from(known, (fn) => [hashFunction(fn), fn.name]));
  return { ctx, module, functions: new Map(module.functions), dims: dimScope(module), definitions: new Map(), byHash, names: new Map(), keepSources };
}

export interface Fusion {
  readonly ctx: Context;
  readonly module: IRModule;
  readonly functions: Map<string, GraphFunction | TensorFunction>;
  readonly dims: Scope;
  /** Definitions by operator, argument types and attributes. */
  readonly definitions: Map<string, Definition>;
  /** Kernels by structure: equal kernels are one function. */
  readonly byHash: Map<string, string>;
  readonly names: Map<string, number>;
  readonly keepSources: boolean;
}

export function fuseFunction(fn: GraphFunction, state: Fusion): GraphFunction {
  const { ctx } = state;
  const own = new Map<Binding, Definition>();
  const define = (binding: Binding): void => {
    if (binding.kind === 'op' && !ctx.facet(binding.callee, 'view')) own.set(binding, defineCall(binding, state));
  };
  fn.bindings.forEach(define);
  const kept = new Set<Binding>();
  for (;;) {
    const spread = spreadMovements(fn, (b) => own.get(b)?.summary, kept, ctx);
    for (const binding of spread.fn.bindings) if (!own.has(binding)) define(binding);
    const definitions = new Map(own);
    const groups = groupAround(spread.fn, definitions, state);
    const groupOf = new Map(groups.flatMap((g) => g.members.map((m) => [m, g] as const)));
    const failed = apart(spread, (a, b) => groupOf.has(a) && groupOf.get(a) === groupOf.get(b));
    if (failed.size === 0) return kernelCalls(spread.fn, groups, definitions, state);
    for (const binding of failed) kept.add(binding);
  }
}

function kernelCalls(fn: GraphFunction, groups: readonly Group[], definitions: ReadonlyMap<Binding, Definition>, state: Fusion): GraphFunction {
  const groupAt = new Map<Binding, Group>();
  for (const group of groups) groupAt.set(group.members.at(-1)!, group);
  const out: Binding[] = [];
  for (const binding of fn.bindings) {
    const group = groupAt.get(binding);
    if (group !== undefined) out.push(kernelCall(group, definitions, state));
    else if (!definitions.has(binding)) out.push(binding);
  }
  return { ...fn, bindings: out };
}

/**
 * Groups the operators. Views are no operators: they cost nothing where they are. But one between injective work and its only user
 * would keep the two apart; such views take part, unless they would then stand at the edge of a kernel and become a copy.
 */
function groupAround(fn: GraphFunction, definitions: Map<Binding, Definition>, state: Fusion): readonly Group[] {
  const bridges = bridgesOf(fn, (b) => definitions.get(b)?.summary, state.ctx);
  for (const { view } of bridges) definitions.set(view, defineCall(view, state));
  for (;;) {
    const groups = groupBindings(
      fn,
      (b) => definitions.get(b)?.summary ?? null,
      (b) => definitions.get(b)!.fn.inputs.map((i) => i.name),
    );
    const groupOf = new Map(groups.flatMap((g) => g.members.map((m) => [m, g] as const)));
    const useless = bridges.filter(({ view, producer }) => definitions.has(view) && (groupOf.get(view) !== groupOf.get(producer) || groupOf.get(view)!.members.at(-1) === view));
    if (useless.length === 0) return groups;
    for (const { view } of useless) definitions.delete(view);
  }
}

/** The tensor-level definition of a call. Arguments of equal type share one definition, whatever their values. */
function defineCall(binding: Binding, state: Fusion): Definition {
  const { ctx, module } = state;
  const types = binding.args.map((a) => (a === null ? null : (a.type as TensorType)));
  const contents = (i: number) => integerContents(binding.args[i] ?? null, module, ctx);
  const typeKey = (t: TensorType | null): string => (t === null ? '_' : `${t.dtype}[${t.shape.map((d) => d.id).join()}]`);
  const key = `${binding.callee}(${types.map(typeKey).join()})${attrKey(binding.attrs)}${binding.args.map((_, i) => contents(i)?.map((e) => e.id).join(' ') ?? '').join(';')}`;
  let definition = state.definitions.get(key);
  if (definition === undefined) {
    const fn = ctx.define(binding.callee.replace(/^.*\./, ''), binding.callee, types, binding.attrs, contents);
    if (fn === null) {
      return ctx.fail({
        code: 'fuse/no-definition', op: binding.callee, loc: binding.loc,
        message: `${binding.callee} has no tensor-level definition for this call, and does not decompose`,
      });
    }
    definition = { fn, summary: summarize(fn, ctx.exprs, state.dims) };
    state.definitions.set(key, definition);
  }
  return definition;
}

function integerContents(value: Value | null, module: IRModule, ctx: Context) {
  if (value === null || !value.constant || value.type.kind !== 'tensor' || !/^[iu]\d|^bool$/.test(value.type.dtype)) return null;
  const decl: ConstantDecl | undefined = module.constants.get(value.name);
  return decl?.data.kind === 'inline' ? decl.data.values.map((v) => ctx.exprs.int(v)) : null;
}

/** The kernel binding of a group; its function is added unless an equal one exists. */
function kernelCall(group: Group, definitions: ReadonlyMap<Binding, Definition>, state: Fusion): Binding {
  const last = group.members.at(-1)!;
  const { fn: literal, args } = spellOutScalars(group.members.length === 1 ? single(last, definitions.get(last)!) : combine(group, definitions, state), state);
  const constants = args.flatMap((arg, i) => (arg.constant ? [i] : []));
  // Schedules may ask for another layout of inputs that are constant at every call.
  const fn = withScalars(constants.length === 0 ? literal : { ...literal, attrs: { ...literal.attrs, constants } });
  const hash = hashFunction(fn);
  let name = state.byHash.get(hash);
  if (name === undefined) {
    name = freshName(state.functions, fn.name, state.names);
    state.byHash.set(hash, name);
    state.functions.set(name, { ...fn, name });
  }
  const locs: AttrValue[] = group.members.map((m) => m.loc ?? `%${m.results[0]!.name}`);
  return {
    kind: 'kernel', callee: name, args, scalars: fn.scalars.map((d) => state.ctx.exprs.variable(d)), results: last.results, effects: null, loc: last.loc,
    attrs: { ops: group.members.map((m) => m.callee), locs, ...(state.keepSources ? { source: keepSource(name, group.members, args, state) } : {}) },
  };
}

function keepSource(kernel: string, members: readonly Binding[], args: readonly Value[], state: Fusion): string {
  const source = sourceFunction(freshName(state.functions, `${kernel}_ops`, state.names), members, args, members.at(-1)!.results);
  state.functions.set(source.name, source);
  return source.name;
}

function single(binding: Binding, definition: Definition): { fn: TensorFunction; args: Value[] } {
  return { fn: definition.fn, args: binding.args.filter((a) => a !== null) };
}

/** Constants of one element become literals in the kernel. */
function spellOutScalars(kernel: { fn: TensorFunction; args: Value[] }, state: Fusion): { fn: TensorFunction; args: Value[] } {
  const { exprs } = state.ctx;
  const literals = new Map<string, Expr>();
  kernel.args.forEach((arg, i) => {
    const data = arg.constant ? state.module.constants.get(arg.name)?.data : undefined;
    const buffer = kernel.fn.inputs[i]!;
    if (data?.kind === 'inline' && data.values.length === 1) literals.set(buffer.name, exprs.constant(data.values[0]!, buffer.dtype));
  });
  if (literals.size === 0) return kernel;
  const expr = (e: Expr): Expr => (exprs as Exprs).transform(e, (x) => (x.op === 'load' ? (literals.get(x.value as string) ?? x) : x));
  const strip = (regions: readonly BufferRegion[]): readonly BufferRegion[] => regions.filter((r) => !literals.has(r.buffer));
  const visit = (s: Stmt): Stmt => {
    const inside = mapChildren(s, visit);
    return inside.kind === 'block' ? { ...inside, reads: strip(inside.reads) } : inside;
  };
  return {
    fn: { ...kernel.fn, inputs: kernel.fn.inputs.filter((b) => !literals.has(b.name)), body: visit(mapExpressions(kernel.fn.body, expr)) },
    args: kernel.args.filter((_, i) => !literals.has(kernel.fn.inputs[i]!.name)),
  };
}

/** One function for a group: the members' stages one after the other, intermediate results inlined where they can be. */
function combine(group: Group, definitions: ReadonlyMap<Binding, Definition>, state: Fusion): { fn: TensorFunction; args: Value[] } {
  const names = new Names();
  const taken = new Set<string>();
  const bufferName = (base: string): string => {
    let name = base;
    for (let n = 1; taken.has(name); n++) name = `${base}${n}`;
    taken.add(name);
    return name;
  };
  const last = group.members.at(-1)!;
  const buffers = new Map<Value | string, Buffer>();
  const args: Value[] = [];
  const temporaries: Buffer[] = [];
  const outputs: Buffer[] = [];
  const bodies: Stmt[] = [];
  for (const member of group.members) {
    const { fn } = definitions.get(member)!;
    const rename = new Map<string, string>();
    let i = 0;
    for (const arg of member.args) {
      if (arg === null) continue;
      const formal = fn.inputs[i++]!;
      const key = arg.constant ? `@${arg.name}` : arg;
      let buffer = buffers.get(key);
      if (buffer === undefined) {
        buffer = { ...formal, name: bufferName(formal.name) };
        buffers.set(key, buffer);
        args.push(arg);
      }
      rename.set(formal.name, buffer.name);
    }
    member.results.forEach((result, r) => {
      const formal = fn.outputs[r]!;
      const buffer = { ...formal, name: bufferName(formal.name) };
      buffers.set(result, buffer);
      rename.set(formal.name, buffer.name);
      if (member === last) outputs.push(buffer);
      else temporaries.push(buffer);
    });
    let body = fn.body;
    while (body.kind === 'alloc') {
      const buffer = { ...body.buffer, name: bufferName(body.buffer.name) };
      rename.set(body.buffer.name, buffer.name);
      temporaries.push(buffer);
      body = body.body;
    }
    for (const local of declaredBuffers(body)) rename.set(local.name, bufferName(local.name));
    const variables = new Map(declaredVariables(body).map((v) => [v, names.fresh(v.replace(/_\d+$/, ''))]));
    bodies.push(renameStmt(state.ctx.exprs, body, variables, rename));
  }
  const inputs = args.map((arg) => buffers.get(arg.constant ? `@${arg.name}` : arg)!);
  let body = seq(bodies);
  for (const buffer of [...temporaries].reverse()) body = { kind: 'alloc', buffer, body };
  const fn: TensorFunction = {
    kind: 'tensor', name: groupName(group), inputs, outputs, scalars: [], body, attrs: {},
  };
  const intermediate = new Set(group.members.flatMap((m) => (m === last ? [] : m.results.map((r) => buffers.get(r)!.name))));
  const inlined = [...inlinable(fn)].filter((name) => intermediate.has(name));
  return { fn: computeInline(fn, inlined, state.ctx.exprs, state.dims), args };
}

function groupName(group: Group): string {
  const parts = group.members.map((m) => m.callee.replace(/^.*\./, ''));
  return parts.length <= 4 ? parts.join('_') : `${parts.slice(0, 3).join('_')}_and_${parts.length - 3}`;
}
