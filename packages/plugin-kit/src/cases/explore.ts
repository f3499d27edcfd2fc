/** Generates cases from a rule: first instances that it takes, then everything near the borders of what it takes. */
import type { AttrValue, Constraint, Rule, Target } from '@tenon/plugin';
import type { Session } from '@tenon/core';
import { generator, isFloat, pick, tensorBytes } from '../tensors.ts';
import { axisClasses, resize, type AxisClass } from './axes.ts';
import { keyOf, ModuleWriter, operatorsOf, retype, sameTerm, shapeOfType, sizeOf, typesOf, withoutUnused, type Instance, type Leaf, type SymbolicAxes } from './instance.ts';
import { seedsOf } from './seeds.ts';
import { ask, type Answer } from './verdict.ts';
import { workOf } from './work.ts';

/** An instance that the rule takes, with the axes that can change. */
export interface Base {
  readonly instance: Instance;
  readonly classes: readonly AxisClass[];
}

export interface Case {
  readonly rule: Rule;
  readonly instance: Instance;
  /** What is special about it. */
  readonly about: string;
  /** Lower goes first. */
  readonly priority: number;
  readonly symbolic: readonly SymbolicAxes[];
  /** Calls whose results leave the graph, beside the root's. */
  readonly leaks: readonly number[];
  /** All results of the root leave the graph, not only its first. */
  readonly every: boolean;
  /** Sizes are zero: often undefined ground, so that a failure is a note. */
  readonly empty: boolean;
  /** Codegen may refuse it: a check cannot see what it is about. */
  readonly refusable: boolean;
}

export interface Exploration {
  readonly rule: Rule;
  readonly bases: readonly Base[];
  readonly cases: readonly Case[];
  /** Codes that refusals gave, with an example. */
  readonly codes: ReadonlyMap<string, string>;
  readonly broken: readonly { readonly code: string; readonly message: string; readonly instance: Instance }[];
  readonly asked: number;
  /** Of seeds that were refused, what was said of the first. */
  readonly refusal: string | null;
}

/** Elements of all leaves of a case together. */
const largest = 3_000_000;
/** Operations of a case: simulators and the reference evaluation are slow. */
const mostWork = 6e7;
/** Sizes where machines have borders. */
const probes = [1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 96, 100, 127, 128, 129, 160, 255, 256, 257] as const;
/** Larger ones, where only borders are worth a case. */
const farProbes = [511, 512, 513, 1000, 1023, 1024, 1025, 2047, 2048, 2049, 4095, 4096, 4097] as const;
const fewProbes = [1, 3, 8, 16, 17, 33] as const;
const roundSizes = [16, 8, 32, 4, 64, 128, 2, 1] as const;
/** Bases of a rule that are looked at from all sides, whatever their operators; and up to which the first of every operator is. */
const wideBases = 6;
const wideOperators = 24;
const dtypes = ['f32', 'f64', 'f16', 'bf16', 'i64', 'i32', 'i16', 'i8', 'u64', 'u32', 'u16', 'u8', 'bool'] as const;

export function explore(rule: Rule, target: Target, session: Session, seed: number): Exploration {
  return new Explorer(rule, target, session, seed).explore();
}

class Explorer {
  readonly #rule: Rule;
  readonly #target: Target;
  readonly #session: Session;
  readonly #random: () => number;
  readonly #answers = new Map<string, Answer | null>();
  readonly #codes = new Map<string, string>();
  readonly #broken = new Map<string, { code: string; message: string; instance: Instance }>();
  readonly #cases = new Map<string, Case>();
  #refusal: string | null = null;

  constructor(rule: Rule, target: Target, session: Session, seed: number) {
    this.#rule = rule;
    this.#target = target;
    this.#session = session;
    this.#random = generator(seed);
  }

