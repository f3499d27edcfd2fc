import { encodeDim, type ArenaInfo, type DimInfo, type DimProgram, type EntryInfo, type Instruction, type ParamInfo, type ResultInfo, type ValueInfo } from '@tenon/artifact';
import type { Context, Expr, GraphFunction, IRModule, TensorType, Value } from '@tenon/plugin';
import { dimScope } from '../graph.ts';
import { planArena } from '../memory/arena.ts';
import { tensorType } from '../memory/plan-region.ts';

/** What the entry's program needs to know of a region. */
export interface LinkedRegion {
  readonly index: number;
  /** Names of the region's dims, in the order in which calls pass them. */
  readonly dims: readonly string[];
  /** The device on which its arguments and results live. */
  readonly device: number;
}

interface Register {
  readonly value: Value;
  readonly device: number;
  storage: ValueInfo['storage'] | null;
  first: number;
  last: number;
}

/** The program of the entry function: a call per region, with copies where values cross devices. */
export function linkEntry(
  fn: GraphFunction, module: IRModule, ctx: Context, regions: ReadonlyMap<string, LinkedRegion>, constantIndex: (name: string) => number, devices: number,
): EntryInfo {
  const registers: Register[] = [];
  const program: Instruction[] = [];
  /** The register that holds a value on a device. */
  const where = new Map<Value, Map<number, number>>();
  let step = 0;
  const add = (value: Value, device: number, storage: Register['storage']): number => {
    const index = registers.push({ value, device, storage, first: step, last: step }) - 1;
    if (!value.constant) {
      const places = where.get(value) ?? new Map<number, number>();
      places.set(device, index);
      where.set(value, places);
    }
    return index;
  };
  const constantRegisters = new Map<string, number>();
  /** Values that leave the entry, with the result that they are first. */
  const results = new Map<Value, number>();
  fn.results.forEach((r, index) => {
    if (!r.constant && !fn.params.includes(r) && !results.has(r)) results.set(r, index);
  });
  const onDevice = (value: Value, device: number): number => {
    if (value.constant) {
      const key = `${value.name} ${device}`;
      let index = constantRegisters.get(key);
      if (index === undefined) {
        index = add(value, device, { kind: 'constant', index: constantIndex(value.name) });
        constantRegisters.set(key, index);
      }
      return index;
    }
    const places = where.get(value)!;
    let index = places.get(device);
    if (index === undefined) {
      const from = places.values().next().value!;
      step++;
      const result = device === 0 ? results.get(value) : undefined;
      index = add(value, device, result === undefined ? null : { kind: 'result', index: result });
      registers[from]!.last = step;
      program.push({ op: 'copy', from, to: index });
    }
    return index;
  };

  fn.params.forEach((param, index) => add(param, 0, { kind: 'param', index }));
  for (const binding of fn.bindings) {
    const region = regions.get(binding.callee);
    if (binding.kind !== 'region' || region === undefined) {
      ctx.fail({ code: 'link/binding', message: `@${fn.name}: ${binding.kind} ${binding.callee} is not part of any region`, loc: binding.loc });
    }
    const args = binding.args.map((a) => onDevice(a!, region.device));
    step++;
    for (const a of args) registers[a]!.last = step;
    const made = binding.results.map((r) => {
      const index = results.get(r);
      return add(r, region.device, index !== undefined && region.device === 0 ? { kind: 'result', index } : null);
    });
    program.push({
      op: 'call', region: region.index, args, results: made, runDims: [],
      dims: region.dims.map((name) => encodeDim(ctx.exprs.variable(name))),
    });
  }
  const returned = fn.results.map((r, index): number => {
    const home = onDevice(r, 0);
    const { storage } = registers[home]!;
    if (storage?.kind === 'result' && storage.index === index) return home;
    // A parameter, a constant, or a value returned twice.
    step++;
    registers[home]!.last = step;
    const copy = registers.push({ value: r, device: 0, storage: { kind: 'result', index }, first: step, last: step }) - 1;
    program.push({ op: 'copy', from: home, to: copy });
    return copy;
  });
  program.push({ op: 'return', values: returned });

  const dims = dimScope(module);
  const used = mentionedDims(fn, regions, ctx);
  const hint = (name: string): number => module.dims.get(name)?.hint ?? 64;
  const arenas: ArenaInfo[] = [];
  for (let device = 0; device < devices; device++) {
    const mine = registers.filter((r) => r.storage === null && r.device === device);
    if (mine.length === 0) continue;
    const arena = planArena(mine.map((r) => ({ bytes: ctx.bytesOf(tensorType(r.value.type)), first: r.first, last: r.last })), ctx.exprs, dims, hint);
    mine.forEach((r, i) => {
      r.storage = { kind: 'arena', arena: arenas.length, offset: encodeDim(arena.offsets[i]!) };
    });
    arenas.push({ device, bytes: encodeDim(arena.bytes) });
  }
  const shape = (t: TensorType): DimProgram[] => t.shape.map(encodeDim);
  return {
    name: fn.name,
    params: fn.params.map((p): ParamInfo => {
      const t = tensorType(p.type);
      return { name: p.name, dtype: t.dtype, shape: shape(t), contents: contentsOf(t, used, ctx)?.map((e) => (e === null ? null : encodeDim(e))) ?? null };
    }),
    results: fn.results.map((r, i): ResultInfo => {
      const t = tensorType(r.type);
      return { name: fn.resultNames[i] ?? r.name, dtype: t.dtype, shape: shape(t) };
    }),
    dims: boundDims(fn, module, used, ctx),
    values: registers.map((r): ValueInfo => {
      const t = tensorType(r.value.type);
      return { dtype: t.dtype, shape: shape(t), bytes: encodeDim(ctx.bytesOf(t)), device: r.device, storage: r.storage! };
    }),
    arenas,
    program,
  };
}

