import {
  TenonError,
  type Attrs, type AttrValue, type Binding, type Context, type Expr, type GraphFunction, type IRModule, type Launch, type PlannedBuffer, type RegionPlan, type Scope,
  type Storage, type TensorFunction, type TensorType, type Type, type Value,
} from '@tenon/plugin';
import { FunctionBody } from '@tenon/core';
import { lower } from '@tenon/schedule';
import { freeDims } from '../free-dims.ts';
import { externOf } from '../dispatch/extern.ts';
import { dimScope } from '../graph.ts';
import { placedOf } from '../layout/parts.ts';
import { planArena } from './arena.ts';
import { flopsOf, flopsOfOperators } from './flops.ts';
import { inPlacePairs } from './in-place.ts';

/** A planned region, and kernels that planning had to add (copies of parameters that are results). */
export interface PlannedRegion {
  readonly plan: RegionPlan;
  readonly functions: ReadonlyMap<string, TensorFunction>;
}

/** Memory that one or several values of a region share. */
interface Root {
  readonly value: Value;
  storage: Storage | null;
  first: number;
  last: number;
  /** Uses to come of the values in it. */
  uses: number;
}

/** A launch to be: of a tensor function, or of a library's routine. */
interface Step {
  readonly binding: Binding;
  /** null: a routine. */
  readonly fn: TensorFunction | null;
  /** The routine's own memory. */
  readonly workspace: Value | null;
}

/** Gives every value of a kernel region its memory, and lists its launches. */
export function planRegion(fn: GraphFunction, module: IRModule, ctx: Context): PlannedRegion {
  return new RegionPlanner(fn, module, ctx).plan();
}

class RegionPlanner {
  readonly #fn: GraphFunction;
  readonly #ctx: Context;
  readonly #dims: Scope;
  readonly #module: IRModule;
  readonly #roots = new Map<Value, Root>();
  readonly #constants: string[] = [];
  readonly #constantRoots = new Map<string, Root>();
  readonly #functions = new Map<string, TensorFunction>();
  readonly #steps: Step[] = [];

  constructor(fn: GraphFunction, module: IRModule, ctx: Context) {
    this.#fn = fn;
    this.#ctx = ctx;
    this.#module = module;
    this.#dims = dimScope(module);
  }

