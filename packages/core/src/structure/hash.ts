import type { Attrs, AttrValue, Buffer, Expr, GraphFunction, IRFunction, Stmt, TensorFunction, Type, Value } from '@tenon/plugin';
import { Murmur128 } from './murmur.ts';

/**
 * A 128-bit hash of a function's structure, as 32 hexadecimal digits; the same in every session and process.
 *
 * The function's own name, locations and the names of its values, buffers, variables and scalar parameters do not
 * count: they stand for their place of definition. Names that mean something outside count: dims, constants, callees,
 * block names (schedules address blocks by them), result names and attributes. What a callee or constant of that name
 * contains does not count.
 */
export function hashFunction(fn: IRFunction): string {
  const hasher = new FunctionHasher();
  if (fn.kind === 'graph') hasher.graph(fn);
  else hasher.tensor(fn);
  return hasher.digest();
}

class FunctionHasher {
  readonly #hash = new Murmur128();
  readonly #float = new Float64Array(1);
  readonly #words = new Int32Array(this.#float.buffer);
  /** Places of definition of what is in scope, by name. */
  readonly #variables = new Map<string, number>();
  readonly #buffers = new Map<string, number>();
  readonly #values = new Map<Value, number>();
  #defined = 0;

  digest(): string {
    return this.#hash.digest();
  }

