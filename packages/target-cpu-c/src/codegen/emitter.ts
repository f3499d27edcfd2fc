import type { Expr, ExprBuilder, TensorFunction, TensorIntrinsic, VarFacts } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';
import { Support } from './support.ts';
import type { ElementType } from './types.ts';

/** Where a buffer of a kernel is, as its accesses see it. */
export interface BufferPlace {
  readonly type: ElementType;
  readonly shape: readonly Expr[];
  /** The C pointer or array. */
  readonly name: string;
  /**
   * `memory`: elements behind a pointer or in an array. `registers`: a local array of vectors that is only accessed
   * at constant places, so that the compiler keeps it in registers.
   */
  readonly kind: 'memory' | 'registers';
  /** Lanes of the vectors of a `registers` buffer. */
  readonly lanes: number;
  /** Whether a vectorized loop accesses it. */
  vectors: boolean;
}

/** A loop whose iterations are computed `lanes` at a time. */
export class VectorContext {
  /** C name of the loop variable. */
  readonly variable: string;
  readonly lanes: number;
  /** Iteration of lane 0. */
  readonly base: Expr;
  /** Largest value of the loop variable. */
  readonly last: Expr;
  /** `let`s that differ between lanes: C name of the vector. For bools, bytes of the mask's lanes. */
  readonly lets = new Map<string, { readonly dtype: string; readonly width: number }>();
  readonly #varies = new Map<Expr, boolean>();

  constructor(variable: string, lanes: number, base: Expr, last: Expr) {
    this.variable = variable;
    this.lanes = lanes;
    this.base = base;
    this.last = last;
  }

  /** Whether the value may differ between lanes. */
  varies(e: Expr): boolean {
    let known = this.#varies.get(e);
    if (known === undefined) {
      known = e.op === 'var' ? e.value === this.variable || this.lets.has(e.value as string) : e.args.some((a) => this.varies(a));
      this.#varies.set(e, known);
    }
    return known;
  }
}

/** Names given to values that are used more than once, within one statement. */
interface NameScope {
  readonly parent: NameScope | null;
  readonly scalars: Map<Expr, string>;
  readonly vectors: Map<Expr, { readonly name: string; readonly width: number }>;
}

export interface EmitterOptions {
  readonly exprs: ExprBuilder;
  /** Bytes of the machine's vector registers. */
  readonly vectorBytes: number;
  /** For error messages. */
  readonly kernel: string;
  readonly support?: Support;
  /** Local buffers that are not to be kept in registers, by name. */
  readonly inMemory?: ReadonlySet<string>;
  readonly intrinsics?: Intrinsics;
}

/** Tensor intrinsics that kernels may call, by name, each with what it describes. */
export type Intrinsics = ReadonlyMap<string, { readonly intrinsic: TensorIntrinsic; readonly description: TensorFunction }>;

/** The state of writing one C function. */
export class Emitter {
  readonly exprs: ExprBuilder;
  readonly vectorBytes: number;
  readonly support: Support;
  readonly kernel: string;
  readonly inMemory: ReadonlySet<string>;
  readonly intrinsics: Intrinsics;
  /** Local buffers that turned out not to fit into registers: found while writing, for another attempt. */
  readonly misfits = new Set<string>();
  /** Variables of the tensor function in terms of C variables. */
  readonly bindings = new Map<string, Expr>();
  /** Ranges of C variables. */
  readonly facts = new Map<string, VarFacts>();
  readonly buffers = new Map<string, BufferPlace>();
  /** Statements written at the current place. */
  lines: string[] = [];
  /** Functions that the current one calls. */
  readonly functions: string[] = [];
  /** Types of C variables, as parameters of functions; null for registers, which cannot be handed over. */
  readonly cTypes = new Map<string, string | null>();
  #names: NameScope = { parent: null, scalars: new Map(), vectors: new Map() };
  #uses = new Map<Expr, number>();
  #sizes = new Map<Expr, number>();
  #next = 0;

  constructor(options: EmitterOptions) {
    this.exprs = options.exprs;
    this.vectorBytes = options.vectorBytes;
    this.kernel = options.kernel;
    this.support = options.support ?? new Support();
    this.inMemory = options.inMemory ?? new Set();
    this.intrinsics = options.intrinsics ?? new Map();
  }

