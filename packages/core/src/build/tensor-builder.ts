import type { Block, Buffer, Expr, ExprBuilder, ExprLike, IterVar, LoopKind, Stmt, TensorBuilder, TensorFunction } from '@tenon/plugin';
import { seq } from '../ir/visit.ts';
import { blockRegions } from '../structure/index.ts';

/** A statement, or a `let` that spans what follows it in its scope. */
type Item = Stmt | { readonly kind: 'open-let'; readonly variable: string; readonly value: Expr } | { readonly kind: 'open-alloc'; readonly buffer: Buffer };

/** Writes a tensor function. Loop variables are `i_N`, iteration variables `v_N`, reductions `k_N`, lets `t_N`. */
export class FunctionBody implements TensorBuilder {
  readonly exprs: ExprBuilder;
  readonly #buffers = new Map<string, Buffer>();
  readonly #temporaries: Buffer[] = [];
  readonly #top: Item[] = [];
  #scope: Item[] = this.#top;
  #names = 0;

  constructor(exprs: ExprBuilder, params: readonly Buffer[]) {
    this.exprs = exprs;
    for (const b of params) this.#buffers.set(b.name, b);
  }

  #fresh(prefix: string): string {
    return `${prefix}_${this.#names++}`;
  }

  #declare(name: string, dtype: string, shape: readonly ExprLike[], scope: string): Buffer {
    let unique = name;
    for (let n = 1; this.#buffers.has(unique); n++) unique = `${name}${n}`;
    const buffer = { name: unique, dtype, shape: shape.map((d) => this.#expr(d)), scope };
    this.#buffers.set(unique, buffer);
    return buffer;
  }

  #expr(e: ExprLike): Expr {
    return typeof e === 'number' ? this.exprs.int(e) : e;
  }

  alloc(name: string, dtype: string, shape: readonly ExprLike[]): Buffer {
    const buffer = this.#declare(name, dtype, shape, 'global');
    this.#temporaries.push(buffer);
    return buffer;
  }

  load(buffer: Buffer, indices: readonly ExprLike[]): Expr {
    if (indices.length !== buffer.shape.length) {
      throw new RangeError(`load of ${buffer.name}: ${indices.length} indices for rank ${buffer.shape.length}`);
    }
    return this.exprs.load(buffer, indices);
  }

  compute(out: Buffer, value: (indices: readonly Expr[]) => Expr): void {
    this.#nest(out.name, out.shape, [], (spatial) => ({
      init: null,
      body: this.#storeStmt(out, spatial, value(spatial)),
    }));
  }

  reduce(
    out: Buffer,
    domain: readonly ExprLike[],
    init: Expr,
    step: (accumulator: Expr, indices: readonly Expr[], r: readonly Expr[]) => Expr,
  ): void {
    this.#nest(out.name, out.shape, domain.map((d) => this.#expr(d)), (spatial, reduce) => ({
      init: this.#storeStmt(out, spatial, init),
      body: this.#storeStmt(out, spatial, step(this.exprs.load(out, spatial), spatial, reduce)),
    }));
  }

  block(name: string, domain: readonly ExprLike[], body: (indices: readonly Expr[]) => void): void {
    this.#nest(name, domain.map((d) => this.#expr(d)), [], (spatial) => ({ init: null, body: this.#inside(() => body(spatial)) }));
  }

  #nest(
    name: string,
    spatial: readonly Expr[],
    reduce: readonly Expr[],
    make: (spatial: readonly Expr[], reduce: readonly Expr[]) => Pick<Block, 'init' | 'body'>,
  ): void {
    const iter = (type: 'spatial' | 'reduce') => (extent: Expr): IterVar & { loop: string } => {
      const n = this.#names++;
      return { name: `${type === 'spatial' ? 'v' : 'k'}_${n}`, type, extent, binding: this.exprs.variable(`i_${n}`), loop: `i_${n}` };
    };
    const spatialIters = spatial.map(iter('spatial'));
    const reduceIters = reduce.map(iter('reduce'));
    const variables = (iters: readonly IterVar[]): Expr[] => iters.map((i) => this.exprs.variable(i.name));
    const parts = make(variables(spatialIters), variables(reduceIters));
    const iters = [...spatialIters, ...reduceIters];
    const { reads, writes } = blockRegions(parts.init, parts.body, this.#buffers.values(), this.exprs);
    let stmt: Stmt = {
      kind: 'block',
      name,
      iters: iters.map(({ name: iterName, type, extent, binding }) => ({ name: iterName, type, extent, binding })),
      reads, writes, predicate: null, ...parts, annotations: {},
    };
    for (const { loop, extent } of [...iters].reverse()) {
      stmt = { kind: 'for', variable: loop, extent, loop: 'serial', annotations: {}, body: stmt };
    }
    this.#scope.push(stmt);
  }

  #storeStmt(buffer: Buffer, indices: readonly Expr[], value: Expr): Stmt {
    if (indices.length !== buffer.shape.length) {
      throw new RangeError(`store to ${buffer.name}: ${indices.length} indices for rank ${buffer.shape.length}`);
    }
    if (value.dtype !== buffer.dtype) throw new TypeError(`store of ${value.dtype} to ${buffer.name}, which holds ${buffer.dtype}`);
    return { kind: 'store', buffer: buffer.name, indices, value };
  }

  /** Runs `body` with an empty scope and returns its statements. */
  #inside(body: () => void): Stmt {
    const outer = this.#scope;
    this.#scope = [];
    body();
    const stmt = close(this.#scope);
    this.#scope = outer;
    return stmt;
  }

  local(name: string, dtype: string, shape: readonly ExprLike[]): Buffer {
    const buffer = this.#declare(name, dtype, shape, 'local');
    this.#scope.push({ kind: 'open-alloc', buffer });
    return buffer;
  }

  loop(extent: ExprLike, body: (index: Expr) => void, kind: LoopKind = 'serial'): void {
    const variable = this.#fresh('i');
    const inside = this.#inside(() => body(this.exprs.variable(variable)));
    this.#scope.push({ kind: 'for', variable, extent: this.#expr(extent), loop: kind, annotations: {}, body: inside });
  }

  store(buffer: Buffer, indices: readonly ExprLike[], value: Expr): void {
    this.#scope.push(this.#storeStmt(buffer, indices.map((i) => this.#expr(i)), value));
  }

  let(value: Expr, name?: string): Expr {
    const variable = this.#fresh(name ?? 't');
    this.#scope.push({ kind: 'open-let', variable, value });
    return this.exprs.variable(variable, value.dtype);
  }

  if(condition: Expr, then: () => void, otherwise?: () => void): void {
    this.#scope.push({
      kind: 'if', condition, then: this.#inside(then), otherwise: otherwise === undefined ? null : this.#inside(otherwise),
    });
  }

  while(condition: () => Expr, body: () => void): void {
    this.#scope.push({ kind: 'while', condition: condition(), body: this.#inside(body) });
  }

  /** The finished function. */
  finish(name: string, inputs: readonly Buffer[], outputs: readonly Buffer[]): TensorFunction {
    let body = close(this.#top);
    for (const buffer of [...this.#temporaries].reverse()) body = { kind: 'alloc', buffer, body };
    return { kind: 'tensor', name, inputs, outputs, scalars: [], body, attrs: {} };
  }
}

function close(items: readonly Item[]): Stmt {
  const out: Stmt[] = [];
  for (const [i, item] of items.entries()) {
    if (item.kind === 'open-let') {
      out.push({ kind: 'let', variable: item.variable, value: item.value, body: close(items.slice(i + 1)) });
      break;
    }
    if (item.kind === 'open-alloc') {
      out.push({ kind: 'alloc', buffer: item.buffer, body: close(items.slice(i + 1)) });
      break;
    }
    out.push(item);
  }
  return seq(out);
}
