import type { Attrs, AttrValue, Binding, CostSource, DeviceModel, Expr, GraphFunction, IRModule, Match, Rule, TargetContext, TensorType, Type, Value } from '@tenon/plugin';
import { contextFor, hashFunction, isFloat, type ResolvedTarget, type Session } from '@tenon/core';
import { floatIntrinsics } from '@tenon/interp';
import { Contents } from '../graph.ts';

/** A dim without a hint counts as this many, within its range. */
const typicalDim = 64;

/** The key of the measured start of a region. */
const launchKey = 'launch.region';
/** Keys of whole plans begin so. */
const planPrefix = 'plan:';

export interface Figure {
  readonly seconds: number;
  readonly source: CostSource;
}

/** What an operator does, at typical dims. */
interface Work {
  readonly flops: number;
  readonly bytes: number;
  /** It changes the type or shape of its argument only. */
  readonly free: boolean;
}

/**
 * Estimates what operators take: measured where there is a measurement, else by the rule's formula, else by a roofline
 * of the device's declared figures. Williams, Waterman & Patterson, "Roofline: An Insightful Visual Performance Model for
 * Multicore Architectures", 2009.
 */
export class CostModel {
  /** The values of dims at which everything is estimated. */
  readonly dims: ReadonlyMap<string, number>;
  readonly #session: Session;
  readonly #returned: ReadonlySet<Value>;
  readonly #work = new Map<Binding, Work>();
  readonly #bytes = new Map<Value, number>();
  readonly #contexts = new Map<string, TargetContext>();
  readonly #badRules = new Set<string>();
  readonly #users = new Map<Value, Binding[]>();
  readonly #contents: Contents;
  #plansMeasured: boolean | null = null;

  constructor(fn: GraphFunction, module: IRModule, session: Session) {
    this.#session = session;
    this.#returned = new Set(fn.results);
    this.dims = typicalDims(module);
    this.#contents = new Contents(module, session);
    for (const binding of fn.bindings) {
      this.#contents.visit(binding);
      for (const arg of new Set(binding.args)) {
        if (arg === null) continue;
        const list = this.#users.get(arg);
        if (list === undefined) this.#users.set(arg, [binding]);
        else list.push(binding);
      }
    }
  }

  /** Estimates some operators that run as one kernel on a target, by a rule or as they are. */
  figure(target: ResolvedTarget, bindings: readonly Binding[], rule: Rule | null, match: Match | null): Figure {
    const measured = this.measured(target.name, bindings);
    if (measured !== null) return { seconds: measured, source: 'measured' };
    const byRule = rule !== null && match !== null ? this.byRule(target, rule, match) : null;
    if (byRule !== null) return { seconds: byRule, source: 'rule' };
    return { seconds: this.roofline(target.device, bindings), source: 'roofline' };
  }

