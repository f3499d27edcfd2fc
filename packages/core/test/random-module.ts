import type {
  Attrs, AttrValue, Binding, Block, Buffer, BufferRegion, ConstantDecl, DimDecl, Expr, ExprBuilder, ExprOp, GraphFunction, IRFunction, IRModule, IterVar,
  LoopKind, SourceDecl, Stmt, TensorFunction, TensorType, Type, Value,
} from '@tenon/plugin';
import { blockRegions } from '../src/structure/index.ts';
import { Random } from '../../../tests/support/generator.ts';

const floats = ['f64', 'f32', 'f16', 'bf16', 'f8e4m3fn'];
const integers = ['i64', 'i64', 'i64', 'i32', 'i8', 'u64', 'u8', 'i4'];
const dtypes = [...floats, ...integers, 'bool', 'acme.f6', 'odd dtype'];
const names = ['n', 'm', 'batch', 'x', 'i.outer', 'batch size', 'a/b:0', 'for', 'nan', '"', '`', '\\', 'é', '', '0', 'min', 'f32', 'A', 'token', 'out', 'scalar', 'loc', 'kernel'];
const doubles = [0, -0, 1, -1, 0.1, -2.5, 1e300, 5e-324, 1e21, 2 ** 60, NaN, Infinity, -Infinity, 1 / 3];
const wide = [0, 1, -1, 42, -7, 2 ** 53 - 1, 9007199254740993n, -(2n ** 63n), 2n ** 64n - 1n];

/**
 * A random module: well-formed as far as the text format asks (names defined once and before their use, operand counts),
 * but meaningless. The same seed gives the same module.
 */
export function randomModule(seed: number, exprs: ExprBuilder): IRModule {
  return new Generator(new Random(seed), exprs).module();
}

/** A random expression over these variables and buffers. */
export function randomExpr(seed: number, exprs: ExprBuilder): Expr {
  return new Generator(new Random(seed), exprs).expr(5);
}

class Generator {
  readonly #random: Random;
  readonly #exprs: ExprBuilder;
  #constants: readonly Value[] = [];
  /** Buffers in scope; loads mostly read these, with their dtype. */
  #buffers: Buffer[] = [];
  #variables: { readonly name: string; readonly dtype: string; readonly extent: Expr | null }[] = [];

  constructor(random: Random, exprs: ExprBuilder) {
    this.#random = random;
    this.#exprs = exprs;
  }

  /** Distinct names. */
  #names(max: number): string[] {
    const taken = new Set(this.#random.list(max, () => (this.#random.chance(0.7) ? `v${this.#random.below(50)}` : this.#random.pick(names))));
    return [...taken];
  }

