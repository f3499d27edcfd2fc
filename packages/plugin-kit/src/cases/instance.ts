/** Small graphs around a pattern: operator calls over leaves with concrete shapes. */
import { diagnosticOf, type Attrs, type Expr, type GraphFunction, type HostTensor, type IRModule, type TensorType, type Value } from '@tenon/plugin';
import type { Session } from '@tenon/core';
import { countOf, generator, isFloat, isInteger, numbersOf, randomTensor, type Regime } from '../tensors.ts';

export interface Leaf {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** The name that the pattern gives it. */
  readonly name: string | null;
  readonly constant: boolean;
  /** Given elements; otherwise random, from `range` where there is one. */
  readonly values: readonly (number | bigint)[] | null;
  readonly range: readonly [number, number] | null;
}

/** A leaf, or the first result of a call. */
export type Term = { readonly kind: 'leaf' | 'call'; readonly index: number };
export interface Call {
  readonly op: string;
  readonly args: readonly (Term | null)[];
  readonly attrs: Attrs;
  readonly name: string | null;
}

/** Calls stand after those whose results they use; the last is the root. */
export interface Instance {
  readonly leaves: readonly Leaf[];
  readonly calls: readonly Call[];
}

export const sameTerm = (a: Term | null, b: Term | null): boolean => a === b || (a !== null && b !== null && a.kind === b.kind && a.index === b.index);

export function describeInstance({ leaves, calls }: Instance): string {
  const attrs = (a: Attrs): string => {
    const entries = Object.entries(a).map(([k, v]) => `${k}: ${JSON.stringify(v, (_, x: unknown) => (typeof x === 'bigint' ? String(x) : x))}`);
    return entries.length === 0 ? '' : ` {${entries.join(', ')}}`;
  };
  const term = (t: Term | null): string => {
    if (t === null) return '_';
    if (t.kind === 'leaf') {
      const leaf = leaves[t.index]!;
      return `${leaf.constant ? 'constant ' : ''}${leaf.name ?? `x${t.index}`}: ${leaf.dtype}[${leaf.shape.join(', ')}]`;
    }
    const call = calls[t.index]!;
    return `${call.op}(${call.args.map(term).join(', ')})${attrs(call.attrs)}`;
  };
  return term({ kind: 'call', index: calls.length - 1 });
}

/** A key under which equal instances meet. */
export const keyOf = (instance: Instance): string => JSON.stringify(instance, (_, v: unknown) => (typeof v === 'bigint' ? `${v}n` : v));

const shapeKnown = (leaf: Leaf, session: Session): readonly Expr[] | null =>
  leaf.values !== null && (isInteger(leaf.dtype) || leaf.dtype === 'bool') ? leaf.values.map((v) => session.exprs.int(v)) : null;

/** The types of the calls' first results; null where inference refuses. `shapes` replaces leaves' shapes. */
export function typesOf(instance: Instance, session: Session, shapes?: readonly (readonly Expr[])[]): readonly TensorType[] | null {
  const leaves = instance.leaves.map((leaf, i) => session.types.tensor(leaf.dtype, shapes?.[i] ?? leaf.shape));
  const types: TensorType[] = [];
  try {
    for (const call of instance.calls) {
      const args = call.args.map((a) => (a === null ? null : a.kind === 'leaf' ? leaves[a.index]! : types[a.index]!));
      const contents = (i: number): readonly Expr[] | null => {
        const a = call.args[i];
        return a?.kind === 'leaf' && instance.leaves[a.index]!.constant ? shapeKnown(instance.leaves[a.index]!, session) : null;
      };
      const [type] = session.infer(call.op, args, call.attrs, contents);
      if (type?.kind !== 'tensor') return null;
      types.push(type);
    }
  } catch (error) {
    if (diagnosticOf(error) === null) return null;
    return null;
  }
  return types;
}

export const shapeOfType = (type: TensorType, session: Session): readonly number[] | null => {
  const shape = type.shape.map((d) => session.exprs.valueOf(d));
  return shape.includes(null) ? null : (shape as number[]);
};

/** Elements of a leaf. */
export function leafTensor(leaf: Leaf, index: number, seed: number, regime: Regime): HostTensor {
  const random = generator(seed * 31 + index + 1);
  const tensor = randomTensor(random, leaf.dtype, leaf.shape, regime, leaf.range);
  leaf.values?.forEach((v, i) => {
    (tensor.data as Float32Array)[i] = (/^[iu]64$/.test(leaf.dtype) ? BigInt(v) : Number(v)) as number;
  });
  return tensor;
}

/** A dim that stands for axes of leaves. */
export interface SymbolicAxes {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  readonly axes: readonly (readonly [leaf: number, axis: number])[];
  /** The axes' size is this many times the dim: what a model computes from its dims is no dim by itself. 1 if not given. */
  readonly times?: number;
}

