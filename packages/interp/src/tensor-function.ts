import { TenonError, type Buffer, type Expr, type For, type HostTensor, type Stmt, type TensorFunction, type TypedArray } from '@tenon/plugin';
import { evaluateDim, visitExprs } from '@tenon/core';
import { zeros } from './host-tensor.ts';
import { compileScalar, type Evaluator, type Frame, type ScalarScope } from './scalar.ts';

interface Storage {
  buffer: Buffer;
  data: TypedArray | null;
  shape: number[];
}
type Action = (frame: Frame) => void;

/**
 * Runs a tensor function, statement by statement, with every index checked. `dims` gives values to dims that do not
 * follow from the shapes of inputs, and to the function's scalars. Outputs start as zeros, or as copies of the tensors
 * that `initial` gives by position: what an output that is an argument's memory holds already. Calls of `intrinsics` do what their
 * descriptions do.
 */
export function evaluateTensorFunction(
  fn: TensorFunction, inputs: readonly HostTensor[], dims: ReadonlyMap<string, number> = new Map(), initial: ReadonlyMap<number, HostTensor> = new Map(),
  intrinsics: ReadonlyMap<string, TensorFunction> = new Map(),
): HostTensor[] {
  const known = new Map(dims);
  fn.inputs.forEach((buffer, i) => {
    const tensor = inputs[i];
    if (tensor === undefined) throw new TenonError({ code: 'interp/arguments', message: `${fn.name}: input ${buffer.name} is missing` });
    if (tensor.dtype !== buffer.dtype || tensor.shape.length !== buffer.shape.length) {
      throw new TenonError({ code: 'interp/arguments', message: `${fn.name}: input ${buffer.name} is ${tensor.dtype} of rank ${tensor.shape.length}, not ${buffer.dtype} of rank ${buffer.shape.length}` });
    }
    buffer.shape.forEach((d, axis) => {
      if (d.op === 'var' && !known.has(d.value as string)) known.set(d.value as string, tensor.shape[axis]!);
    });
  });
  const program = new Program(fn, known, intrinsics);
  fn.inputs.forEach((buffer, i) => program.attach(buffer, inputs[i]!));
  const outputs = fn.outputs.map((buffer, i) => {
    const before = initial.get(i);
    const tensor = before === undefined ? zeros(buffer.dtype, program.shapeOf(buffer)) : { ...before, data: (before.data as TypedArray).slice() };
    program.attach(buffer, tensor);
    return tensor;
  });
  program.run();
  return outputs;
}

class Program implements ScalarScope {
  readonly #fn: TensorFunction;
  readonly #dims: ReadonlyMap<string, number>;
  readonly #intrinsics: ReadonlyMap<string, TensorFunction>;
  readonly #slots = new Map<string, number>();
  readonly #storage = new Map<string, Storage>();

  constructor(fn: TensorFunction, dims: ReadonlyMap<string, number>, intrinsics: ReadonlyMap<string, TensorFunction>) {
    this.#intrinsics = intrinsics;
    this.#fn = fn;
    this.#dims = dims;
  }