  plan(): PlannedRegion {
    const { exprs } = this.#ctx;
    this.#fn.params.forEach((param, index) => {
      this.#roots.set(param, { value: param, storage: { kind: 'argument', index }, first: -1, last: Infinity, uses: 0 });
    });
    const uses = this.#countUses();
    for (const binding of this.#fn.bindings) this.#visit(binding, uses);
    this.#assignResults();
    const roots = [...new Set(this.#roots.values())];
    const free = roots.filter((r) => r.storage === null);
    const arena = planArena(
      free.map((r) => ({ bytes: this.#bytes(r.value), first: r.first, last: r.last })), exprs, this.#dims, (name) => this.#hint(name),
    );
    free.forEach((root, i) => {
      root.storage = { kind: 'workspace', offset: arena.offsets[i]! };
    });

    const buffers: PlannedBuffer[] = [];
    const bufferIndex = new Map<Value | string, number>();
    const indexOf = (value: Value): number => {
      const key = value.constant ? `@${value.name}` : value;
      let index = bufferIndex.get(key);
      if (index === undefined) {
        const type = tensorType(value.type);
        index = buffers.length;
        buffers.push({ name: value.name, dtype: type.dtype, shape: type.shape, bytes: this.#bytes(value), storage: this.#rootOf(value).storage! });
        bufferIndex.set(key, index);
      }
      return index;
    };
    const launches = this.#steps.map(({ binding, fn, workspace }): Launch => (fn === null ? this.#externLaunch(binding, workspace, indexOf) : {
      kernel: fn.name,
      args: [...binding.args.slice(0, fn.inputs.length), ...binding.results].map((v) => indexOf(v!)),
      scalars: freeDims(fn).map((name) => ({ name, value: binding.scalars[fn.scalars.indexOf(name)] ?? exprs.variable(name) })),
      locs: strings(binding.attrs['locs']),
      ops: strings(binding.attrs['ops']),
      flops: exprs.substitute(flopsOf(fn, exprs, this.#ctx.intrinsics()), new Map(fn.scalars.map((name, i) => [name, binding.scalars[i] ?? exprs.variable(name)]))),
      bytes: this.#touchedBytes(binding, fn),
    }));
    const dims = new Set<string>();
    const note = (e: Expr): void => exprs.variables(e).forEach((v) => dims.add(v));
    for (const buffer of buffers) {
      note(buffer.bytes);
      if (buffer.storage.kind === 'workspace') note(buffer.storage.offset);
    }
    for (const launch of launches) for (const s of launch.scalars) note(s.value);
    note(arena.bytes);
    return {
      functions: this.#functions,
      plan: {
        entry: this.#fn.name, dims: [...dims].sort(), runDims: [], params: this.#fn.params.length, results: this.#fn.results.length,
        constants: this.#constants, workspace: arena.bytes, buffers, launches,
      },
    };
  }

  #externLaunch(binding: Binding, workspace: Value | null, indexOf: (value: Value) => number): Launch {
    const { exprs } = this.#ctx;
    const { library, entry, source } = externOf(binding)!;
    const operators = this.#module.functions.get(source);
    const values = [...binding.args.filter((a) => a !== null), ...binding.results];
    return {
      kernel: binding.callee,
      extern: { library, entry, attrs: (binding.attrs['attrs'] ?? {}) as Attrs, workspace: workspace === null ? null : indexOf(workspace) },
      args: values.map(indexOf),
      scalars: binding.scalars.map((value, i) => ({ name: `s${i}`, value })),
      locs: strings(binding.attrs['locs']),
      ops: strings(binding.attrs['ops']),
      flops: operators?.kind === 'graph' ? flopsOfOperators(operators, this.#ctx) : exprs.int(0),
      bytes: values.map((v) => this.#bytes(v)).reduce((a, b) => exprs.add(a, b), exprs.int(0)),
    };
  }

  /** What a kernel reads and writes, without what others have written to memory that it updates. */
  #touchedBytes(binding: Binding, fn: TensorFunction): Expr {
    const { exprs } = this.#ctx;
    const { touched } = placedOf(fn);
    const read = fn.inputs.filter((_, i) => binding.effects?.mutates.includes(i) !== true);
    return [...read, ...fn.outputs].map((b) => {
      const shape = [...b.shape];
      for (const [axis, extent] of touched[b.name] ?? []) shape[axis] = exprs.int(extent);
      return this.#ctx.bytesOf({ dtype: b.dtype, shape });
    }).reduce((a, b) => exprs.add(a, b), exprs.int(0));
  }

  #hint(name: string): number {
    const dim = this.#module.dims.get(name);
    return dim?.hint ?? Math.min(dim?.max ?? 64, Math.max(dim?.min ?? 1, 64));
  }

  #bytes(value: Value): Expr {
    return this.#ctx.bytesOf(tensorType(value.type));
  }

  #rootOf(value: Value): Root {
    if (value.constant) {
      let root = this.#constantRoots.get(value.name);
      if (root === undefined) {
        root = { value, storage: { kind: 'constant', index: this.#constants.length }, first: -1, last: Infinity, uses: 0 };
        this.#constants.push(value.name);
        this.#constantRoots.set(value.name, root);
      }
      return root;
    }
    return this.#roots.get(value)!;
  }

  /** Uses of each value, counting being a result of the region. */
  #countUses(): Map<Value, number> {
    const uses = new Map<Value, number>();
    const use = (v: Value | null): void => {
      if (v !== null && !v.constant) uses.set(v, (uses.get(v) ?? 0) + 1);
    };
    for (const binding of this.#fn.bindings) binding.args.forEach(use);
    this.#fn.results.forEach(use);
    return uses;
  }

  #visit(binding: Binding, uses: ReadonlyMap<Value, number>): void {
    for (const arg of binding.args) if (arg !== null) this.#rootOf(arg).uses--;
    const place = (value: Value, root: Root): void => {
      this.#roots.set(value, root);
      root.uses += uses.get(value) ?? 0;
    };
    if (binding.kind === 'op') {
      // A view: the result is the argument's memory.
      place(binding.results[0]!, this.#rootOf(binding.args[0]!));
      return;
    }
    const kernel = this.#module.functions.get(binding.callee);
    const extern = externOf(binding);
    const fn = binding.kind === 'kernel' && kernel?.kind === 'tensor' ? kernel : null;
    if (fn === null && extern === null) {
      this.#ctx.fail({ code: 'memory/binding', message: `${this.#fn.name}: ${binding.kind} ${binding.callee} cannot be planned`, loc: binding.loc });
    }
    const step = this.#steps.length;
    const workspace = extern === null || extern.workspace === null ? null : this.#workspace(binding, extern.workspace, step);
    this.#steps.push({ binding, fn, workspace });
    for (const arg of binding.args) if (arg !== null) this.#rootOf(arg).last = Math.max(this.#rootOf(arg).last, step);
    binding.results.forEach((result, r) => {
      const alias = binding.effects?.aliases.find(([res]) => res === r);
      const root = alias !== undefined ? this.#rootOf(binding.args[alias[1]]!) : fn === null ? null : this.#takenOver(binding, fn, r);
      place(result, root ?? { value: result, storage: null, first: step, last: step, uses: 0 });
      this.#roots.get(result)!.last = Math.max(this.#roots.get(result)!.last, step);
    });
  }

  /** Memory that a routine has to itself while it runs. */
  #workspace(binding: Binding, bytes: Expr, step: number): Value {
    const value: Value = { name: `${binding.results[0]!.name}.workspace`, type: this.#ctx.types.tensor('u8', [bytes]), constant: false };
    this.#roots.set(value, { value, storage: null, first: step, last: step, uses: 0 });
    return value;
  }

  /** The memory of an argument that dies here and that the kernel may overwrite in place. */
  #takenOver(binding: Binding, kernel: TensorFunction, result: number): Root | null {
    for (const [output, input] of inPlacePairs(kernel)) {
      const arg = binding.args[input];
      if (output !== result || !arg || arg.constant) continue;
      const root = this.#rootOf(arg);
      if (root.storage !== null) continue;
      const twice = binding.args.some((a, i) => a !== null && i !== input && !a.constant && this.#rootOf(a) === root);
      const shared = binding.results.some((other, i) => i !== result && this.#roots.get(other) === root);
      if (root.uses === 0 && !twice && !shared && this.#bytes(root.value) === this.#bytes(binding.results[result]!)) return root;
    }
    return null;
  }

  /** Results get the caller's memory; a result that is somebody else's memory already is copied at the end. */
  #assignResults(): void {
    this.#fn.results.forEach((result, index) => {
      const root = this.#rootOf(result);
      if (root.storage === null && this.#bytes(root.value) === this.#bytes(result)) {
        root.storage = { kind: 'result', index };
        return;
      }
      const fn = this.#copyKernel(tensorType(result.type));
      const target: Value = { name: `${result.name}.copy${index}`, type: result.type, constant: false };
      root.last = Math.max(root.last, this.#steps.length);
      this.#roots.set(target, { value: target, storage: { kind: 'result', index }, first: this.#steps.length, last: Infinity, uses: 0 });
      this.#steps.push({
        binding: { kind: 'kernel', callee: fn.name, args: [result], scalars: [], attrs: { ops: [], locs: [] }, results: [target], effects: null, loc: null }, fn, workspace: null,
      });
    });
  }

  #copyKernel(type: TensorType): TensorFunction {
    const { exprs } = this.#ctx;
    const shape = [exprs.product(type.shape)];
    let n = 0;
    while (this.#module.functions.has(`copy_${n}`) || this.#functions.has(`copy_${n}`)) n++;
    const input = { name: 'x', dtype: type.dtype, shape, scope: 'global' };
    const output = { name: 'y', dtype: type.dtype, shape, scope: 'global' };
    const body = new FunctionBody(exprs, [input, output]);
    body.compute(output, (i) => body.load(input, i));
    const fn = lower(body.finish(`copy_${n}`, [input], [output]), exprs, this.#dims);
    this.#functions.set(fn.name, fn);
    return fn;
  }
}

export function tensorType(type: Type): TensorType {
  if (type.kind !== 'tensor') throw new TenonError({ code: 'type/not-a-tensor', message: `only tensors can be passed so far, not a ${type.kind}` });
  return type;
}

function strings(value: AttrValue | undefined): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}