/** Instances in one graph function `main`. Equal leaves (by `shareKey`) are one parameter. */
export class ModuleWriter {
  readonly #session: Session;
  readonly #seed: number;
  readonly #symbolic: readonly SymbolicAxes[];

  constructor(session: Session, seed: number, symbolic: readonly SymbolicAxes[] = []) {
    this.#session = session;
    this.#seed = seed;
    this.#symbolic = symbolic;
  }

  /**
   * The module. `results`: calls whose results leave it, the root's if not given; `every`: all results of the root, not
   * only its first. Parameters are `x0`, `x1`, … by leaf, constants left out.
   */
  write(instance: Instance, results: readonly number[] = [instance.calls.length - 1], every = false): { readonly module: IRModule; readonly main: GraphFunction; readonly calls: readonly Value[] } {
    const session = this.#session;
    const module = session.module();
    const dims = new Map(this.#symbolic.map(({ name, min, max }) => [name, module.dim({ name, min, max, hint: Math.min(64, max) })]));
    const shape = (i: number): (number | Expr)[] => instance.leaves[i]!.shape.map((d, axis) => {
      const symbolic = this.#symbolic.find(({ axes }) => axes.some(([l, a]) => l === i && a === axis));
      return symbolic === undefined ? d : session.exprs.mul(dims.get(symbolic.name)!, symbolic.times ?? 1);
    });
    const params = instance.leaves.flatMap((leaf, i) => (leaf.constant ? [] : [{ name: `x${i}`, type: session.types.tensor(leaf.dtype, shape(i)) }]));
    // A dim gets its value from an axis of just its size.
    const dimsAlone = this.#symbolic.filter((s) => s.times !== undefined).map((s) => ({ name: `of_${s.name}`, type: session.types.tensor('bool', [dims.get(s.name)!]) }));
    const b = module.graph('main', [...params, ...dimsAlone]);
    const byName = new Map(b.params.map((p) => [p.name, p]));
    const leaves = instance.leaves.map((leaf, i) => {
      if (!leaf.constant) return byName.get(`x${i}`)!;
      const tensor = leafTensor(leaf, i, this.#seed, 'mixed');
      const values = Array.from(/^(f16|bf16)$/.test(leaf.dtype) ? numbersOf(tensor) : (tensor.data as ArrayLike<number | bigint>));
      return b.constant(values, leaf.dtype, leaf.shape);
    });
    const calls: Value[] = [];
    let made: readonly Value[] = [];
    for (const [i, call] of instance.calls.entries()) {
      b.loc = `${call.op.split('.').at(-1)!}_${i}`;
      const args = call.args.map((a) => (a === null ? null : a.kind === 'leaf' ? leaves[a.index]! : calls[a.index]!));
      made = b.op(call.op, args, call.attrs);
      calls.push(made[0]!);
    }
    const values = [...results.map((r) => calls[r]!), ...(every ? made.slice(1) : [])];
    const main = b.finish(values, values.map((_, i) => `y${i}`));
    return { module: module.finish(), main, calls };
  }
}

/** The number of elements that an instance's leaves have together. */
export const sizeOf = (instance: Instance): number => instance.leaves.reduce((n, leaf) => n + countOf(leaf.shape), 0);

/** What bases are of one kind by. */
export const operatorsOf = ({ calls }: Instance): string => calls.map((c) => c.op).join();

/** Keeps elements that fit, and forgets the others. */
export function retype(leaf: Leaf, dtype: string): Leaf {
  const range: readonly [number, number] | null = leaf.range === null ? null : dtype === 'bool' ? [0, 1] : dtype.startsWith('u') ? [Math.max(0, leaf.range[0]), Math.max(1, leaf.range[1])] : leaf.range;
  const keep = isFloat(dtype) || (isInteger(dtype) && leaf.values?.every((v) => Number.isInteger(Number(v)) && (Number(v) >= 0 || !dtype.startsWith('u'))));
  return { ...leaf, dtype, range, values: keep ? leaf.values : null };
}

/** Drops leaves that no call uses. */
export function withoutUnused({ leaves, calls }: Instance): Instance {
  const used = leaves.map((_, i) => calls.some((c) => c.args.some((a) => sameTerm(a, { kind: 'leaf', index: i }))));
  const at = (i: number): number => used.slice(0, i).filter(Boolean).length;
  return {
    leaves: leaves.filter((_, i) => used[i]),
    calls: calls.map((c) => ({ ...c, args: c.args.map((a) => (a?.kind === 'leaf' ? { kind: 'leaf', index: at(a.index) } : a)) })),
  };
}