/** Dims that shapes or regions of the entry mention. */
function mentionedDims(fn: GraphFunction, regions: ReadonlyMap<string, LinkedRegion>, ctx: Context): ReadonlySet<string> {
  const used = new Set<string>();
  for (const region of regions.values()) region.dims.forEach((d) => used.add(d));
  for (const value of [...fn.params, ...fn.results, ...fn.bindings.flatMap((b) => b.results)]) {
    for (const d of tensorType(value.type).shape) ctx.exprs.variables(d).forEach((name) => used.add(name));
  }
  return used;
}

/**
 * The dims that a parameter's elements bind, null for elements that decide nothing; null where none does: then the
 * parameter is data like any other, with no limit on its values.
 */
function contentsOf(type: TensorType, used: ReadonlySet<string>, ctx: Context): readonly (Expr | null)[] | null {
  const contents = type.annotations['contents'];
  if (!Array.isArray(contents)) return null;
  const kept = (contents as readonly Expr[]).map((e) => (ctx.exprs.variables(e).some((name) => used.has(name)) ? e : null));
  return kept.some((e) => e !== null) ? kept : null;
}

/** How each dim gets its value from the arguments of a call. */
function boundDims(fn: GraphFunction, module: IRModule, used: ReadonlySet<string>, ctx: Context): readonly DimInfo[] {
  const bindings = new Map<string, DimInfo['binding']>();
  fn.params.forEach((p, param) => {
    const t = tensorType(p.type);
    t.shape.forEach((d, axis) => {
      if (d.op === 'var' && !bindings.has(d.value as string)) bindings.set(d.value as string, { kind: 'axis', param, axis });
    });
  });
  fn.params.forEach((p, param) => {
    contentsOf(tensorType(p.type), used, ctx)?.forEach((d, element) => {
      if (d?.op === 'var' && !bindings.has(d.value as string)) bindings.set(d.value as string, { kind: 'element', param, element });
    });
  });
  for (const name of used) {
    const decl = module.dims.get(name);
    if (bindings.has(name)) continue;
    if (decl?.binding === 'load') bindings.set(name, { kind: 'load' });
    else {
      ctx.fail({
        code: 'link/unbound-dim', message: `nothing gives the dim ${name} a value: no parameter has an axis of just that size, or an element that is just that dim`,
        hint: 'Give a parameter an axis of this size, or fix the dim in the configuration.',
      });
    }
  }
  return [...bindings].map(([name, binding]) => {
    const decl = module.dims.get(name);
    return { name, min: decl?.min ?? 0, max: decl?.max ?? null, multipleOf: decl?.multipleOf ?? 1, binding };
  });
}
