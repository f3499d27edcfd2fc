/** First instances of a pattern, put together from the operators' own samples. */
import type { Attrs, OperatorSample, OpPattern, Pattern, TensorType } from '@tenon/plugin';
import type { Session } from '@tenon/core';
import { isFloat, isInteger } from '../tensors.ts';
import { keyOf, shapeOfType, typesOf, type Call, type Instance, type Leaf, type Term } from './instance.ts';

/** Seeds per pattern; nested ones are combined. */
const limits = { root: 40, nested: 8 } as const;

/** A tree under construction: like an instance, and the term that stands for the pattern's value. */
interface Part extends Instance {
  readonly value: Term;
}

export function seedsOf(pattern: Pattern, session: Session): readonly Instance[] {
  if (pattern.kind !== 'op') return [];
  const byOperator = operatorsOf(pattern, session).map((op) => partsOf(pattern, op, session));
  // Operators take turns, so that a limit leaves none of them out.
  const seeds = new Map<string, Instance>();
  const limit = Math.max(limits.root, 2 * byOperator.length);
  for (let i = 0; byOperator.some((parts) => parts.length > i) && seeds.size < limit; i++) {
    for (const parts of byOperator) {
      const part = parts[i];
      if (part !== undefined) seeds.set(keyOf(part), { leaves: part.leaves, calls: part.calls });
    }
  }
  return [...seeds.values()].slice(0, limit);
}

const operatorsOf = (pattern: OpPattern | Extract<Pattern, { kind: 'op' }>, session: Session): readonly string[] =>
  pattern.ops.includes('*') ? session.operators().map((o) => o.name) : pattern.ops.filter((op) => session.operator(op) !== undefined);

/** Calls to fall back to where an operator has no samples. */
function plainSamples(op: string, session: Session): readonly OperatorSample[] {
  const params = session.operator(op)!.signature.params.filter((p) => !p.endsWith('?'));
  const shapes = [[5, 7], [3, 4, 6], [6]];
  return ['f32', 'i32'].flatMap((dtype) => shapes.map((shape): OperatorSample => ({ args: params.map(() => ({ dtype, shape })) })));
}

/** Samples of an operator with so many arguments, most interesting first, and the same without their attributes, one of them second. */
function samplesOf(op: string, count: number | null, session: Session): readonly OperatorSample[] {
  const samples = session.facet(op, 'samples')?.() ?? [];
  const usable = samples.filter((s) => s.args.every((a) => a === null || (!a.shape.includes(0) && a.dtype !== 'string')));
  const all = (usable.length > 0 ? usable : plainSamples(op, session)).flatMap((s) => (count === null ? [s] : withArguments(s, count, op, session)));
  const plain = all.filter((s) => Object.keys(s.attrs ?? {}).length > 0).map((s): OperatorSample => ({ args: s.args }));
  const byInterest = (a: OperatorSample, b: OperatorSample): number => interest(b) - interest(a);
  const [first, ...rest] = all.sort(byInterest);
  // What attributes are by default shows where none is given: once early on.
  const [bare, ...others] = plain.sort(byInterest);
  return [first, bare, ...rest, ...others].filter((s) => s !== undefined);
}

/** A sample with fewer arguments or more, where those that it lacks or has too many may be left out. */
function withArguments(sample: OperatorSample, count: number, op: string, session: Session): readonly OperatorSample[] {
  const { args } = sample;
  const { params } = session.operator(op)!.signature;
  const optional = (i: number): boolean => params[i]?.endsWith('?') === true || params[i]?.endsWith('*') === true || (params[i] === undefined && params.at(-1)?.endsWith('*') === true);
  if (args.length === count) return [sample];
  if (args.length > count) return args.slice(count).every((_, i) => optional(count + i)) ? [{ ...sample, args: args.slice(0, count) }] : [];
  const missing = Array.from({ length: count - args.length }, (_, i) => args.length + i);
  if (!missing.every(optional)) return [];
  const sizes = new Set(args.flatMap((a) => a?.shape ?? []));
  const like = args.find((a) => a !== null);
  // Optional arguments are a vector mostly, a scalar, or like the first.
  const shapes = [...[...sizes].map((size) => [size]), [], like?.shape ?? []];
  const fits = shapes.map((shape): OperatorSample => ({ ...sample, args: [...args, ...missing.map(() => ({ dtype: like?.dtype ?? 'f32', shape }))] }));
  return fits.filter((s) => inferable(op, s, session)).slice(0, 2);
}

function inferable(op: string, { args, attrs }: OperatorSample, session: Session): boolean {
  try {
    session.infer(op, args.map((a) => a && session.types.tensor(a.dtype, a.shape)), attrs ?? {}, () => null);
    return true;
  } catch {
    return false;
  }
}

