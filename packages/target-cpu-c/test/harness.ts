import { createExprs } from '@tenon/core';
import type {
  Attrs, Buffer, Cache, CodegenBlob, CodegenRegion, Expr, ExprBuilder, ExprLike, For, GraphFunction, LoadedBlob, LoopKind, PlannedBuffer,
  RegionPlan, Stmt, TargetContext, TensorFunction, View,
} from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';
import { cpuC } from '../src/loader.ts';
import { cpuCTarget, type CpuCOptions } from '../src/target.ts';

/** Shorthands for tensor functions written by hand. */
export function statements(exprs: ExprBuilder) {
  const expr = (e: ExprLike): Expr => (typeof e === 'number' ? exprs.int(e) : e);
  const v = (name: string, dtype?: string): Expr => exprs.variable(name, dtype);
  return {
    v,
    buffer: (name: string, dtype: string, shape: readonly ExprLike[], scope = 'global'): Buffer => ({ name, dtype, shape: shape.map(expr), scope }),
    loop: (variable: string, extent: ExprLike, loop: LoopKind, ...body: Stmt[]): For => ({
      kind: 'for', variable, extent: expr(extent), loop, annotations: {}, body: seq(...body),
    }),
    store: (buffer: Buffer, indices: readonly ExprLike[], value: ExprLike): Stmt => ({
      kind: 'store', buffer: buffer.name, indices: indices.map(expr), value: typeof value === 'number' ? exprs.constant(value, buffer.dtype) : value,
    }),
    load: (buffer: Buffer, ...indices: ExprLike[]): Expr => exprs.load(buffer, indices),
    alloc: (buffer: Buffer, ...body: Stmt[]): Stmt => ({ kind: 'alloc', buffer, body: seq(...body) }),
    let: (variable: string, value: Expr, ...body: Stmt[]): Stmt => ({ kind: 'let', variable, value, body: seq(...body) }),
    if: (condition: Expr, then: Stmt, otherwise: Stmt | null = null): Stmt => ({ kind: 'if', condition, then, otherwise }),
    while: (condition: Expr, ...body: Stmt[]): Stmt => ({ kind: 'while', condition, body: seq(...body) }),
    evaluate: (value: Expr): Stmt => ({ kind: 'evaluate', value }),
    fn: (name: string, inputs: readonly Buffer[], outputs: readonly Buffer[], body: Stmt, scalars: readonly string[] = []): TensorFunction => ({
      kind: 'tensor', name, inputs, outputs, scalars, body, attrs: {},
    }),
  };
}
export const seq = (...body: Stmt[]): Stmt => (body.length === 1 ? body[0]! : { kind: 'seq', body });

/** TENON_TEST_MARCH compiles the tests for another processor than this one, e.g. `x86-64` for 16-byte vectors. */
const march = process.env['TENON_TEST_MARCH'];

/** A compiler session reduced to what the target asks of it. */
export async function targetContext(
  options: CpuCOptions = march === undefined ? {} : { march },
  more: { readonly exprs?: ExprBuilder; readonly cache?: Cache | null; readonly signal?: AbortSignal; readonly progress?: (step: string, done?: number, total?: number) => void } = {},
): Promise<{ target: ReturnType<typeof cpuCTarget>; ctx: TargetContext }> {
  const exprs = more.exprs ?? createExprs();
  const target = cpuCTarget({});
  const base = {
    exprs,
    intrinsics: () => new Map(),
    host: { cache: more.cache ?? null },
    signal: more.signal ?? new AbortController().signal,
    progress: more.progress ?? ((): void => undefined),
    fail: (d: { code: string; message: string }): never => {
      throw new TenonError(d);
    },
  } as unknown as TargetContext;
  const device = await target.device(options as Attrs, base);
  return { target, ctx: { ...base, exprs, target: { name: target.name, form: target.form, options: options as Attrs, device } } };
}

