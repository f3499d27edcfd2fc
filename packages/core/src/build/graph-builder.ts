import type {
  Attrs, Binding, Buffer, ConstantData, ConstantDecl, Context, Dim, DimDecl, Expr, ExprBuilder, ExprLike, FunctionBuilder, GraphBuilder, GraphFunction, IRFunction,
  IRModule, Location, ModuleBuilder, SourceDecl, TensorType, Type, Value, ByteSource,
} from '@tenon/plugin';
import { gcd, type Exprs } from '../expr/index.ts';

/** Names that tensor functions use for loops, iteration variables and lets. */
const reserved = /^[a-z]_\d+$/;

/** Lets the session's expressions use what a module declares of a dim. */
export function learnDim(exprs: ExprBuilder, dim: DimDecl): void {
  (exprs as Exprs).facts.set(dim.name, { min: dim.min, max: dim.max, multipleOf: dim.multipleOf });
}

/** What two declarations of a dim say together. */
function intersection(a: DimDecl, b: Partial<DimDecl>): Pick<DimDecl, 'min' | 'max' | 'multipleOf'> {
  const max = b.max ?? null;
  const multipleOf = b.multipleOf ?? 1;
  return {
    min: Math.max(a.min, b.min ?? a.min), max: a.max === null ? max : max === null ? a.max : Math.min(a.max, max),
    multipleOf: (a.multipleOf / gcd(a.multipleOf, multipleOf)) * multipleOf,
  };
}

export class ModuleUnderConstruction implements ModuleBuilder {
  readonly ctx: Context;
  readonly dims: Map<string, DimDecl>;
  readonly sources: Map<string, SourceDecl>;
  readonly constants: Map<string, ConstantDecl>;
  readonly functions: Map<string, IRFunction>;
  /** Known integer contents of values, found as the graph is built. */
  readonly knownContents = new Map<Value, readonly Expr[]>();
  readonly #constantValues = new Map<string, Value>();

  constructor(ctx: Context, from: IRModule | undefined) {
    this.ctx = ctx;
    this.dims = new Map(from?.dims);
    this.sources = new Map(from?.sources);
    this.constants = new Map(from?.constants);
    this.functions = new Map(from?.functions);
    for (const dim of this.dims.values()) learnDim(ctx.exprs, dim);
  }

  dim(decl: { readonly name: string } & Partial<DimDecl>): Dim {
    const name = reserved.test(decl.name) ? `${decl.name}_dim` : decl.name;
    const before = this.dims.get(name);
    const full = before === undefined
      ? { min: 0, max: null, multipleOf: 1, binding: 'call' as const, hint: null, ...decl, name }
      : { ...before, ...decl, name, ...intersection(before, decl) };
    if (full.max !== null && full.max < full.min) {
      this.ctx.fail({ code: 'module/dim-range', message: `nothing is left of the range of dim ${name}: at least ${full.min}, at most ${full.max}` });
    }
    this.dims.set(name, full);
    learnDim(this.ctx.exprs, full);
    return this.ctx.exprs.variable(name);
  }

  freshDim(prefix: string, decl: Partial<DimDecl> = {}): Dim {
    const base = reserved.test(`${prefix}1`) || reserved.test(prefix) ? `${prefix}_dim` : prefix;
    let name = base;
    for (let n = 1; this.dims.has(name); n++) name = `${base}${n}`;
    return this.dim({ ...decl, name });
  }

  source(decl: SourceDecl): void {
    this.sources.set(decl.name, decl);
  }

  addSource(name: string, source: ByteSource): SourceDecl {
    const decl = this.ctx.addSource(name, source);
    this.source(decl);
    return decl;
  }

  constant(name: string, type: TensorType, data: ConstantData): Value {
    let unique = name;
    for (let n = 1; this.constants.has(unique); n++) unique = `${name}_${n}`;
    this.constants.set(unique, { name: unique, type, data, view: null });
    return { name: unique, type, constant: true };
  }

  /** An inline constant, one per distinct content. */
  inline(values: readonly (number | bigint)[], dtype: string, shape: readonly number[]): Value {
    const key = `${dtype}[${shape.join()}]${values.map((v) => (Object.is(v, -0) ? '-0' : String(v))).join()}`;
    let value = this.#constantValues.get(key);
    if (value === undefined) {
      const type = this.ctx.types.tensor(dtype, shape);
      value = this.constant(`c${this.constants.size}`, type, { kind: 'inline', values });
      this.#constantValues.set(key, value);
    }
    return value;
  }

  graph(name: string, params: readonly { readonly name: string; readonly type: Type }[], attrs: Attrs = {}): FunctionBuilder {
    return new FunctionUnderConstruction(this, name, params, attrs);
  }

  add(fn: IRFunction): void {
    this.functions.set(fn.name, fn);
  }

  remove(name: string): void {
    this.functions.delete(name);
  }

  finish(): IRModule {
    return { dims: this.dims, sources: this.sources, constants: this.constants, functions: this.functions };
  }

  contents(value: Value): readonly Expr[] | null {
    let known = this.knownContents.get(value) ?? null;
    if (known === null) {
      known = contentsOfConstantOrParam(this.ctx.exprs, value, this.constants);
      if (known !== null) this.knownContents.set(value, known);
    }
    return known;
  }
}