  fail(code: string, message: string, hint: string | null = null): never {
    throw new TenonError({ code: `cpu-c/${code}`, message: `${this.kernel}: ${message}`, hint });
  }

  push(line: string): void {
    this.lines.push(line);
  }

  fresh(prefix: string): string {
    return `${prefix}${this.#next++}`;
  }

  /** Writes `body` between braces. */
  block(head: string, body: () => void): void {
    this.push(`${head} {`);
    body();
    this.push('}');
  }

  /** Runs `body` and returns what it wrote instead of writing it. */
  capture(body: () => void): string[] {
    const outer = this.lines;
    this.lines = [];
    body();
    const inner = this.lines;
    this.lines = outer;
    return inner;
  }

  /** An expression of the tensor function in terms of C variables, simplified. */
  canonical(e: Expr): Expr {
    return this.exprs.substitute(e, this.bindings);
  }

  /** Binds a variable of the tensor function while `body` runs. */
  bind(variable: string, value: Expr, body: () => void): void {
    const before = this.bindings.get(variable);
    this.bindings.set(variable, value);
    body();
    if (before === undefined) this.bindings.delete(variable);
    else this.bindings.set(variable, before);
  }

  place(buffer: string): BufferPlace {
    return this.buffers.get(buffer) ?? this.fail('unknown-buffer', `it accesses buffer ${buffer}, which it does not declare`);
  }

  /** Runs `body` as one statement: values are named within it, and forgotten after it. */
  statement(values: readonly Expr[], body: () => void): void {
    const [names, uses] = [this.#names, this.#uses];
    this.#names = { parent: null, scalars: new Map(), vectors: new Map() };
    this.#uses = new Map();
    for (const value of values) this.countUses(value);
    body();
    this.#names = names;
    this.#uses = uses;
  }

  /** Runs `body` where names given inside must not be seen outside: code that runs on a condition. */
  nested(body: () => void): void {
    const outer = this.#names;
    this.#names = { parent: outer, scalars: new Map(), vectors: new Map() };
    body();
    this.#names = outer;
  }

  /** Adds a value to those of the current statement. */
  countUses(e: Expr): void {
    const seen = this.#uses.get(e) ?? 0;
    this.#uses.set(e, seen + 1);
    // Indices are counted where an access flattens them.
    if (seen === 0 && e.op !== 'load') for (const arg of e.args) this.countUses(arg);
  }

  /** Whether to compute a value once and refer to it by name. */
  isShared(e: Expr): boolean {
    if (e.op === 'const' || e.op === 'var' || (this.#uses.get(e) ?? 0) < 2) return false;
    // Sums and products of indices are left in place for the compiler's induction variables.
    const arithmetic = e.op === 'add' || e.op === 'sub' || e.op === 'mul';
    return !(arithmetic && e.dtype === 'i64') || this.#size(e) > 12;
  }

  #size(e: Expr): number {
    let size = this.#sizes.get(e);
    if (size === undefined) {
      size = e.args.reduce((sum, arg) => sum + this.#size(arg), 1);
      this.#sizes.set(e, size);
    }
    return size;
  }

  scalarName(e: Expr): string | undefined {
    for (let scope: NameScope | null = this.#names; scope !== null; scope = scope.parent) {
      const name = scope.scalars.get(e);
      if (name !== undefined) return name;
    }
    return undefined;
  }

  /** The name of a vector and, for bools, the bytes of its mask's lanes. */
  vectorName(e: Expr): { readonly name: string; readonly width: number } | undefined {
    for (let scope: NameScope | null = this.#names; scope !== null; scope = scope.parent) {
      const found = scope.vectors.get(e);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  nameScalar(e: Expr, type: string, text: string): string {
    const name = this.define(type, text);
    this.#names.scalars.set(e, name);
    return name;
  }

  nameVector(e: Expr, type: string, text: string, width: number): string {
    const name = this.define(type, text);
    this.#names.vectors.set(e, { name, width });
    return name;
  }

  /** Writes the declaration of a variable that functions may be handed. */
  declare(type: string, name: string, text: string): void {
    this.cTypes.set(name, type);
    this.push(`${type} ${name} = ${text};`);
  }

  define(type: string, text: string): string {
    const name = this.fresh('t');
    this.declare(`const ${type}`, name, text);
    return name;
  }
}