/** A region of one launch: the function's inputs as arguments, its outputs as results. Scalars are the region's dims. */
export function regionOf(fn: TensorFunction, exprs: ExprBuilder, entry = fn.name): CodegenRegion {
  const bytesOf: { readonly [dtype: string]: number } = { f64: 8, i64: 8, u64: 8, f32: 4, i32: 4, u32: 4, f16: 2, bf16: 2, i16: 2, u16: 2, i8: 1, u8: 1, bool: 1 };
  const planned = (b: Buffer, storage: PlannedBuffer['storage']): PlannedBuffer => ({
    name: b.name, dtype: b.dtype, shape: b.shape, bytes: exprs.mul(exprs.product(b.shape), bytesOf[b.dtype]!), storage,
  });
  const names = new Set([...fn.inputs, ...fn.outputs].flatMap((b) => b.shape.flatMap((d) => exprs.variables(d))));
  for (const name of fn.scalars) names.add(name);
  const dims = [...names];
  const plan: RegionPlan = {
    entry,
    dims,
    runDims: [],
    params: fn.inputs.length,
    results: fn.outputs.length,
    constants: [],
    workspace: exprs.int(0),
    buffers: [
      ...fn.inputs.map((b, index) => planned(b, { kind: 'argument', index })),
      ...fn.outputs.map((b, index) => planned(b, { kind: 'result', index })),
    ],
    launches: [{
      kernel: fn.name,
      args: [...fn.inputs, ...fn.outputs].map((_, i) => i),
      scalars: dims.map((name) => ({ name, value: exprs.variable(name) })),
      locs: [],
      ops: [],
      flops: exprs.int(0),
      bytes: exprs.int(0),
    }],
  };
  return region(plan, [fn]);
}

export function region(plan: RegionPlan, functions: readonly TensorFunction[]): CodegenRegion {
  return {
    name: plan.entry,
    graph: { kind: 'graph', name: plan.entry, params: [], bindings: [], results: [], resultNames: [], attrs: {} } satisfies GraphFunction,
    dims: plan.dims,
    libraries: [],
    matches: [],
    facts: new Map(plan.dims.map((name) => [name, { min: 0, max: null }])),
    functions: new Map(functions.map((f) => [f.name, f])),
    plan,
    constants: new Map(),
    constantBytes: () => Promise.reject(new Error('no constants')),
  };
}

export type Data = Float32Array | Float64Array | BigInt64Array | BigUint64Array | Int32Array | Uint32Array | Int16Array | Uint16Array | Int8Array | Uint8Array;

export function viewOf(data: Data): View {
  const host = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return { buffer: { bytes: host.length, host }, byteOffset: 0, bytes: host.length };
}

/** Compiled functions, ready to run: each call binds and runs synchronously. */
export interface Compiled {
  readonly blob: CodegenBlob;
  readonly loaded: LoadedBlob;
  run(entry: string, data: readonly Data[], dims?: readonly number[], workspace?: number): readonly number[];
}

export async function compileAll(regions: readonly CodegenRegion[], setup: Awaited<ReturnType<typeof targetContext>>, threads = 2): Promise<Compiled> {
  const [blob] = await setup.target.codegen(regions, setup.ctx);
  const loader = cpuC();
  const info = { format: blob!.format, formatVersion: blob!.formatVersion, requires: blob!.requires, entries: blob!.entries.map((e) => ({ symbol: e.symbol, kernels: e.kernels.map((k) => k.name) })) };
  const loaded = await loader.load(info, blob!.bytes, { threads });
  return {
    blob: blob!,
    loaded,
    run(entry, data, dims = [], workspace = 0) {
      const found = blob!.entries.find((e) => e.region === entry)!;
      const views = data.map(viewOf);
      if (found.workspace !== null) views.push({ buffer: loader.device.allocate(workspace), byteOffset: 0, bytes: workspace });
      const call = loaded.bind(found.symbol, views, dims);
      call.runSync!();
      return call.runDims;
    },
  };
}