  /** The key of a measurement of these operators, which run as one unit. */
  keyOf(bindings: readonly Binding[]): string {
    return costKey(bindings, this.#session, this.dims);
  }

  flopsOf(binding: Binding): number {
    return this.#workOf(binding).flops;
  }

  /** Bytes of a value at typical dims; 0 for what has no fixed size. */
  bytesOf(value: Value): number {
    let bytes = this.#bytes.get(value);
    if (bytes === undefined) {
      bytes = this.#sizeOf(value.type);
      this.#bytes.set(value, bytes);
    }
    return bytes;
  }

  #sizeOf(type: Type): number {
    if (type.kind === 'sequence' || type.kind === 'optional') return this.#sizeOf(type.element);
    const tensor = type.kind === 'state' ? type.content : type;
    if (tensor.kind !== 'tensor' || this.#session.dtype(tensor.dtype).kind === 'string') return 0;
    return this.evaluate(this.#session.bytesOf(tensor)) ?? 0;
  }

  /** An expression in dims at their typical values; null where it has none. */
  evaluate(e: Expr): number | null {
    const value = numericValue(e, this.dims);
    return value !== null && Number.isFinite(value) ? value : null;
  }

  /** Seconds to start a region. */
  launchOf({ name, device }: ResolvedTarget): number {
    return this.#session.config.partition?.costs?.[name]?.[launchKey] ?? device.launch.region;
  }

  /** What the configuration has of measurements of a target, or of an entry of a library. */
  measured(target: string, bindings: readonly Binding[]): number | null {
    const known = this.#session.config.partition?.costs?.[target];
    return known === undefined ? null : (known[this.keyOf(bindings)] ?? null);
  }

  /** Seconds of one run of a whole plan, where the configuration has them measured. They are kept with the host's. */
  measuredPlan(host: string, key: () => string): number | null {
    const known = this.#session.config.partition?.costs?.[host];
    this.#plansMeasured ??= known !== undefined && Object.keys(known).some((k) => k.startsWith(planPrefix));
    return this.#plansMeasured ? (known![key()] ?? null) : null;
  }

  /** The key of a measurement of a whole plan: all operators, each with its target, rule and the match that it is in. */
  planKeyOf(bindings: readonly Binding[], placed: (i: number) => { readonly target: string; readonly rule: string; readonly unit: number }): string {
    const marked = bindings.map((b, i) => ({ ...b, attrs: { ...b.attrs, placed: { ...placed(i) } } }));
    return planPrefix + costKey(marked, this.#session, this.dims).replace(/^.*:/s, '');
  }

  /** By the formula of a rule, or of an entry of a library; null where there is none that gives a time. */
  byRule(target: ResolvedTarget, rule: Pick<Rule, 'id' | 'cost'>, match: Match): number | null {
    if (rule.cost === undefined || this.#badRules.has(rule.id)) return null;
    let ctx = this.#contexts.get(target.name);
    if (ctx === undefined) {
      ctx = contextFor(this.#session, target) as unknown as TargetContext;
      this.#contexts.set(target.name, ctx);
    }
    const seconds = this.evaluate(rule.cost(match, ctx));
    if (seconds !== null && seconds >= 0) return seconds;
    this.#badRules.add(rule.id);
    this.#session.report({
      code: 'partition/bad-cost', message: `the cost of rule ${rule.id} is no time for ${match.bindings[0]?.callee ?? 'its match'}: the device's declared figures are used instead`,
      hint: 'A rule\'s cost is a formula in the dims of its match, in seconds.',
    });
    return null;
  }

  /** Operators that run as one kernel, by the device's declared figures. */
  roofline(device: DeviceModel, bindings: readonly Binding[]): number {
    const inside = new Set(bindings);
    let flops = 0;
    let bytes = 0;
    let free = true;
    let heaviest = bindings[0]!;
    for (const binding of bindings) {
      const work = this.#workOf(binding);
      flops += work.flops;
      bytes += work.bytes;
      if (!work.free) free = false;
      if (work.flops > this.#workOf(heaviest).flops) heaviest = binding;
    }
    if (free) return 0;
    // What stays inside is neither written nor read again.
    if (bindings.length > 1) {
      for (const binding of bindings) {
        for (const result of binding.results) {
          const users = this.#users.get(result) ?? [];
          if (users.length === 0 || this.#returned.has(result) || users.some((u) => !inside.has(u))) continue;
          bytes -= this.bytesOf(result) * (1 + users.length);
        }
      }
    }
    const rate = peakOf(device, computeType(heaviest));
    return Math.max(rate === null ? 0 : flops / rate, Math.max(0, bytes) / device.bandwidth) + device.launch.kernel;
  }

  #workOf(binding: Binding): Work {
    let work = this.#work.get(binding);
    if (work !== undefined) return work;
    const { exprs } = this.#session;
    const types = binding.args.map((a) => a?.type ?? null);
    const contents = (i: number): readonly Expr[] | null => (binding.args[i] ? this.#contents.of(binding.args[i]) : null);
    const cost = binding.kind === 'op' ? this.#session.cost(binding.callee, types, binding.attrs, contents) : null;
    const elements = (v: Value): number => (v.type.kind === 'tensor' ? (this.evaluate(exprs.product(v.type.shape)) ?? 0) : 0);
    const flops = cost === null ? binding.results.reduce((sum, r) => sum + elements(r), 0) : this.evaluate(cost.flops);
    const moved = cost?.bytes === undefined ? null : this.evaluate(cost.bytes);
    const touched = new Set([...binding.args.filter((a) => a !== null), ...binding.results]);
    work = {
      flops: flops ?? 0, bytes: moved ?? [...touched].reduce((sum, v) => sum + this.bytesOf(v), 0),
      free: this.#session.facet(binding.callee, 'view') === true,
    };
    this.#work.set(binding, work);
    return work;
  }
}

/** Values of a module's dims for estimates: their hints, or a typical size within their range. */
export function typicalDims(module: IRModule): ReadonlyMap<string, number> {
  const dims = new Map<string, number>();
  for (const { name, min, max, multipleOf, hint } of module.dims.values()) {
    const wanted = hint ?? Math.min(Math.max(typicalDim, min), max ?? Infinity);
    const up = Math.ceil(wanted / multipleOf) * multipleOf;
    dims.set(name, max !== null && up > max ? Math.floor(wanted / multipleOf) * multipleOf : up);
  }
  return dims;
}

/** The element type that an operator computes in: its first tensor's. */
function computeType(binding: Binding): string | null {
  const value = binding.args.find((a) => a?.type.kind === 'tensor') ?? binding.results[0];
  return value?.type.kind === 'tensor' ? value.type.dtype : null;
}

/** Operations per second; of a dtype that the device does not state, the slowest rate that it states. */
function peakOf(device: DeviceModel, dtype: string | null): number | null {
  const stated = dtype === null ? undefined : device.peak[dtype];
  if (stated !== undefined) return stated;
  const rates = Object.values(device.peak);
  return rates.length === 0 ? null : Math.min(...rates);
}

/**
 * The key under which a measurement of some operators, in program order, is kept: their names and a hash of argument
 * types, attributes and how they are connected. Dims count with the values given.
 */
export function costKey(bindings: readonly Binding[], session: Session, dims: ReadonlyMap<string, number>): string {
  const { exprs } = session;
  const fixed = new Map([...dims].map(([name, value]) => [name, exprs.int(value)]));
  const attr = (a: AttrValue): AttrValue => {
    if (a === null || typeof a !== 'object') return a;
    if (Array.isArray(a)) return (a as readonly AttrValue[]).map(attr);
    if ((a as Partial<Expr>).tag === 'expr') return exprs.substitute(a as Expr, fixed);
    return attrs(a as Attrs);
  };
  const attrs = (all: Attrs): Attrs => Object.fromEntries(Object.entries(all).map(([name, a]) => [name, attr(a)]));
  const typed = (type: Type): Type => {
    if (type.kind === 'sequence' || type.kind === 'optional') return { ...type, element: typed(type.element) };
    if (type.kind === 'state') return { ...type, content: typed(type.content) as TensorType };
    return type.kind === 'tensor' ? { ...type, shape: type.shape.map((d) => exprs.substitute(d, fixed)), annotations: {} } : type;
  };
  const values = new Map<Value | string, Value>();
  const params: Value[] = [];
  const valueOf = (v: Value): Value => {
    // Constants count by type: what they contain does not change the time.
    const key = v.constant ? v.name : v;
    let made = values.get(key);
    if (made === undefined) {
      made = { name: String(values.size), type: typed(v.type), constant: false };
      values.set(key, made);
      params.push(made);
    }
    return made;
  };
  const ordered = inOrder(bindings);
  const copies = ordered.map((b): Binding => {
    const args = b.args.map((a) => (a === null ? null : valueOf(a)));
    const results = b.results.map((r) => {
      const made = { name: String(values.size), type: typed(r.type), constant: false };
      values.set(r, made);
      return made;
    });
    return { ...b, args, results, attrs: attrs({ ...session.operator(b.callee)?.signature.attrs, ...b.attrs }), loc: null };
  });
  const hash = hashFunction({ kind: 'graph', name: '', params, bindings: copies, results: [...(copies.at(-1)?.results ?? [])], resultNames: [], attrs: {} });
  return `${ordered.map((b) => b.callee).join('+')}:${hash}`;
}

/** Bindings of a match with producers before users; a match lists the root first, then its arguments. */
function inOrder(bindings: readonly Binding[]): readonly Binding[] {
  const members = new Map<Value, Binding>();
  for (const b of bindings) for (const r of b.results) members.set(r, b);
  const done = new Set<Binding>();
  const visit = (b: Binding): void => {
    if (done.has(b)) return;
    for (const arg of b.args) {
      const producer = arg === null ? undefined : members.get(arg);
      if (producer !== undefined && producer !== b) visit(producer);
    }
    done.add(b);
  };
  bindings.forEach(visit);
  return [...done];
}

/** The value of a scalar expression in float64, for estimates; null where a variable has none. */
function numericValue(e: Expr, dims: ReadonlyMap<string, number>): number | null {
  if (e.op === 'const') return Number(e.value);
  if (e.op === 'var') return dims.get(e.value as string) ?? null;
  const args: number[] = [];
  for (const arg of e.args) {
    const value = numericValue(arg, dims);
    if (value === null) return null;
    args.push(value);
  }
  const [a = 0, b = 0, c = 0] = args;
  switch (e.op) {
    case 'add': return a + b;
    case 'sub': return a - b;
    case 'mul': return a * b;
    case 'div': return a / b;
    case 'floordiv': return Math.floor(a / b);
    case 'mod': return a - b * Math.floor(a / b);
    case 'truncdiv': return Math.trunc(a / b);
    case 'truncmod': return a % b;
    case 'min': return Math.min(a, b);
    case 'max': return Math.max(a, b);
    case 'eq': return Number(a === b);
    case 'ne': return Number(a !== b);
    case 'lt': return Number(a < b);
    case 'le': return Number(a <= b);
    case 'and': return Number(a !== 0 && b !== 0);
    case 'or': return Number(a !== 0 || b !== 0);
    case 'not': return Number(a === 0);
    case 'select': return a !== 0 ? b : c;
    case 'cast': return isFloat(e.dtype) ? a : Math.trunc(a);
    case 'call': return floatIntrinsics[e.value as string]?.(a, b) ?? null;
    case 'load': return null;
  }
}
