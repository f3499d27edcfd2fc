import type { Block, Buffer, Expr, For, Scope, Stmt, TensorFunction, VarFacts } from '@tenon/plugin';
import { buffersOf, visitStmts, type Exprs } from '@tenon/core';
import { proves } from './proofs.ts';
import { refuse } from './refuse.ts';
import { pathTo, scopeStart } from './tree.ts';

/** Names that a function uses, for loops, variables, blocks and buffers alike. */
export class NameSet {
  readonly #used = new Set<string>();
  constructor(fn: TensorFunction, exprs: Exprs) {
    for (const name of fn.scalars) this.#used.add(name);
    for (const b of buffersOf(fn).values()) {
      this.#used.add(b.name);
      for (const d of b.shape) for (const v of exprs.variables(d)) this.#used.add(v);
    }
    visitStmts(fn.body, (s) => {
      if (s.kind === 'for' || s.kind === 'let') this.#used.add(s.variable);
      if (s.kind === 'block') {
        this.#used.add(s.name);
        for (const iter of s.iters) this.#used.add(iter.name);
      }
    });
  }
  /** `base` where it is free, else `base_1`, `base_2`, …. The name is taken from then on. */
  unique(base: string): string {
    let name = base;
    for (let n = 1; this.#used.has(name); n++) name = `${base}_${n}`;
    this.#used.add(name);
    return name;
  }
  /** Marks a name as used; false where it was already. */
  take(name: string): boolean {
    if (this.#used.has(name)) return false;
    this.#used.add(name);
    return true;
  }
}

/** What a primitive works on: a function between two steps of a schedule. */
export class State {
  readonly primitive: string;
  readonly fn: TensorFunction;
  readonly exprs: Exprs;
  /** What is known of dims. */
  readonly dims: Scope;
  readonly names: NameSet;
  /** The block whose inside is worked on; null: the whole function. */
  readonly root: string | null;

  constructor(primitive: string, fn: TensorFunction, exprs: Exprs, dims: Scope, root: string | null) {
    this.primitive = primitive;
    this.fn = fn;
    this.exprs = exprs;
    this.dims = dims;
    this.names = new NameSet(fn, exprs);
    this.root = root;
  }

  refuse(code: string, message: string, hint: string | null = null): never {
    return refuse(this.primitive, code, message, hint);
  }

  /** The same step on another form of the function. */
  with(body: Stmt): State {
    return this.withFunction({ ...this.fn, body });
  }

  withFunction(fn: TensorFunction): State {
    return new State(this.primitive, fn, this.exprs, this.dims, this.root);
  }

  block(name: string): { readonly block: Block; readonly path: readonly Stmt[] } {
    const path = pathTo(this.fn.body, (s) => s.kind === 'block' && s.name === name);
    if (path === null) return this.refuse('no-block', `@${this.fn.name} has no block ${name}`);
    return { block: path.at(-1) as Block, path };
  }

  loop(variable: string): { readonly loop: For; readonly path: readonly Stmt[] } {
    const path = pathTo(this.fn.body, (s) => s.kind === 'for' && s.variable === variable);
    if (path === null) return this.refuse('no-loop', `@${this.fn.name} has no loop ${variable}`);
    return { loop: path.at(-1) as For, path };
  }

  buffer(name: string): Buffer {
    const buffer = buffersOf(this.fn).get(name);
    return buffer ?? this.refuse('no-buffer', `@${this.fn.name} has no buffer ${name}`);
  }

  isParameter(buffer: string): boolean {
    return this.fn.inputs.some((b) => b.name === buffer) || this.fn.outputs.some((b) => b.name === buffer);
  }

  /** Facts that hold inside the last statement of a path: about dims, loops, iteration variables and lets around. */
  scopeAt(path: readonly Stmt[]): Scope {
    const scope = new Map<string, VarFacts>(this.dims);
    for (const s of path) {
      if (s.kind === 'for') this.addLoop(scope, s.variable, s.extent);
      else if (s.kind === 'block') for (const iter of s.iters) this.addLoop(scope, iter.name, iter.extent);
      else if (s.kind === 'let' && s.value.dtype === 'i64') scope.set(s.variable, this.exprs.bounds(s.value, scope));
    }
    return scope;
  }

  /** Inside a loop its variable is below the extent, and the extent is at least one. */
  addLoop(scope: Map<string, VarFacts>, variable: string, extent: Expr): void {
    scope.set(variable, { min: 0, max: this.exprs.sub(extent, 1) });
    if (extent.op === 'var') {
      const known = scope.get(extent.value as string) ?? this.exprs.facts.get(extent.value as string) ?? { min: null, max: null };
      if (known.min === null || (typeof known.min === 'number' && known.min < 1)) scope.set(extent.value as string, { ...known, min: 1 });
    }
  }

  /** The loops of a path below its last enclosing block, outermost first. */
  loopsOf(path: readonly Stmt[]): For[] {
    const found: For[] = [];
    const end = path.at(-1)?.kind === 'block' ? path.length - 1 : path.length;
    for (let i = scopeStart(path.slice(0, end)); i < end; i++) {
      const s = path[i]!;
      if (s.kind === 'for') found.push(s);
    }
    return found;
  }

  proves(condition: Expr, scope: Scope): boolean {
    return proves(this.exprs, condition, scope);
  }

  /** Whether two dims are equal for all values. */
  same(a: Expr, b: Expr, scope: Scope = this.dims): boolean {
    return a === b || this.proves(this.exprs.eq(a, b), scope);
  }
}

/** What a primitive gives back: the function, and the names of blocks, loops or buffers that it made or found. */
export interface Outcome {
  readonly fn: TensorFunction;
  readonly results: readonly string[];
  /** Where the work goes on; absent: where it was. */
  readonly root?: string | null;
}
