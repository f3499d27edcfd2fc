import {
  diagnostic, TenonError,
  type Attrs, type AttrValue, type ByteSource, type Config, type ConstantDecl, type Context, type Cost, type Diagnostic, type DiagnosticInit, type DType, type Effects, type Expr,
  type ExprLike, type FacetName, type Facets, type GraphFunction, type Host, type HostTensor, type InferCall, type IRModule, type Match, type ModuleBuilder,
  type Operator, type Pattern, type SourceDecl, type TargetContext, type TensorFunction, type TensorType, type Type, type TypeBuilder, type Value, type TensorIntrinsic,
} from '@tenon/plugin';
import { nearest, validateConfig } from '../config/config.ts';
import { buffersForCall, ModuleUnderConstruction } from '../build/graph-builder.ts';
import { FunctionBody } from '../build/tensor-builder.ts';
import { createExprs, type Exprs } from '../expr/index.ts';
import { matchPattern } from '../pattern/match.ts';
import { packInline } from './constants.ts';
import { CachedMemo } from './memo.ts';
import { createHooks, type SessionHooks } from './hooks.ts';
import { buildRegistry, type Registry } from './registry.ts';

export interface SessionOptions {
  readonly config: Config;
  readonly host: Host;
  readonly signal?: AbortSignal;
  /** Identity of the code that compiles, its plugins, configuration and targets; absent: results are not kept in the host's cache. */
  readonly identity?: string;
  readonly onProgress?: (step: string, done: number | null, total: number | null) => void;
}

/** Results with more elements than this are not evaluated while compiling. */
const evaluationLimit = 2 ** 31;

/** A target of the session with its options and what it is on this machine. */
export type ResolvedTarget = TargetContext['target'];

/**
 * One compilation's world: what the plugins declared, the interned expressions, the sources of constants, the
 * diagnostics. Nothing of it is shared between sessions.
 */
export class Session implements Context {
  readonly exprs: Exprs = createExprs();
  readonly types: TypeBuilder;
  readonly host: Host;
  readonly signal: AbortSignal;
  readonly config: Config;
  readonly memo?: CachedMemo;
  readonly hooks: SessionHooks = createHooks();
  readonly registry: Registry;
  readonly diagnostics: Diagnostic[] = [];
  readonly #sources = new Map<string, ByteSource>();
  readonly #onProgress: SessionOptions['onProgress'];

  constructor(options: SessionOptions) {
    this.config = validateConfig(options.config);
    this.host = options.host;
    this.signal = options.signal ?? new AbortController().signal;
    this.#onProgress = options.onProgress;
    if (options.identity !== undefined && this.host.cache !== null) this.memo = new CachedMemo(this.host.cache, options.identity);
    this.registry = buildRegistry(this.config.plugins ?? []);
    this.types = {
      tensor: (dtype, shape, annotations = {}) => {
        this.dtype(dtype);
        return { kind: 'tensor', dtype, shape: shape.map((d) => this.#dim(d)), annotations };
      },
      isTensor: (type): type is TensorType => type?.kind === 'tensor',
    };
    for (const plugin of this.registry.plugins) plugin.apply?.(this.hooks, this);
    this.hooks.configResolved.call(this.config);
    this.hooks.sessionStart.call();
  }

  #dim(d: ExprLike): Expr {
    return typeof d === 'number' ? this.exprs.int(d) : d;
  }

  operator(name: string): Operator | undefined {
    return this.registry.ops.get(name);
  }

  operators(): readonly Operator[] {
    return [...this.registry.ops.values()];
  }

  intrinsics(): ReadonlyMap<string, TensorIntrinsic> {
    return this.registry.intrinsics;
  }

  facet<K extends FacetName>(op: string, name: K): (K extends keyof Facets ? Facets[K] : unknown) | undefined {
    return this.registry.facets.get(op)?.[name] as (K extends keyof Facets ? Facets[K] : unknown) | undefined;
  }

  dtype(name: string): DType {
    const dtype = this.registry.dtypes.get(name);
    if (dtype === undefined) this.fail({ code: 'type/unknown-dtype', message: `unknown dtype ${name}` });
    return dtype;
  }

  bytesOf(type: { readonly dtype: string; readonly shape: readonly Expr[] }): Expr {
    const dtype = this.dtype(type.dtype);
    const elements = this.exprs.product(type.shape);
    switch (dtype.kind) {
      case 'string':
        return this.fail({ code: 'type/no-size', message: 'string tensors have no fixed size in bytes' });
      case 'block':
        return this.exprs.mul(this.exprs.ceildiv(elements, dtype.elements), dtype.bytes);
      default:
        return dtype.bits % 8 === 0 ? this.exprs.mul(elements, dtype.bits / 8) : this.exprs.ceildiv(this.exprs.mul(elements, dtype.bits), 8);
    }
  }

  #operator(name: string): Operator {
    const operator = this.operator(name);
    if (operator === undefined) {
      const near = nearest(name, this.registry.ops.keys());
      this.fail({
        code: 'op/unknown', message: `no plugin of this session declares the operator ${name}`, op: name,
        hint: near === null ? 'Add the plugin that declares it to the configuration.' : `Did you mean ${near}?`,
      });
    }
    return operator;
  }