  shapeOf(buffer: Buffer): number[] {
    return buffer.shape.map((d) => evaluateDim(d, this.#dims));
  }

  attach(buffer: Buffer, tensor: HostTensor): void {
    const shape = this.shapeOf(buffer);
    if (shape.some((d, i) => d !== tensor.shape[i])) {
      throw new TenonError({ code: 'interp/arguments', message: `${this.#fn.name}: ${buffer.name} has shape [${tensor.shape.join(', ')}], not [${shape.join(', ')}]` });
    }
    this.#storage.set(buffer.name, { buffer, data: tensor.data as TypedArray, shape });
  }

  run(): void {
    for (const name of this.#dims.keys()) this.slotOf(name);
    const action = this.#compile(this.#fn.body);
    const slots: (number | bigint)[] = new Array<number | bigint>(this.#slots.size).fill(0);
    for (const [name, value] of this.#dims) slots[this.slotOf(name)] = value;
    action({ slots });
  }

  slotOf(name: string): number {
    let slot = this.#slots.get(name);
    if (slot === undefined) {
      slot = this.#slots.size;
      this.#slots.set(name, slot);
    }
    return slot;
  }

  #bufferStorage(name: string): Storage {
    const storage = this.#storage.get(name);
    if (storage === undefined) throw new TenonError({ code: 'interp/buffer', message: `${this.#fn.name}: ${name} is not a buffer in scope` });
    return storage;
  }

  #index(name: string, indices: readonly Evaluator[]): (frame: Frame) => number {
    const storage = this.#bufferStorage(name);
    const fnName = this.#fn.name;
    return (f) => {
      let at = 0;
      for (let axis = 0; axis < indices.length; axis++) {
        const i = Number(indices[axis]!(f));
        const extent = storage.shape[axis]!;
        if (!(i >= 0 && i < extent)) {
          throw new TenonError({ code: 'interp/out-of-bounds', message: `${fnName}: index ${i} on axis ${axis} of ${name}, which has extent ${extent}` });
        }
        at = at * extent + i;
      }
      return at;
    };
  }

  loader(name: string, indices: readonly Evaluator[]): Evaluator {
    const storage = this.#bufferStorage(name);
    const index = this.#index(name, indices);
    if (/^[iu]64$/.test(storage.buffer.dtype)) {
      return (f) => {
        const v = (storage.data as BigInt64Array)[index(f)]!;
        return v >= -9007199254740991n && v <= 9007199254740991n ? Number(v) : v;
      };
    }
    return (f) => (storage.data as Float32Array)[index(f)]!;
  }

  #scalar(e: Expr): Evaluator {
    return compileScalar(e, this);
  }

  /**
   * A call of an intrinsic: `name(operand…, stride…)`, each operand a load of its first element, then the strides of all in
   * elements. Operands are copied out of their buffers, and outputs back.
   */
  #intrinsic(call: Expr, description: TensorFunction): Action {
    const operands = [...description.inputs, ...description.outputs];
    let next = operands.length;
    const places = operands.map((operand, i) => {
      const load = call.args[i]!;
      const name = load.value as string;
      const storage = this.#bufferStorage(name);
      const shape = operand.shape.map((d) => evaluateDim(d, new Map()));
      const strides = shape.map(() => this.#scalar(call.args[next++]!));
      return { storage, shape, strides, first: this.#index(name, load.args.map((e) => this.#scalar(e))) };
    });
    const missing = (): never => {
      throw new TenonError({ code: 'interp/out-of-bounds', message: `${this.#fn.name}: ${String(call.value)} goes beyond an operand` });
    };
    return (f) => {
      const elements = places.map(({ storage, shape, strides, first }) => {
        let positions = [first(f)];
        shape.forEach((size, axis) => {
          const stride = Number(strides[axis]!(f));
          positions = positions.flatMap((p) => Array.from({ length: size }, (_, i) => p + i * stride));
        });
        return positions.every((p) => p >= 0 && p < storage.data!.length) ? positions : missing();
      });
      const tensors = places.map(({ storage, shape }, i): HostTensor => {
        const tensor = zeros(operands[i]!.dtype, shape);
        elements[i]!.forEach((p, k) => ((tensor.data as Float32Array)[k] = (storage.data as Float32Array)[p]!));
        return tensor;
      });
      const inputs = description.inputs.length;
      const results = evaluateTensorFunction(description, tensors.slice(0, inputs), new Map(), new Map(tensors.slice(inputs).map((t, i) => [i, t])), this.#intrinsics);
      results.forEach((result, i) => {
        const { storage } = places[inputs + i]!;
        elements[inputs + i]!.forEach((p, k) => ((storage.data as Float32Array)[p] = (result.data as Float32Array)[k]!));
      });
    };
  }

  /**
   * For the outermost reducing loop of a nest: runs the initial values alone, and says so, where the reduction domain is
   * empty. The result of an empty reduction is its initial value.
   */
  #emptyReduction(stmt: For): ((frame: Frame) => boolean) | null {
    const loops: For[] = [];
    let inner: Stmt = stmt;
    while (inner.kind === 'for') {
      loops.push(inner);
      inner = inner.body;
    }
    if (inner.kind !== 'block' || inner.init === null) return null;
    const spatial = inner.iters.filter((i) => i.type === 'spatial');
    const used = new Set<string>();
    for (const iter of spatial) visitExprs(iter.binding, (e) => void (e.op === 'var' && used.add(e.value as string)));
    if (used.has(stmt.variable)) return null;
    const reduced = new Set(loops.filter((l) => !used.has(l.variable)).map((l) => l.variable));
    const reducing = loops.filter((l) => reduced.has(l.variable)).map((l) => this.#scalar(l.extent));
    // Conditions that say nothing of the reduction guard the initial value, too.
    const guards = conjuncts(inner.predicate).filter((c) => !mentions(c, reduced));
    const first: Stmt = { ...inner, iters: spatial, predicate: null, init: null, body: inner.init };
    const guarded = guards.reduce<Stmt>((then, condition) => ({ kind: 'if', condition, then, otherwise: null }), first);
    const nest = loops.filter((l) => used.has(l.variable)).reduceRight<Stmt>((body, l) => ({ ...l, body }), guarded);
    const init = this.#compile(nest);
    return (f) => {
      if (!reducing.some((extent) => extent(f) == 0)) return false;
      init(f);
      return true;
    };
  }

  #compile(stmt: Stmt): Action {
    switch (stmt.kind) {
      case 'seq': {
        const actions = stmt.body.map((s) => this.#compile(s));
        return (f) => {
          for (const action of actions) action(f);
        };
      }
      case 'for': {
        const slot = this.slotOf(stmt.variable);
        const extent = this.#scalar(stmt.extent);
        const body = this.#compile(stmt.body);
        const whenEmpty = this.#emptyReduction(stmt);
        return (f) => {
          const end = Number(extent(f));
          if (whenEmpty?.(f)) return;
          for (let i = 0; i < end; i++) {
            f.slots[slot] = i;
            body(f);
          }
        };
      }
      case 'block': {
        const bindings = stmt.iters.map((iter) => ({ slot: this.slotOf(iter.name), value: this.#scalar(iter.binding), reduce: iter.type === 'reduce' }));
        const predicate = stmt.predicate === null ? null : this.#scalar(stmt.predicate);
        const init = stmt.init === null ? null : this.#compile(stmt.init);
        const body = this.#compile(stmt.body);
        return (f) => {
          if (predicate !== null && !predicate(f)) return;
          let first = true;
          for (const { slot, value, reduce } of bindings) {
            const v = value(f);
            f.slots[slot] = v;
            if (reduce && v != 0) first = false;
          }
          if (init !== null && first) init(f);
          body(f);
        };
      }
      case 'store': {
        const storage = this.#bufferStorage(stmt.buffer);
        const index = this.#index(stmt.buffer, stmt.indices.map((i) => this.#scalar(i)));
        const value = this.#scalar(stmt.value);
        if (/^[iu]64$/.test(storage.buffer.dtype)) return (f) => void ((storage.data as BigInt64Array)[index(f)] = BigInt(value(f)));
        return (f) => void ((storage.data as Float32Array)[index(f)] = value(f) as number);
      }
      case 'alloc': {
        const storage: Storage = { buffer: stmt.buffer, data: null, shape: [] };
        const before = this.#storage.get(stmt.buffer.name);
        this.#storage.set(stmt.buffer.name, storage);
        const shape = stmt.buffer.shape.map((d) => this.#scalar(d));
        const body = this.#compile(stmt.body);
        if (before !== undefined) this.#storage.set(stmt.buffer.name, before);
        return (f) => {
          storage.shape = shape.map((d) => Number(d(f)));
          storage.data = zeros(stmt.buffer.dtype, storage.shape).data;
          body(f);
        };
      }
      case 'let': {
        const slot = this.slotOf(stmt.variable);
        const value = this.#scalar(stmt.value);
        const body = this.#compile(stmt.body);
        return (f) => {
          f.slots[slot] = value(f);
          body(f);
        };
      }
      case 'if': {
        const condition = this.#scalar(stmt.condition);
        const then = this.#compile(stmt.then);
        const otherwise = stmt.otherwise === null ? null : this.#compile(stmt.otherwise);
        return (f) => {
          if (condition(f)) then(f);
          else otherwise?.(f);
        };
      }
      case 'while': {
        const condition = this.#scalar(stmt.condition);
        const body = this.#compile(stmt.body);
        return (f) => {
          while (condition(f)) body(f);
        };
      }
      case 'evaluate': {
        // What is fetched ahead must be there; fetching it changes nothing.
        const { value: call } = stmt;
        const description = call.op === 'call' ? this.#intrinsics.get(call.value as string) : undefined;
        if (description !== undefined) return this.#intrinsic(call, description);
        const value = this.#scalar(call.op === 'call' && call.value === 'prefetch' ? call.args[0]! : call);
        return (f) => void value(f);
      }
    }
  }
}

function conjuncts(condition: Expr | null): readonly Expr[] {
  if (condition === null) return [];
  return condition.op === 'and' ? condition.args.flatMap(conjuncts) : [condition];
}

function mentions(e: Expr, variables: ReadonlySet<string>): boolean {
  let found = false;
  visitExprs(e, (x) => void (x.op === 'var' && variables.has(x.value as string) && (found = true)));
  return found;
}