/** Matrices and more first, axes of different sizes first, with several attributes first: one shows what it does where others have given it something to do. */
const interest = (s: OperatorSample): number => {
  const shape = s.args[0]?.shape ?? [];
  const distinct = new Set(s.args.flatMap((a) => a?.shape ?? []).filter((d) => d > 1)).size;
  return Math.min(shape.length, 2) * 10 + distinct + Object.keys(s.attrs ?? {}).length - (shape.length > 3 ? 3 : 0) - (shape.includes(1) ? 2 : 0);
};

const leafOf = (dtype: string, shape: readonly number[], name: string | null, extra: Partial<Leaf> = {}): Leaf =>
  ({ dtype, shape, name, constant: false, values: null, range: null, ...extra });

const nameOf = (p: Pattern | undefined): string | null => (p !== undefined && 'name' in p ? p.name : null);

/** Ways to call `op` so that its result is what the pattern matches. */
function partsOf(pattern: Extract<Pattern, { kind: 'op' }>, op: string, session: Session): readonly Part[] {
  const { args } = pattern;
  const nested = (args ?? []).flatMap((p, i) => (p.kind === 'op' || p.kind === 'optional' ? [i] : []));
  const choices = nested.map((i) => nestedParts(args![i]!, session));
  const parts: Part[] = [];
  for (const sample of samplesOf(op, args?.length ?? null, session)) {
    if (args === null && pattern.name === null && parts.length > 24) break;
    if (args?.some((p, i) => p.kind !== 'any' && sample.args[i] === null)) continue;
    const attrs: Attrs = { ...sample.attrs, ...pattern.attrs };
    for (const combination of combinations(choices, 24)) {
      const inner = new Map(nested.map((at, i) => [at, combination[i]!]));
      const fitted = new Map([...inner].map(([at, part]) => [at, isPart(part) ? (fit(part, sample.args[at]?.shape, session) ?? part) : part]));
      const ways = [...fitted].some(([at, part]) => part !== inner.get(at)) ? [fitted, inner] : [inner];
      for (const way of ways) parts.push(...complete(op, attrs, sample, args, way, pattern.name, session));
    }
  }
  return parts.filter((p) => typesOf(p, session) !== null);
}

function nestedParts(pattern: Pattern, session: Session): readonly (Part | Pattern)[] {
  const calls = (p: Pattern): readonly (Part | Pattern)[] => {
    switch (p.kind) {
      case 'op': {
        const all = operatorsOf(p, session).map((op) => partsOf(p, op, session));
        const some: Part[] = [];
        for (let i = 0; some.length < limits.nested && all.some((parts) => parts.length > i); i++) some.push(...all.flatMap((parts) => parts.slice(i, i + 1)));
        return some;
      }
      case 'optional': return [...calls(p.op), ...calls(p.input)];
      default: return [p];
    }
  };
  return calls(pattern);
}

function combinations<T>(choices: readonly (readonly T[])[], limit: number): readonly (readonly T[])[] {
  let all: (readonly T[])[] = [[]];
  for (const choice of choices) {
    // Diagonals first, so that a limit keeps variety in every position.
    const next = all.flatMap((before, i) => choice.map((c, j) => ({ order: i + j, items: [...before, c] })));
    all = next.sort((a, b) => a.order - b.order).map((n) => n.items).slice(0, limit);
  }
  return all;
}

const isPart = (p: Part | Pattern): p is Part => 'calls' in p;

/** A nested call whose leaves are like its result, with the shape that the outer call's sample has there; null where that cannot be. */
function fit(part: Part, shape: readonly number[] | undefined, session: Session): Part | null {
  const before = typesOf(part, session)?.at(-1);
  const result = before === undefined ? null : shapeOfType(before, session);
  if (result === null || shape === undefined || result.join() === shape.join()) return null;
  const leaves = part.leaves.map((l) => (l.shape.join() === result.join() && !l.constant ? { ...l, shape, values: null } : l));
  const next = { ...part, leaves };
  const after = typesOf(next, session)?.at(-1);
  return after !== undefined && shapeOfType(after, session)?.join() === shape.join() ? next : null;
}