  module(): IRModule {
    const r = this.#random;
    const dims = new Map(this.#names(3).map((name): [string, DimDecl] => [name, {
      name, min: r.below(5) - 1, max: r.chance(0.5) ? null : r.below(5000), multipleOf: r.pick([1, 1, 8]),
      binding: r.pick(['compile', 'load', 'call', 'run']), hint: r.chance(0.7) ? null : r.below(100),
    }]));
    const sources = new Map(this.#names(2).map((name): [string, SourceDecl] => [name, { name, uri: r.pick(names), id: r.pick(names), bytes: r.below(2 ** 40) }]));
    const constants = new Map(this.#names(4).map((name): [string, ConstantDecl] => [name, this.#constant(name)]));
    this.#constants = [...constants.values()].map(({ name, type }) => ({ name, type, constant: true }));
    const functions = new Map(this.#names(3).map((name): [string, IRFunction] => [name, r.chance(0.5) ? this.#graph(name) : this.#tensor(name)]));
    return { dims, sources, constants, functions };
  }

  #constant(name: string): ConstantDecl {
    const r = this.#random;
    const type = this.#tensorType();
    const float = floats.includes(type.dtype) || r.chance(0.3);
    const element = () => {
      if (!float || integers.includes(type.dtype)) return r.pick(wide);
      const value = r.pick(doubles);
      return type.dtype === 'f32' ? Math.fround(value) : value;
    };
    return {
      name, type: type.dtype === 'bool' ? { ...type, dtype: 'i64' } : type, view: r.chance(0.8) ? null : this.#attrs(),
      data: r.chance(0.5) && type.dtype !== 'bool' ? { kind: 'inline', values: r.list(20, element) } : { kind: 'range', source: r.pick(names), offset: r.below(2 ** 45), bytes: r.below(1000) },
    };
  }

  #tensorType(): TensorType {
    const r = this.#random;
    return { kind: 'tensor', dtype: r.pick(dtypes), shape: r.list(3, () => this.expr(2, 'i64')), annotations: r.chance(0.85) ? {} : this.#attrs() };
  }
  #type(): Type {
    const r = this.#random;
    switch (r.below(12)) {
      case 0:
        return { kind: r.chance(0.5) ? 'sequence' : 'optional', element: this.#type() };
      case 1:
        return { kind: 'state', content: this.#tensorType() };
      case 2:
        return { kind: 'token' };
      default:
        return this.#tensorType();
    }
  }

  #attrs(depth = 2): Attrs {
    return Object.fromEntries(this.#names(3).map((name) => [name, this.#attr(depth)]));
  }
  #attr(depth: number): AttrValue {
    const r = this.#random;
    switch (r.below(depth > 0 ? 8 : 6)) {
      case 0:
        return r.pick([null, true, false]);
      case 1:
        return r.pick(doubles);
      case 2:
        return r.pick(names);
      case 3:
        return r.pick([0n, -5n, 2n ** 70n]);
      case 4:
        return r.below(100);
      case 5:
        return this.expr(2);
      case 6:
        return r.list(3, () => this.#attr(depth - 1));
      default:
        return this.#attrs(depth - 1);
    }
  }

  /** An expression; where a dtype is asked for, of that dtype. */
  expr(depth: number, dtype?: string): Expr {
    const r = this.#random;
    const type = dtype ?? r.pick(['i64', 'i64', 'f32', 'f32', 'bool', ...dtypes]);
    const make = (op: ExprOp, args: readonly Expr[], value: number | bigint | string | null = null) => this.#exprs.make(op, type, args, value);
    const of = (t?: string) => this.expr(depth - 1, t);
    const same = r.chance(0.9) ? type : undefined;
    if (depth <= 0 || r.chance(0.25)) {
      if (r.chance(0.5)) return this.#const(type);
      const known = this.#variables.filter((v) => v.dtype === type);
      return make('var', [], known.length > 0 && r.chance(0.8) ? r.pick(known).name : r.pick(names));
    }
    switch (r.below(8)) {
      case 0:
        return make(r.pick(['eq', 'ne', 'lt', 'le', 'and', 'or'] as const), [of(same), of(same)]);
      case 1:
        return make('select', [of('bool'), of(same), of(same)]);
      case 2:
        return make('cast', [of()]);
      case 3: {
        const known = this.#buffers.filter((b) => b.dtype === type);
        return make('load', r.list(3, () => of('i64')), known.length > 0 && r.chance(0.8) ? r.pick(known).name : r.pick(names));
      }
      case 4:
        return make('call', r.list(2, () => of(same)), r.pick(['exp', 'pow', 'isnan', 'bitcast', 'acme.dot', ...names]));
      case 5:
        return make('not', [of('bool')]);
      default:
        return make(r.pick(['add', 'sub', 'mul', 'div', 'floordiv', 'mod', 'truncdiv', 'truncmod', 'min', 'max'] as const), [of(same), of(same)]);
    }
  }
  #const(dtype: string): Expr {
    const r = this.#random;
    let value: number | bigint;
    if (dtype === 'bool') value = r.below(2);
    else if (integers.includes(dtype)) value = r.pick(wide);
    else value = dtype === 'f32' && r.chance(0.8) ? Math.fround(r.chance(0.5) ? r.pick(doubles) : (r.real() - 0.5) * 10 ** r.below(20)) : r.pick(doubles);
    return this.#exprs.make('const', dtype, [], value);
  }

  #graph(name: string): GraphFunction {
    const r = this.#random;
    const values: Value[] = [];
    const define = (v: string): Value => ({ name: v, type: this.#type(), constant: false });
    const fresh = this.#names(12);
    const take = (max: number) => fresh.splice(0, r.below(max + 1)).map(define);
    const params = take(4);
    values.push(...params);
    const use = (): Value | null => {
      const all = [...values, ...this.#constants];
      return all.length === 0 ? null : r.pick(all);
    };
    const bindings = r.list(6, (): Binding => {
      const kind = r.pick(['op', 'op', 'op', 'kernel', 'extern', 'region', 'if', 'loop'] as const);
      const args = r.list(4, () => (r.chance(0.15) ? null : use()));
      const results = take(3);
      values.push(...results);
      return {
        kind, args, results,
        callee: kind === 'if' || kind === 'loop' ? r.pick(['', 'callee']) : r.pick(['nn.conv', 'effects', 'return', ...names]),
        scalars: r.chance(0.7) ? [] : r.list(3, () => this.expr(3)),
        attrs: r.chance(0.6) ? {} : this.#attrs(),
        effects: r.chance(0.7) ? null : { mutates: r.list(2, () => r.below(4)), aliases: r.list(2, () => [r.below(3), r.below(3)] as const) },
        loc: r.chance(0.6) ? null : r.pick(names),
      };
    });
    const results = r.list(3, use).filter((v) => v !== null);
    return {
      kind: 'graph', name, params, bindings, results, attrs: r.chance(0.7) ? {} : this.#attrs(),
      resultNames: r.chance(0.5) ? [] : results.slice(0, r.below(results.length + 1)).map(() => r.pick(names)),
    };
  }

  #buffer(name: string): Buffer {
    const r = this.#random;
    return { name, dtype: r.pick(dtypes), shape: r.list(3, () => this.expr(2, 'i64')), scope: r.pick(['global', 'global', 'local', 'odd scope']) };
  }

  #tensor(name: string): TensorFunction {
    const r = this.#random;
    const taken = this.#names(6);
    const outputs: Buffer[] = [];
    const inputs: Buffer[] = [];
    for (const b of taken) {
      (r.chance(0.6) ? inputs : outputs).push(this.#buffer(b));
    }
    this.#buffers = [...inputs, ...outputs];
    this.#variables = [];
    const fn: TensorFunction = { kind: 'tensor', name, inputs, outputs, scalars: this.#names(2), attrs: r.chance(0.7) ? {} : this.#attrs(), body: this.#stmt(5) };
    this.#buffers = [];
    this.#variables = [];
    return fn;
  }

  #within<T>(variable: { readonly name: string; readonly dtype: string; readonly extent: Expr | null }, body: () => T): T {
    const before = this.#variables;
    this.#variables = [...before.filter((v) => v.name !== variable.name), variable];
    const result = body();
    this.#variables = before;
    return result;
  }

  #stmt(depth: number): Stmt {
    const r = this.#random;
    if (depth <= 0) return this.#store();
    const body = () => this.#stmt(depth - 1);
    const name = r.chance(0.8) ? `v${r.below(20)}` : r.pick(names);
    switch (r.below(12)) {
      case 0:
      case 1:
        return { kind: 'seq', body: r.list(3, body) };
      case 2: {
        const value = this.expr(3);
        return { kind: 'let', variable: name, value, body: this.#within({ name, dtype: value.dtype, extent: null }, body) };
      }
      case 3: {
        const buffer = this.#buffer(name);
        const before = this.#buffers;
        this.#buffers = [...before.filter((b) => b.name !== name), buffer];
        const inner = body();
        this.#buffers = before;
        return { kind: 'alloc', buffer, body: inner };
      }
      case 4:
        return { kind: 'if', condition: this.expr(3, 'bool'), then: body(), otherwise: r.chance(0.5) ? null : body() };
      case 5:
        return { kind: 'while', condition: this.expr(3, 'bool'), body: body() };
      case 6:
        return { kind: 'evaluate', value: this.expr(3) };
      case 7:
      case 8:
      case 9: {
        const extent = this.expr(2, 'i64');
        const loop: LoopKind = r.pick(['serial', 'parallel', 'vectorized', 'unrolled', { thread: r.pick(names) }]);
        return { kind: 'for', variable: name, extent, loop, annotations: r.chance(0.8) ? {} : this.#attrs(), body: this.#within({ name, dtype: 'i64', extent }, body) };
      }
      case 10:
        return this.#block(depth);
      default:
        return this.#store();
    }
  }

  #store(): Stmt {
    const r = this.#random;
    if (this.#buffers.length === 0) return { kind: 'seq', body: [] };
    return { kind: 'store', buffer: r.pick(this.#buffers).name, indices: r.list(3, () => this.expr(2, 'i64')), value: this.expr(3) };
  }

  #block(depth: number): Block {
    const r = this.#random;
    const iters = this.#names(3).map((name): IterVar => {
      const loop = this.#variables.filter((v) => v.extent !== null);
      const around = loop.length > 0 && r.chance(0.7) ? r.pick(loop) : null;
      return {
        name, type: r.pick(['spatial', 'reduce']),
        extent: around?.extent ?? this.expr(2, 'i64'),
        binding: around === null ? this.expr(2, 'i64') : this.#exprs.make('var', 'i64', [], around.name),
      };
    });
    const predicate = r.chance(0.7) ? null : this.expr(3, 'bool');
    const inside = (from: number): Block => {
      const iter = iters[from];
      if (iter !== undefined) return this.#within({ name: iter.name, dtype: 'i64', extent: null }, () => inside(from + 1));
      const region = (): BufferRegion => {
        const start = r.list(3, () => this.expr(2, 'i64'));
        return { buffer: r.pick(names), start, extent: start.map(() => (r.chance(0.5) ? this.#exprs.int(1) : this.expr(2, 'i64'))) };
      };
      const init = r.chance(0.6) ? null : this.#stmt(depth - 2);
      const body = this.#stmt(depth - 1);
      const found = blockRegions(init, body, this.#buffers, this.#exprs);
      return {
        kind: 'block', name: r.pick(names), iters, predicate, init, body, annotations: r.chance(0.8) ? {} : this.#attrs(),
        reads: r.chance(0.5) ? found.reads : r.list(2, region), writes: r.chance(0.5) ? found.writes : r.list(2, region),
      };
    };
    return inside(0);
  }
}