/** Contents that follow from the value itself: an inline integer constant, or a parameter whose elements bind dims. */
export function contentsOfConstantOrParam(exprs: ExprBuilder, value: Value, constants: ReadonlyMap<string, ConstantDecl>): readonly Expr[] | null {
  if (value.type.kind !== 'tensor') return null;
  if (!value.constant) {
    const contents = value.type.annotations['contents'];
    return Array.isArray(contents) ? (contents as readonly Expr[]) : null;
  }
  if (!/^[iu]\d|^bool$/.test(value.type.dtype)) return null;
  const data = constants.get(value.name)?.data;
  return data?.kind === 'inline' ? data.values.map((v) => exprs.int(v)) : null;
}

/** Bindings under construction: part of a function (a rewrite, a decomposition) or the whole of one. */
export class GraphFragment implements GraphBuilder {
  readonly exprs: ExprBuilder;
  loc: Location | null = null;
  readonly bindings: Binding[] = [];
  readonly #module: ModuleUnderConstruction;
  readonly #names: Set<string>;

  /** `names`: taken in the function; grows as values are made. */
  constructor(module: ModuleUnderConstruction, names: Set<string>) {
    this.#module = module;
    this.exprs = module.ctx.exprs;
    this.#names = names;
  }

  #fresh(): string {
    let n = this.#names.size;
    while (this.#names.has(String(n))) n++;
    this.#names.add(String(n));
    return String(n);
  }

  op(name: string, args: readonly (Value | null)[], attrs: Attrs = {}): readonly Value[] {
    const { ctx } = this.#module;
    const types = args.map((a) => a?.type ?? null);
    const known = (i: number): readonly Expr[] | null => {
      const arg = args[i];
      return arg ? this.#module.contents(arg) : null;
    };
    const resultTypes = ctx.infer(name, types, attrs, known);
    const results = resultTypes.map((type): Value => ({ name: this.#fresh(), type, constant: false }));
    const contents = ctx.shapeValue(name, types, attrs, known);
    results.forEach((r, i) => {
      const elements = contents[i];
      if (elements) this.#module.knownContents.set(r, elements);
    });
    const effects = ctx.effects(name, types, attrs);
    this.bindings.push({ kind: 'op', callee: name, args, scalars: [], attrs, results, effects, loc: this.loc });
    return results;
  }

  call(name: string, args: readonly (Value | null)[], attrs: Attrs = {}): Value {
    const results = this.op(name, args, attrs);
    if (results.length !== 1) throw new RangeError(`${name} has ${results.length} results; use op()`);
    return results[0]!;
  }

  constant(values: readonly (number | bigint)[], dtype: string, shape: readonly number[]): Value {
    return this.#module.inline(values, dtype, shape);
  }

  contents(value: Value): readonly Expr[] | null {
    return this.#module.contents(value);
  }

  dims(values: readonly ExprLike[], shape?: readonly number[]): Value {
    const dims = values.map((v) => (typeof v === 'number' ? this.exprs.int(v) : v));
    const numbers = dims.map((d) => this.exprs.valueOf(d));
    if (numbers.every((v) => v !== null)) return this.constant(numbers, 'i64', shape ?? [dims.length]);
    return this.call('shape.dims', [], { dims, shape: shape ?? [dims.length] });
  }

}

class FunctionUnderConstruction extends GraphFragment implements FunctionBuilder {
  readonly params: readonly Value[];
  readonly #module: ModuleUnderConstruction;
  readonly #name: string;
  readonly #attrs: Attrs;

  constructor(module: ModuleUnderConstruction, name: string, params: readonly { readonly name: string; readonly type: Type }[], attrs: Attrs) {
    super(module, new Set(params.map((p) => p.name)));
    this.#module = module;
    this.#name = name;
    this.#attrs = attrs;
    this.params = params.map((p) => ({ name: p.name, type: p.type, constant: false }));
  }

  finish(results: readonly Value[], resultNames: readonly string[] = results.map((r) => r.name)): GraphFunction {
    const fn: GraphFunction = {
      kind: 'graph', name: this.#name, params: this.params, bindings: this.bindings, results, resultNames, attrs: this.#attrs,
    };
    this.#module.add(fn);
    return fn;
  }
}

/** Buffers for a call's arguments and results, for its tensor-level definition. */
export function buffersForCall(
  params: readonly string[],
  results: readonly string[],
  args: readonly (TensorType | null)[],
  resultTypes: readonly TensorType[],
): { args: (Buffer | null)[]; results: Buffer[] } {
  const taken = new Set<string>();
  const named = (name: string, type: TensorType): Buffer => {
    let unique = name;
    for (let n = 1; taken.has(unique); n++) unique = `${name}${n}`;
    taken.add(unique);
    return { name: unique, dtype: type.dtype, shape: type.shape, scope: 'global' };
  };
  const plain = (name: string): string => name.replace(/[?*]$/, '');
  return {
    args: args.map((type, i) => (type === null ? null : named(plain(params[Math.min(i, params.length - 1)] ?? `arg${i}`), type))),
    results: resultTypes.map((type, i) => named(plain(results[Math.min(i, results.length - 1)] ?? 'out'), type)),
  };
}