  #count(n: number): void {
    this.#hash.word(n);
  }
  /** Text is preceded by its length, so that no two sequences of parts run together. */
  #text(s: string): void {
    this.#count(s.length);
    for (let i = 0; i < s.length; i += 2) this.#hash.word(s.charCodeAt(i) | (i + 1 < s.length ? s.charCodeAt(i + 1) << 16 : 0));
  }
  #number(n: number | bigint): void {
    // One integer has one hash, whichever way it is held; every NaN has the same bits.
    const double = Number(n);
    if (typeof n === 'bigint' && BigInt(double) !== n) return this.#text(`${n}n`);
    this.#float[0] = Number.isNaN(double) ? NaN : double;
    this.#hash.word(this.#words[littleEndian ? 0 : 1]!);
    this.#hash.word(this.#words[littleEndian ? 1 : 0]!);
  }
  #list<T>(items: readonly T[], each: (item: T) => void): void {
    this.#count(items.length);
    items.forEach(each);
  }
  #optional<T>(item: T | null, each: (item: T) => void): void {
    this.#count(item === null ? 0 : 1);
    if (item !== null) each(item);
  }

  #expr(e: Expr): void {
    this.#text(e.op);
    this.#text(e.dtype);
    if (e.op === 'var') this.#name(this.#variables, String(e.value));
    else if (e.op === 'load') this.#name(this.#buffers, String(e.value));
    else if (typeof e.value === 'string') this.#text(e.value);
    else this.#optional(e.value, (value) => this.#number(value));
    this.#list(e.args, (arg) => this.#expr(arg));
  }
  #name(scope: ReadonlyMap<string, number>, name: string): void {
    const place = scope.get(name);
    if (place === undefined) {
      this.#count(0);
      this.#text(name);
    } else {
      this.#count(1);
      this.#count(place);
    }
  }
  #scoped(scope: Map<string, number>, name: string, body: () => void): void {
    const old = scope.get(name);
    scope.set(name, this.#defined++);
    body();
    if (old === undefined) scope.delete(name);
    else scope.set(name, old);
  }

  #attrs(attrs: Attrs): void {
    this.#list(Object.keys(attrs).sort(), (key) => {
      this.#text(key);
      this.#attr(attrs[key]!);
    });
  }
  #attr(value: AttrValue): void {
    if (value === null) this.#count(0);
    else if (typeof value === 'boolean') this.#count(value ? 1 : 2);
    else if (typeof value === 'string') {
      this.#count(3);
      this.#text(value);
    } else if (typeof value === 'number' || typeof value === 'bigint') {
      this.#count(typeof value === 'number' ? 4 : 5);
      this.#number(value);
    } else if (Array.isArray(value)) {
      this.#count(6);
      this.#list(value as readonly AttrValue[], (item) => this.#attr(item));
    } else if ((value as Partial<Expr>).tag === 'expr') {
      this.#count(7);
      this.#expr(value as Expr);
    } else {
      this.#count(8);
      this.#attrs(value as Attrs);
    }
  }

  #type(type: Type): void {
    this.#text(type.kind);
    switch (type.kind) {
      case 'tensor':
        this.#text(type.dtype);
        this.#list(type.shape, (dim) => this.#expr(dim));
        this.#attrs(type.annotations);
        break;
      case 'sequence':
      case 'optional':
        this.#type(type.element);
        break;
      case 'state':
        this.#type(type.content);
        break;
      case 'token':
    }
  }

  graph(fn: GraphFunction): void {
    const define = (v: Value) => {
      this.#values.set(v, this.#defined++);
      this.#type(v.type);
    };
    const use = (v: Value) => {
      const place = this.#values.get(v);
      this.#count(place ?? -1);
      if (place === undefined) {
        this.#text(v.name);
        this.#type(v.type);
      }
    };
    this.#text('graph');
    this.#list(fn.params, define);
    this.#list(fn.bindings, (b) => {
      this.#text(b.kind);
      this.#text(b.callee);
      this.#list(b.args, (arg) => this.#optional(arg, use));
      this.#list(b.scalars, (e) => this.#expr(e));
      this.#attrs(b.attrs);
      this.#optional(b.effects, (effects) => {
        this.#list(effects.mutates, (i) => this.#count(i));
        this.#list(effects.aliases, ([result, arg]) => {
          this.#count(result);
          this.#count(arg);
        });
      });
      this.#list(b.results, define);
    });
    this.#list(fn.results, use);
    this.#list(fn.resultNames, (name) => this.#text(name));
    this.#attrs(fn.attrs);
  }

  tensor(fn: TensorFunction): void {
    this.#text('tensor');
    for (const name of fn.scalars) this.#variables.set(name, this.#defined++);
    const declare = (b: Buffer) => {
      this.#buffer(b);
      this.#buffers.set(b.name, this.#defined++);
    };
    this.#list(fn.inputs, declare);
    this.#list(fn.outputs, declare);
    this.#count(fn.scalars.length);
    this.#attrs(fn.attrs);
    this.#stmt(fn.body);
  }
  #buffer(b: Buffer): void {
    this.#text(b.dtype);
    this.#list(b.shape, (dim) => this.#expr(dim));
    this.#text(b.scope);
  }

  #stmt(s: Stmt): void {
    this.#text(s.kind);
    switch (s.kind) {
      case 'store':
        this.#name(this.#buffers, s.buffer);
        this.#list(s.indices, (e) => this.#expr(e));
        this.#expr(s.value);
        break;
      case 'evaluate':
        this.#expr(s.value);
        break;
      case 'seq':
        this.#list(s.body, (item) => this.#stmt(item));
        break;
      case 'let':
        this.#expr(s.value);
        this.#scoped(this.#variables, s.variable, () => this.#stmt(s.body));
        break;
      case 'alloc':
        this.#buffer(s.buffer);
        this.#scoped(this.#buffers, s.buffer.name, () => this.#stmt(s.body));
        break;
      case 'if':
        this.#expr(s.condition);
        this.#stmt(s.then);
        this.#optional(s.otherwise, (otherwise) => this.#stmt(otherwise));
        break;
      case 'while':
        this.#expr(s.condition);
        this.#stmt(s.body);
        break;
      case 'for':
        this.#expr(s.extent);
        this.#text(typeof s.loop === 'string' ? s.loop : 'thread');
        if (typeof s.loop !== 'string') this.#text(s.loop.thread);
        this.#attrs(s.annotations);
        this.#scoped(this.#variables, s.variable, () => this.#stmt(s.body));
        break;
      case 'block': {
        this.#text(s.name);
        this.#list(s.iters, (iter) => {
          this.#text(iter.type);
          this.#expr(iter.extent);
          this.#expr(iter.binding);
        });
        this.#optional(s.predicate, (e) => this.#expr(e));
        const inside = (from: number): void => {
          const iter = s.iters[from];
          if (iter !== undefined) return this.#scoped(this.#variables, iter.name, () => inside(from + 1));
          for (const regions of [s.reads, s.writes]) {
            this.#list(regions, (r) => {
              this.#name(this.#buffers, r.buffer);
              this.#list(r.start, (e) => this.#expr(e));
              this.#list(r.extent, (e) => this.#expr(e));
            });
          }
          this.#attrs(s.annotations);
          this.#optional(s.init, (init) => this.#stmt(init));
          this.#stmt(s.body);
        };
        inside(0);
      }
    }
  }
}

const littleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;