/** Fills the arguments of a call beside those that are calls themselves, in several ways. */
function complete(
  op: string, attrs: Attrs, sample: OperatorSample, patterns: readonly Pattern[] | null, inner: ReadonlyMap<number, Part | Pattern>, name: string | null, session: Session,
): readonly Part[] {
  const leaves: Leaf[] = [];
  const calls: Call[] = [];
  const terms: (Term | null | undefined)[] = sample.args.map(() => undefined);
  const types = new Map<number, TensorType>();
  const named = new Map<string, Term>();
  for (const [at, part] of inner) {
    if (!isPart(part)) continue;
    const inferred = typesOf(part, session);
    if (inferred === null) return [];
    const leafAt = part.leaves.map((leaf): number => {
      const known = leaf.name === null ? undefined : named.get(leaf.name);
      if (known?.kind === 'leaf') return known.index;
      const index = leaves.push(leaf) - 1;
      if (leaf.name !== null) named.set(leaf.name, { kind: 'leaf', index });
      return index;
    });
    const base = calls.length;
    const moved = (t: Term | null): Term | null => t && (t.kind === 'leaf' ? { kind: 'leaf', index: leafAt[t.index]! } : { kind: 'call', index: base + t.index });
    calls.push(...part.calls.map((c) => ({ ...c, args: c.args.map(moved) })));
    terms[at] = moved(part.value)!;
    types.set(at, inferred[part.calls.length - 1]!);
  }
  const template = adapt(sample, types, session);
  const ways = template === null ? [] : [template];
  if (types.size > 0) ways.push(...beside(sample.args.length, types, session));
  return ways.flatMap((shapes): Part[] => {
    const ownLeaves = [...leaves];
    const ownTerms = [...terms];
    const ownNames = new Map(named);
    for (const [i, argument] of sample.args.entries()) {
      if (ownTerms[i] !== undefined) continue;
      const pattern = patterns?.[i];
      const inside = inner.get(i);
      const known = nameOf(inside !== undefined && !isPart(inside) ? inside : pattern);
      if (argument === null) {
        ownTerms[i] = null;
        continue;
      }
      const before = known === null ? undefined : ownNames.get(known);
      if (before !== undefined) {
        ownTerms[i] = before;
        continue;
      }
      const shape = shapes.get(i) ?? argument.shape;
      const same = shape.length === argument.shape.length && shape.every((d, axis) => d === argument.shape[axis]);
      // Real numbers are drawn anew: samples have NaN and infinities among them.
      const given = argument.values !== undefined && same && !isFloat(argument.dtype) ? { values: argument.values } : {};
      const dtype = types.size > 0 && argument.dtype === sample.args[[...types.keys()][0]!]?.dtype ? [...types.values()][0]!.dtype : argument.dtype;
      const range = argument.range ?? (argument.values !== undefined && isInteger(dtype) ? extent(argument.values) : null);
      const leaf = leafOf(dtype, shape, known, { ...given, range });
      const literal = pattern?.kind === 'constant' || (inside !== undefined && !isPart(inside) && inside.kind === 'constant') ? (pattern as { value?: number | null }).value ?? null : undefined;
      const index = ownLeaves.push(literal === undefined ? leaf : constantLeaf(leaf, literal)) - 1;
      ownTerms[i] = { kind: 'leaf', index };
      if (known !== null) ownNames.set(known, { kind: 'leaf', index });
    }
    const ownCalls = [...calls, { op, args: ownTerms as (Term | null)[], attrs, name }];
    const part: Part = { leaves: ownLeaves, calls: ownCalls, value: { kind: 'call', index: ownCalls.length - 1 } };
    if (typesOf(part, session) !== null) return [part];
    // Some operators want to know integers while compiling.
    const settled = { ...part, leaves: part.leaves.map((l) => (l.values !== null && isInteger(l.dtype) ? { ...l, constant: true } : l)) };
    return typesOf(settled, session) !== null ? [settled] : [];
  });
}

const extent = (values: readonly (number | bigint)[]): readonly [number, number] => [Math.min(...values.map(Number)), Math.max(...values.map(Number))];

function constantLeaf(leaf: Leaf, value: number | null): Leaf {
  const count = leaf.shape.reduce((n, d) => n * d, 1);
  return { ...leaf, constant: true, values: value === null ? leaf.values : Array.from({ length: count }, () => value) };
}

/** A sample's shapes with those of nested calls put in: sizes that were equal stay equal. null: ranks differ. */
function adapt(sample: OperatorSample, types: ReadonlyMap<number, TensorType>, session: Session): Map<number, readonly number[]> | null {
  const sizes = new Map<number, number>();
  for (const [i, type] of types) {
    const shape = shapeOfType(type, session);
    const before = sample.args[i]?.shape;
    if (shape === null || before === undefined || before.length !== shape.length) return null;
    before.forEach((d, axis) => {
      if (!sizes.has(d)) sizes.set(d, shape[axis]!);
    });
  }
  return new Map(sample.args.flatMap((a, i) => (a === null ? [] : [[i, a.shape.map((d) => (d === 1 ? 1 : (sizes.get(d) ?? d)))] as const])));
}

/** Arguments that often stand beside a tensor: one like it, a row, a column, a scalar, a matrix to multiply with. */
function beside(count: number, types: ReadonlyMap<number, TensorType>, session: Session): readonly Map<number, readonly number[]>[] {
  const shape = shapeOfType([...types.values()][0]!, session);
  if (shape === null || types.size === count) return [];
  const last = shape.at(-1);
  const shapes: (readonly number[])[] = [shape];
  if (last !== undefined && shape.length > 1) shapes.push([last], [...shape.slice(0, -1), 1], [...shape.slice(0, -1).map(() => 1), last]);
  if (last !== undefined) shapes.push([last, 9]);
  shapes.push([]);
  return shapes.map((s) => new Map(Array.from({ length: count }, (_, i) => [i, s] as const).filter(([i]) => !types.has(i))));
}