  explore(): Exploration {
    const found = new Map<string, Base>();
    for (const seed of seedsOf(this.#rule.pattern, this.#session)) {
      const base = this.#accepted(seed);
      if (base !== null) found.set(keyOf(base.instance), base);
    }
    const bases = [...found.values()];
    // Samples are of low rank mostly; what is right for matrices may not be for what holds several of them.
    const higher = bases[0] === undefined ? null : this.#raised(bases[0].instance);
    if (higher !== null && !found.has(keyOf(higher.instance))) bases.splice(1, 0, higher);
    const ranks = new Map<string, number>();
    bases.forEach((base, i) => {
      const key = operatorsOf(base.instance);
      const rank = ranks.get(key) ?? 0;
      ranks.set(key, rank + 1);
      this.#around(base, rank, i < wideBases || (rank === 0 && i < wideOperators));
    });
    return {
      rule: this.#rule, bases, cases: [...this.#cases.values()].sort((a, b) => a.priority - b.priority), codes: this.#codes, broken: [...this.#broken.values()],
      asked: this.#answers.size, refusal: this.#refusal,
    };
  }

  /** null: it cannot be built. */
  #ask(instance: Instance, symbolic: readonly SymbolicAxes[] = []): Answer | null {
    const key = `${keyOf(instance)} ${JSON.stringify(symbolic)}`;
    let answer = this.#answers.get(key);
    if (answer === undefined) {
      try {
        const size = sizeOf(instance);
        answer = size > largest ? null : ask(this.#rule, instance, this.#session, symbolic);
        if (answer?.kind === 'claimed' && size > 2000 && workOf(answer.match, this.#session) > mostWork) answer = null;
      } catch {
        answer = null;
      }
      this.#answers.set(key, answer);
      if (answer?.kind === 'refused') {
        if (!this.#codes.has(answer.code)) this.#codes.set(answer.code, answer.message);
        this.#refusal ??= `${answer.message} [${answer.code}]`;
      }
      if (answer?.kind === 'broken' && !this.#broken.has(answer.code)) this.#broken.set(answer.code, { code: answer.code, message: answer.message, instance });
    }
    return answer;
  }

  #claimed(instance: Instance): boolean {
    return this.#ask(instance)?.kind === 'claimed';
  }

  #add(instance: Instance, about: string, priority: number, more: Partial<Pick<Case, 'symbolic' | 'leaks' | 'every' | 'empty' | 'refusable'>> = {}): void {
    const key = `${keyOf(instance)} ${JSON.stringify([more.symbolic, more.leaks, more.every])}`;
    if (!this.#cases.has(key)) this.#cases.set(key, { rule: this.#rule, instance, about, priority, symbolic: [], leaks: [], every: false, empty: false, refusable: false, ...more });
  }

  /** Changes dtypes, attributes and sizes of a seed until the rule takes it. */
  #accepted(seed: Instance): Base | null {
    for (const typed of this.#retyped(seed)) {
      if (typesOf(typed, this.#session) === null) continue;
      const classes = axisClasses(typed, this.#session);
      const found = this.#sized(typed, classes);
      if (found !== null) return { instance: found, classes: sized(classes, found) };
    }
    return null;
  }

  /** The leaves of highest rank with an axis more in front, in sizes that the rule takes; null where it takes none. */
  #raised(instance: Instance): Base | null {
    const rank = Math.max(...instance.leaves.map((l) => l.shape.length));
    const lead = [2, 3, 5, 7].find((size) => !instance.leaves.some((l) => l.shape.includes(size)))!;
    if (rank > 3 || instance.leaves.some((l) => l.values !== null)) return null;
    const raised = { ...instance, leaves: instance.leaves.map((l) => (l.shape.length === rank ? { ...l, shape: [lead, ...l.shape] } : l)) };
    if (typesOf(raised, this.#session) === null) return null;
    const classes = axisClasses(raised, this.#session);
    const found = this.#sized(raised, classes);
    return found === null ? null : { instance: found, classes: sized(classes, found) };
  }

  /** Dtypes and attributes that the constraints ask for. */
  *#retyped(seed: Instance): Generator<Instance> {
    const { require } = this.#rule;
    const attrs = require.filter((c) => c.kind === 'attr');
    const calls = seed.calls.map((call) => {
      const own = attrs.filter((c) => c.of === call.name && !c.in.some((v) => same(v, call.attrs[c.attr])));
      const wanted = own.filter((c) => c.attr in call.attrs || !c.in.some((v) => same(v, this.#session.operator(call.op)?.signature.attrs[c.attr])));
      return wanted.length === 0 ? call : { ...call, attrs: { ...call.attrs, ...Object.fromEntries(wanted.map((c) => [c.attr, c.in[0]!])) } };
    });
    const given = { ...seed, calls };
    const listedDtypes = require.filter((c) => c.kind === 'dtype');
    const wantedOf = (leaf: Leaf): readonly string[] | null => listedDtypes.find((c) => c.of === leaf.name)?.in ?? null;
    const direct = given.leaves.map((leaf) => {
      const wanted = wantedOf(leaf);
      return wanted === null || wanted.includes(leaf.dtype) ? leaf : retype(leaf, wanted[0]!);
    });
    yield { ...given, leaves: direct };
    const listed = listedDtypes.flatMap((c) => c.in);
    const main = given.leaves.find((l) => isFloat(l.dtype))?.dtype ?? given.leaves[0]?.dtype;
    for (const dtype of new Set([...listed, ...this.#target.dtypes])) {
      if (dtype === main) continue;
      yield { ...given, leaves: given.leaves.map((leaf) => (leaf.dtype === main ? retype(leaf, wantedOf(leaf)?.find((d) => d === dtype) ?? dtype) : leaf)) };
    }
  }

  #sized(instance: Instance, classes: readonly AxisClass[]): Instance | null {
    const attempt = (sizes: readonly number[]): Instance | null => {
      const next = resize(instance, classes, sizes);
      return this.#claimed(next) ? next : null;
    };
    const bounds = classes.map((c) => this.#boundsOf(instance, c));
    const wanted = (n: number, factor: number): number => {
      const { by, min, max } = bounds[n]!;
      const start = Math.max(by, Math.ceil(Math.max(min, 1) / by) * by);
      const size = start + by * (factor - 1);
      return max !== null && size > max ? Math.max(start, Math.floor(max / by) * by) : size;
    };
    const asIs = this.#claimed(instance) ? instance : null;
    const distinct = classes.map((c, n) => (bounds[n]!.by > 1 || bounds[n]!.min > 1 || bounds[n]!.max !== null ? wanted(n, n + 1) : c.size));
    const found = asIs ?? attempt(distinct) ?? attempt(classes.map((_, n) => wanted(n, n + 1))) ?? attempt(classes.map((_, n) => wanted(n, 1)));
    if (found !== null) return found;
    for (const size of roundSizes) {
      const next = attempt(classes.map((_, n) => size * (n + 1))) ?? attempt(classes.map(() => size)) ?? attempt(classes.map((c, n) => (n === classes.length - 1 ? size : c.size)));
      if (next !== null) return next;
    }
    if (classes.length === 0) return null;
    for (let i = 0; i < 60; i++) {
      const next = attempt(classes.map((_, n) => (this.#random() < 0.5 ? wanted(n, 1 + Math.floor(this.#random() * 4)) : pick(this.#random, probes))));
      if (next !== null) return next;
    }
    return null;
  }

  /** What the constraints say of a class of axes: directly of a leaf, or of a result whose axis has the same size. */
  #boundsOf(instance: Instance, c: AxisClass): { by: number; min: number; max: number | null } {
    let [by, min, max]: [number, number, number | null] = [1, 0, null];
    for (const constraint of this.#rule.require) {
      if ((constraint.kind !== 'multipleOf' && constraint.kind !== 'range') || !this.#concerns(instance, c, constraint.of, constraint.axis)) continue;
      if (constraint.kind === 'multipleOf') by = lcm(by, constraint.by);
      else {
        min = Math.max(min, constraint.min);
        if (constraint.max !== null) max = Math.min(max ?? Infinity, constraint.max);
      }
    }
    return { by, min, max };
  }

  /** Whether an axis of a named value has the size of a class. */
  #concerns(instance: Instance, c: AxisClass, of: string, axis: number): boolean {
    const direct = c.axes.some(([l, a]) => instance.leaves[l]!.name === of && a === (axis < 0 ? axis + instance.leaves[l]!.shape.length : axis));
    if (direct) return true;
    const call = instance.calls.findIndex((x) => x.name === of);
    if (call < 0) return false;
    const sizeAt = (i: Instance): number | undefined => {
      const type = typesOf(i, this.#session)?.[call];
      return type === undefined ? undefined : shapeOfType(type, this.#session)?.at(axis);
    };
    const size = instance.leaves[c.axes[0]![0]]!.shape[c.axes[0]![1]]!;
    const other = size * 2;
    return sizeAt(instance) === size && sizeAt(resize(instance, [c], [other])) === other;
  }

  /**
   * Cases around an accepted instance. `rank`: how many bases with the same operators came before: every operator of a rule has its turn.
   * `wide`: it is looked at from all sides.
   */
  #around({ instance, classes }: Base, rank: number, wide: boolean): void {
    const first = wide && rank < 3;
    this.#add(instance, 'as it stands', 0 + rank / 100);
    if (resultsOfRoot(instance, this.#session) > 1) this.#add(instance, 'all results wanted', 0.5 + rank, { every: true });
    classes.forEach((c, n) => this.#sizes(instance, classes, c, n, rank, wide));
    for (let i = 0; i < (first ? 4 : 1); i++) this.#randomSizes(instance, classes, rank);
    this.#dtypes(instance, rank);
    this.#attributes(instance, rank);
    this.#constants(instance, rank);
    this.#otherShapes(instance, rank);
    if (first) this.#higherRanks(instance, rank);
    this.#shared(instance, rank);
    if (instance.calls.length > 1) this.#leaks(instance, rank);
    if (wide) this.#symbolic(instance, classes, rank);
    if (wide && rank === 0) this.#deeper(instance);
  }

  #sizes(instance: Instance, classes: readonly AxisClass[], c: AxisClass, n: number, rank: number, wide: boolean): void {
    const exact = new Set<number>();
    for (const constraint of this.#rule.require) {
      for (const border of bordersOf(constraint)) for (const size of [border - 1, border, border + 1]) if (size > 0) exact.add(size);
    }
    for (const size of this.#limits(instance, c)) if (size > 0) exact.add(size);
    // Later bases are like earlier ones, with other operators or attributes.
    const sizes = [...new Set([...exact, ...(wide ? [...probes, ...farProbes] : fewProbes)])].sort((a, b) => a - b);
    const at = (size: number): Instance => resize(instance, classes, classes.map((k, i) => (i === n ? size : k.size)));
    const claimed = sizes.filter((size) => this.#claimed(at(size)));
    const taken = new Set(claimed);
    claimed.forEach((size) => {
      const i = sizes.indexOf(size);
      const border = exact.has(size) || [sizes[i - 1], sizes[i + 1]].some((beside) => beside !== undefined && !taken.has(beside) && Math.abs(beside - size) === 1);
      if (!border && (farProbes as readonly number[]).includes(size)) return;
      const common = [1, 3, 16, 17, 33, 64, 128].includes(size);
      this.#add(at(size), `an axis of ${size}`, (border ? 1 : common ? 2 : 5) + rank + n / 10);
    });
    const none = at(0);
    if (this.#claimed(none)) this.#add(none, 'an axis of 0', 9 + rank, { empty: true });
  }

  /** The last sizes that ranges and limits of bytes allow, and the first that they do not. */
  #limits(instance: Instance, c: AxisClass): readonly number[] {
    const { by, min, max } = this.#boundsOf(instance, c);
    const limits = [Math.ceil(min / by) * by];
    if (max !== null) limits.push(Math.floor(max / by) * by, Math.floor(max / by) * by + by);
    for (const constraint of this.#rule.require) {
      if (constraint.kind !== 'bytes') continue;
      const leaf = instance.leaves.findIndex((l) => l.name === constraint.of);
      if (leaf < 0 || !c.axes.some(([l]) => l === leaf)) continue;
      const { dtype, shape } = instance.leaves[leaf]!;
      const perSize = tensorBytes(dtype, shape) / c.size ** c.axes.filter(([l]) => l === leaf).length;
      const last = Math.floor(constraint.max / perSize);
      limits.push(last, last + 1, Math.floor(last / by) * by, Math.floor(last / by) * by + by);
    }
    return limits;
  }

  #randomSizes(instance: Instance, classes: readonly AxisClass[], rank: number): void {
    const bounds = classes.map((c) => this.#boundsOf(instance, c));
    for (let i = 0; i < 20; i++) {
      const sizes = bounds.map(({ by, min, max }) => {
        const size = by > 1 ? by * (1 + Math.floor(this.#random() * 6)) : pick(this.#random, probes.slice(0, 18));
        return Math.min(Math.max(size, min), max ?? Infinity);
      });
      const next = resize(instance, classes, sizes);
      if (!this.#claimed(next)) continue;
      this.#add(next, `sizes ${sizes.join(', ')}`, 1.5 + rank);
      return;
    }
  }

  #dtypes(instance: Instance, rank: number): void {
    const main = instance.leaves[0]?.dtype;
    for (const dtype of dtypes) {
      const every = { ...instance, leaves: instance.leaves.map((l) => (l.dtype === main ? retype(l, dtype) : l)) };
      if (typesOf(every, this.#session) !== null && this.#claimed(every)) this.#add(every, `elements of ${dtype}`, 1 + rank);
      instance.leaves.forEach((leaf, i) => {
        if (leaf.dtype === dtype || instance.leaves.length === 1) return;
        const one = { ...instance, leaves: instance.leaves.map((l, j) => (i === j ? retype(l, dtype) : l)) };
        if (typesOf(one, this.#session) !== null && this.#claimed(one)) this.#add(one, `elements of ${dtype} in one argument`, 1 + rank);
      });
    }
  }

  #attributes(instance: Instance, rank: number): void {
    instance.calls.forEach((call, i) => {
      const { attrs } = this.#session.operator(call.op)!.signature;
      for (const [name, fallback] of Object.entries(attrs)) {
        const now = call.attrs[name] ?? fallback;
        for (const value of this.#otherValues(call.op, name, now)) {
          const next = { ...instance, calls: instance.calls.map((c, j) => (i === j ? { ...c, attrs: { ...c.attrs, [name]: value } } : c)) };
          if (typesOf(next, this.#session) === null || !this.#claimed(next)) continue;
          this.#add(next, `${name} = ${JSON.stringify(value)}`, 1 + rank);
          if (resultsOfRoot(next, this.#session) > 1) this.#add(next, `${name} = ${JSON.stringify(value)}, all results wanted`, 1 + rank, { every: true });
        }
      }
    });
  }

  #otherValues(op: string, name: string, now: AttrValue): readonly AttrValue[] {
    const values: AttrValue[] = [];
    for (const s of this.#session.facet(op, 'samples')?.() ?? []) {
      const value = s.attrs?.[name];
      if (value !== undefined) values.push(value);
    }
    if (typeof now === 'boolean') values.push(!now);
    if (typeof now === 'number') values.push(...(Number.isInteger(now) ? [now - 1, now + 1, 0, 1, -1, -2] : []), ...(Number.isInteger(now) && /axis|block|groups|start|end|size|k|p/.test(name) ? [] : [now * 2 + 0.25, now * 100]));
    if (Array.isArray(now) && now.every((x) => typeof x === 'number')) values.push([...now].reverse(), now.map((x) => (x as number) + 1), now.slice(0, -1));
    for (const c of this.#rule.require) if (c.kind === 'attr' && c.attr === name) values.push(...c.in);
    // One number per axis: those of samples may be refused, and which axis is which shows only where they differ.
    const perAxis = values.find((v): v is readonly number[] => Array.isArray(v) && v.length > 0 && v.length < 7 && v.every((x) => typeof x === 'number'));
    const varied = perAxis === undefined ? [] : perAxis.flatMap((_, i) => [1, 2].map((other) => perAxis.map((__, j) => (i === j ? other : 3 - other))));
    const distinct = (all: readonly AttrValue[]): readonly AttrValue[] => all.filter((v, i) => !same(v, now) && all.findIndex((w) => same(w, v)) === i);
    return distinct([...distinct(values).slice(0, 10), ...varied]);
  }

  /** Arguments of other shapes that operators broadcast: as a whole, a row, a column, a scalar. */
  #otherShapes(instance: Instance, rank: number): void {
    const result = typesOf(instance, this.#session)?.at(-1);
    const whole = [...instance.leaves.map((l) => l.shape), ...(result === undefined ? [] : [shapeOfType(result, this.#session) ?? []])];
    instance.leaves.forEach((leaf, i) => {
      if (leaf.values !== null) return;
      const shapes = whole.flatMap((shape) => {
        const last = shape.at(-1);
        const ones = shape.map((_, axis) => shape.map((d, a) => (a === axis ? 1 : d)));
        return last === undefined ? [[]] : [shape, [last], ...ones, [...shape.slice(0, -1).map(() => 1), last], [1, ...shape], shape.slice(1), [1], []];
      });
      for (const shape of new Map(shapes.map((x) => [x.join(), x])).values()) {
        if (shape.join() === leaf.shape.join()) continue;
        const next = { ...instance, leaves: instance.leaves.map((l, j) => (i === j ? { ...l, shape } : l)) };
        if (typesOf(next, this.#session) !== null && this.#claimed(next)) this.#add(next, `argument ${i} of another shape`, 1 + rank);
      }
    });
  }

  /** All arguments with axes more in front, as far as the operators go: limits of rank that a check has lie beyond what samples show. */
  #deeper(instance: Instance): void {
    const rank = Math.max(...instance.leaves.map((l) => l.shape.length));
    if (instance.leaves.some((l) => l.values !== null)) return;
    for (let extra = 1; rank + extra <= 7; extra++) {
      const next = { ...instance, leaves: instance.leaves.map((l) => (l.shape.length === rank ? { ...l, shape: [...Array.from({ length: extra }, (_, i) => 1 + (i % 2)), ...l.shape] } : l)) };
      if (typesOf(next, this.#session) === null) return;
      if (this.#claimed(next)) this.#add(next, `${rank + extra} axes`, 1.2 + extra / 10);
    }
  }

  /** One argument with an axis more in front, in sizes that the rule takes. */
  #higherRanks(instance: Instance, rank: number): void {
    instance.leaves.forEach((leaf, i) => {
      if (leaf.values !== null || leaf.shape.length > 4) return;
      for (const lead of [2, 3]) {
        const next = { ...instance, leaves: instance.leaves.map((l, j) => (i === j ? { ...l, shape: [lead, ...l.shape] } : l)) };
        if (typesOf(next, this.#session) === null) continue;
        const found = this.#sized(next, axisClasses(next, this.#session));
        if (found === null) continue;
        this.#add(found, `argument ${i} with an axis more`, 1 + rank);
        break;
      }
    });
  }

  /** Leaves as constants: one at a time, and all but the first. */
  #constants(instance: Instance, rank: number): void {
    const { leaves } = instance;
    if (leaves.length < 2) return;
    const ways = [...leaves.map((_, i) => [i]), leaves.map((_, i) => i).slice(1)];
    for (const way of ways) {
      const next = { ...instance, leaves: leaves.map((l, i) => (way.includes(i) ? { ...l, constant: true } : l)) };
      // A call of constants alone is folded before any rule sees it.
      const folded = next.calls.some((c) => c.args.every((a) => a === null || (a.kind === 'leaf' && next.leaves[a.index]!.constant)));
      if (folded || !this.#claimed(next)) continue;
      this.#add(next, `constant argument${way.length > 1 ? 's' : ` ${way[0]!}`}`, 0.5 + rank);
    }
  }

  /** One value in two places: equal leaves become one, and a leaf becomes a result that fits. */
  #shared(instance: Instance, rank: number): void {
    const types = typesOf(instance, this.#session);
    instance.leaves.forEach((leaf, i) => {
      const replaced = (by: { readonly kind: 'leaf' | 'call'; readonly index: number }): Instance => {
        const calls = instance.calls.map((c) => ({ ...c, args: c.args.map((a) => (sameTerm(a, { kind: 'leaf', index: i }) ? by : a)) }));
        return { leaves: instance.leaves, calls };
      };
      instance.leaves.forEach((other, j) => {
        if (j >= i || other.dtype !== leaf.dtype || other.shape.length !== leaf.shape.length) return;
        const square = { ...instance, leaves: instance.leaves };
        if (!other.shape.every((d, axis) => d === leaf.shape[axis])) return;
        const next = withoutUnused({ ...square, ...replaced({ kind: 'leaf', index: j }) });
        if (this.#claimed(next)) this.#add(next, 'one value as two arguments', 2 + rank);
      });
      const firstUse = instance.calls.findIndex((c) => c.args.some((a) => sameTerm(a, { kind: 'leaf', index: i })));
      types?.forEach((type, call) => {
        const shape = shapeOfType(type, this.#session);
        if (call >= firstUse || shape === null || type.dtype !== leaf.dtype || shape.join() !== leaf.shape.join()) return;
        const next = withoutUnused(replaced({ kind: 'call', index: call }));
        if (this.#claimed(next)) this.#add(next, 'a result inside the pattern as another argument', 2 + rank, { refusable: true });
      });
    });
  }

  /** Results inside the pattern that are used outside as well. */
  #leaks(instance: Instance, rank: number): void {
    for (let i = 0; i < instance.calls.length - 1; i++) this.#add(instance, `the result of ${instance.calls[i]!.op} is used elsewhere, too`, 1 + rank, { leaks: [i], refusable: true });
  }

  #symbolic(instance: Instance, classes: readonly AxisClass[], rank: number): void {
    const make = (chosen: readonly AxisClass[]): SymbolicAxes[] => chosen.map((c, i) => ({ name: ['n', 'm', 'k', 'l'][i] ?? `d${i}`, min: 1, max: 4096, axes: c.axes }));
    const sets = [...classes.map((c) => [c]), ...(classes.length > 1 ? [classes.slice(0, 4)] : [])];
    for (const chosen of sets) {
      if (instance.leaves.some((l, i) => l.constant && chosen.some((c) => c.axes.some(([leaf]) => leaf === i)))) continue;
      const symbolic = make(chosen);
      if (this.#ask(instance, symbolic)?.kind !== 'claimed') continue;
      this.#add(instance, `symbolic ${symbolic.map((s) => s.name).join(', ')}`, 0.2 + rank, { symbolic });
      if (rank > 1) continue;
      // What codegen refuses runs on the host, and is told there: a pity, but not wrong.
      const computed = symbolic.map((s) => ({ ...s, times: 2 }));
      if (this.#ask(instance, computed)?.kind === 'claimed') this.#add(instance, `symbolic ${computed.map((s) => `2 · ${s.name}`).join(', ')}`, 0.3 + rank, { symbolic: computed, refusable: true });
    }
  }
}

/** Classes with the sizes that they have in an instance. */
const sized = (classes: readonly AxisClass[], { leaves }: Instance): readonly AxisClass[] => classes.map((c) => ({ ...c, size: leaves[c.axes[0]![0]]!.shape[c.axes[0]![1]]! }));

/** How many results the root has. */
function resultsOfRoot(instance: Instance, session: Session): number {
  return new ModuleWriter(session, 1).write(instance, undefined, true).main.results.length;
}

/** Sizes at which a constraint changes its answer. */
function bordersOf(c: Constraint): readonly number[] {
  switch (c.kind) {
    case 'multipleOf': return [c.by, 2 * c.by, 3 * c.by];
    case 'range': return [c.min, ...(c.max === null ? [] : [c.max])];
    default: return [];
  }
}

function lcm(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y !== 0) [x, y] = [y, x % y];
  return (a / x) * b;
}

const same = (a: AttrValue | undefined, b: AttrValue | undefined): boolean => JSON.stringify(a ?? null, big) === JSON.stringify(b ?? null, big);
const big = (_: string, v: unknown): unknown => (typeof v === 'bigint' ? `${v}n` : v);