  #call(op: string, args: readonly (Type | null)[], attrs: Attrs, contents: (i: number) => readonly Expr[] | null): InferCall {
    const fail = (code: string, message: string, hint?: string): never =>
      this.fail({ code: `op/${code}`, message: `${op}: ${message}`, op, hint: hint ?? null });
    return {
      op, args, attrs, exprs: this.exprs, contents, fail,
      dtype: (name) => this.dtype(name),
      tensor: (i) => {
        const type = args[i];
        if (type?.kind === 'tensor') return type;
        const param = this.operator(op)?.signature.params[i] ?? `argument ${i}`;
        return fail('argument', type ? `${param} is a ${type.kind}, not a tensor` : `${param} is missing`);
      },
    };
  }

  #withDefaults(operator: Operator, attrs: Attrs): Attrs {
    for (const name of Object.keys(attrs)) {
      if (!(name in operator.signature.attrs)) {
        const near = nearest(name, Object.keys(operator.signature.attrs));
        this.fail({ code: 'op/attribute', message: `${operator.name} has no attribute ${name}`, op: operator.name, hint: near === null ? null : `Did you mean ${near}?` });
      }
    }
    return { ...operator.signature.attrs, ...attrs };
  }

  infer(op: string, args: readonly (Type | null)[], attrs: Attrs, contents: (i: number) => readonly Expr[] | null = () => null): readonly Type[] {
    const operator = this.#operator(op);
    const { params } = operator.signature;
    const required = params.filter((p) => !/[?*]$/.test(p)).length;
    const variadic = params.at(-1)?.endsWith('*') ?? false;
    if (args.length < required || (!variadic && args.length > params.length)) {
      this.fail({ code: 'op/arity', message: `${op} takes (${params.join(', ')}), not ${args.length} arguments`, op });
    }
    const infer = this.facet(op, 'infer');
    if (infer === undefined) this.fail({ code: 'op/no-inference', message: `${op} has no type inference`, op });
    return infer(this.#call(op, args, this.#withDefaults(operator, attrs), contents));
  }

  shapeValue(op: string, args: readonly (Type | null)[], attrs: Attrs, contents: (i: number) => readonly Expr[] | null): readonly (readonly Expr[] | null)[] {
    const shapeValue = this.facet(op, 'shapeValue');
    return shapeValue === undefined ? [] : shapeValue(this.#call(op, args, this.#withDefaults(this.#operator(op), attrs), contents));
  }

  effects(op: string, args: readonly (Type | null)[], attrs: Attrs): Effects | null {
    const effects = this.facet(op, 'effects');
    return effects === undefined ? null : effects(this.#call(op, args, this.#withDefaults(this.#operator(op), attrs), () => null));
  }

  cost(op: string, args: readonly (Type | null)[], attrs: Attrs, contents: (i: number) => readonly Expr[] | null = () => null): Cost | null {
    const cost = this.facet(op, 'cost');
    return cost === undefined ? null : cost(this.#call(op, args, this.#withDefaults(this.#operator(op), attrs), contents));
  }

  evaluate(op: string, args: readonly (HostTensor | null)[], attrs: Attrs): readonly HostTensor[] | null {
    const reference = this.facet(op, 'reference');
    if (reference === undefined) return null;
    const full = this.#withDefaults(this.#operator(op), attrs);
    const types = args.map((a) => (a === null ? null : this.types.tensor(a.dtype, a.shape)));
    const inferred = this.infer(op, types, attrs, (i) => {
      const a = args[i];
      return a && /^[iu]\d|^bool$/.test(a.dtype) && a.data.length <= 4096 ? Array.from(a.data as ArrayLike<number | bigint>, (v) => this.exprs.int(v)) : null;
    });
    const results = inferred.map((type) => {
      if (type.kind !== 'tensor') this.fail({ code: 'op/not-a-tensor', message: `${op}: only tensors can be evaluated`, op });
      const shape = type.shape.map((d) => this.#number(op, d));
      const elements = shape.reduce((a, b) => a * b, 1);
      if (elements > evaluationLimit) this.fail({ code: 'op/too-large', message: `${op}: a result of ${elements} elements is too large to evaluate`, op });
      return { dtype: type.dtype, shape };
    });
    return reference({ op, args, attrs: concreteAttrs(full, (e) => this.#number(op, e)), results });
  }

  #number(op: string, e: Expr): number {
    const value = this.exprs.valueOf(e);
    if (value === null) this.fail({ code: 'op/symbolic', message: `${op}: a shape depends on ${this.exprs.variables(e).join(', ')}`, op });
    return value;
  }

  define(
    name: string, op: string, args: readonly (TensorType | null)[], attrs: Attrs, contents: (i: number) => readonly Expr[] | null = () => null,
  ): TensorFunction | null {
    const define = this.facet(op, 'define');
    if (define === undefined) return null;
    const operator = this.#operator(op);
    const types = this.infer(op, args, attrs, contents);
    if (!types.every((t): t is TensorType => t.kind === 'tensor')) return null;
    const buffers = buffersForCall(operator.signature.params, operator.signature.results, args, types);
    const inputs = buffers.args.filter((b) => b !== null);
    const body = new FunctionBody(this.exprs, [...inputs, ...buffers.results]);
    define({ op, args: buffers.args, attrs: this.#withDefaults(operator, attrs), results: buffers.results, contents }, body);
    return body.finish(name, inputs, buffers.results);
  }

  module(from?: IRModule): ModuleBuilder {
    return new ModuleUnderConstruction(this, from);
  }

  match(pattern: Pattern, value: Value, fn: GraphFunction, module: IRModule): Match | null {
    return matchPattern(pattern, value, fn, module, this);
  }

  async constantBytes(module: IRModule, constant: ConstantDecl): Promise<Uint8Array> {
    const { data } = constant;
    if (constant.view !== null) this.fail({ code: 'constant/view', message: `constant ${constant.name}: only dense row-major constants can be read so far` });
    if (data.kind === 'inline') return packInline(this, constant.type.dtype, data.values);
    const source = this.#sources.get(data.source);
    if (source === undefined) {
      this.fail({ code: 'constant/no-source', message: `constant ${constant.name}: its source ${module.sources.get(data.source)?.uri ?? data.source} is not open in this session` });
    }
    return source.readSync?.(data.offset, data.bytes) ?? (await source.read(data.offset, data.bytes));
  }

  /** Like `constantBytes`, into memory of the caller's: fills `destination` with the bytes from `offset` on, which begins an element. */
  async readConstant(module: IRModule, constant: ConstantDecl, offset: number, destination: Uint8Array): Promise<void> {
    const { data } = constant;
    if (data.kind === 'inline') {
      const width = data.values.length === 0 ? 1 : this.exprs.valueOf(this.bytesOf(constant.type))! / data.values.length;
      const values = data.values.slice(offset / width, (offset + destination.length) / width);
      return destination.set(await this.constantBytes(module, { ...constant, data: { ...data, values } }));
    }
    const source = constant.view === null ? this.#sources.get(data.source) : undefined;
    if (source?.readInto !== undefined) return source.readInto(data.offset + offset, destination);
    destination.set(await this.constantBytes(module, { ...constant, data: { ...data, offset: data.offset + offset, bytes: destination.length } }));
  }

  addBytes(name: string, bytes: Uint8Array): SourceDecl {
    const range = (offset: number, length: number): Uint8Array => {
      if (offset + length > bytes.length) this.fail({ code: 'constant/out-of-range', message: `${name} has ${bytes.length} bytes; ${offset} … ${offset + length} were asked for` });
      return bytes.subarray(offset, offset + length);
    };
    const source: ByteSource = {
      uri: 'memory:', bytes: bytes.length, id: `${this.#sources.size}-${bytes.length}`,
      readSync: range, read: async (offset, length) => range(offset, length), close: () => {},
    };
    return this.addSource(name, source);
  }

  addSource(name: string, source: ByteSource): SourceDecl {
    let unique = name;
    for (let n = 1; this.#sources.has(unique); n++) unique = `${name}_${n}`;
    this.#sources.set(unique, source);
    return { name: unique, uri: source.uri, id: source.id, bytes: source.bytes };
  }

  /** An open source of constants, by the name of its declaration. */
  source(name: string): ByteSource | undefined {
    return this.#sources.get(name);
  }

  report(init: DiagnosticInit): void {
    const d = diagnostic({ severity: 'warning', ...init });
    this.diagnostics.push(d);
    this.hooks.diagnostic.call(d);
  }

  fail(init: DiagnosticInit): never {
    throw new TenonError(init);
  }

  progress(step: string, done?: number, total?: number): void {
    if (this.signal.aborted) throw new TenonError({ code: 'session/aborted', message: `stopped during ${step}` }, { cause: this.signal.reason });
    this.#onProgress?.(step, done ?? null, total ?? null);
  }

  /** A target by name, with options and device resolved. */
  async resolveTarget(name: string, options: Attrs): Promise<ResolvedTarget> {
    const target = this.registry.targets.get(name);
    if (target === undefined) {
      const near = nearest(name, this.registry.targets.keys());
      this.fail({
        code: 'target/unknown', message: `no plugin of this session declares the target ${name}`,
        hint: near !== null ? `Did you mean ${near}?` : `Known targets: ${[...this.registry.targets.keys()].join(', ') || 'none'}. Add the target's plugin to the configuration.`,
      });
    }
    return { name, form: target.form, options, device: await target.device(options, this) };
  }

  end(): void {
    this.hooks.sessionEnd.call();
    for (const source of this.#sources.values()) source.close();
    this.#sources.clear();
  }
}

/** Attributes with every dim replaced by its value. */
export function concreteAttrs(attrs: Attrs, value: (e: Expr) => number): Attrs {
  const visit = (a: AttrValue): AttrValue => {
    if (a === null || typeof a !== 'object') return a;
    if (Array.isArray(a)) return a.map(visit);
    if ((a as Expr).tag === 'expr') return value(a as Expr);
    return Object.fromEntries(Object.entries(a as Attrs).map(([k, v]) => [k, visit(v)]));
  };
  return visit(attrs as AttrValue) as Attrs;
}
