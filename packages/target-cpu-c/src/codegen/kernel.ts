import { visitStmts } from '@tenon/core';
import type { Buffer, Expr, ExprBuilder, For, Scope, Stmt, TensorFunction } from '@tenon/plugin';
import { costOf } from './cost.ts';
import { Emitter, type Intrinsics } from './emitter.ts';
import { indent } from './indent.ts';
import { StatementWriter } from './statements.ts';
import { elementType } from './types.ts';
import { readsMemory } from './vectorize.ts';

/** Stands for the function's name in `Stage.text`, so that equal kernels have equal text. */
export const kernelSymbol = 'TENON_KERNEL';

/** One C function: all of a tensor function, or one of several loop nests that run one after another. */
export interface Stage {
  /** A whole translation unit. */
  readonly text: string;
  /** Iterations to share among threads, over the kernel's scalars; null: the function runs once. */
  readonly extent: Expr | null;
  /** Work of one iteration, about in thirds of nanoseconds. */
  readonly cost: Expr;
  /** Bytes of scratch memory per thread. */
  readonly scratch: Expr;
}

/** A tensor function as C. Formulas are over the scalars, which are called `n0`, `n1`, …. */
export interface Kernel {
  readonly stages: readonly Stage[];
  /** The tensor function's free dims and scalars, in the order that the C functions take them. */
  readonly scalars: readonly string[];
  /** Bytes of buffers that live as long as the call; they follow inputs and outputs as arguments. */
  readonly temporaries: readonly Expr[];
}

export interface KernelOptions {
  readonly exprs: ExprBuilder;
  readonly vectorBytes: number;
  /** What is known of dims. */
  readonly facts: Scope;
  readonly intrinsics?: Intrinsics;
}

/**
 * Translates a tensor function whose body is loops, stores, lets, ifs, whiles and allocations (no blocks) to C.
 * A `parallel` loop that is the outermost statement of a nest is shared among threads; others run serially.
 */
export function generateKernel(fn: TensorFunction, options: KernelOptions): Kernel {
  const { exprs, vectorBytes } = options;
  const names = new Set<string>();
  for (const buffer of [...fn.inputs, ...fn.outputs]) for (const dim of buffer.shape) for (const name of exprs.variables(dim)) names.add(name);
  const dims = new Set(names);
  for (const name of fn.scalars) names.add(name);
  const scalars = [...names];
  const toC = new Map(scalars.map((name, k) => [name, exprs.variable(`n${k}`)]));

  const temporaries: Buffer[] = [];
  let body = fn.body;
  while (body.kind === 'alloc' && body.buffer.scope === 'global') {
    temporaries.push(body.buffer);
    body = body.body;
  }
  const nests = body.kind === 'seq' ? body.body : [body];
  // Without a loop to share there is nothing to gain from several functions.
  const parts = nests.some((s) => parallelLoop(s) !== null) ? nests : [body];

  const stages = parts.map((part): Stage => {
    const loop = parallelLoop(part);
    const shared = loop === null ? null : extentOutside(exprs, part, loop);
    const parallel = shared === null ? null : loop;
    const { text, scratch } = writeFunction(fn, part, parallel, temporaries, scalars, dims, options);
    const cost = costOf(exprs, parallel?.body ?? part, vectorBytes);
    return {
      text,
      scratch,
      extent: shared === null ? null : exprs.substitute(shared, toC),
      cost: closed(exprs, exprs.substitute(cost, toC)),
    };
  });
  return {
    stages,
    scalars,
    temporaries: temporaries.map((b) => exprs.substitute(exprs.mul(exprs.product(b.shape), elementType(b.dtype).bytes), toC)),
  };
}

/** An estimate with variables from inside the kernel, taken at 0. */
function closed(exprs: ExprBuilder, e: Expr): Expr {
  const inner = exprs.variables(e).filter((name) => !/^n\d+$/.test(name));
  return inner.length === 0 ? e : exprs.substitute(e, new Map(inner.map((name) => [name, exprs.int(0)])));
}

/** The parallel loop of a nest, if it stands outermost. */
function parallelLoop(s: Stmt): For | null {
  if (s.kind === 'let' || s.kind === 'alloc') return parallelLoop(s.body);
  return s.kind === 'for' && s.loop === 'parallel' ? s : null;
}

/** The extent of the parallel loop in terms of what is known before the nest runs; null where it depends on memory. */
function extentOutside(exprs: ExprBuilder, s: Stmt, loop: For): Expr | null {
  const lets = new Map<string, Expr>();
  for (let at: Stmt = s; at !== loop; ) {
    if (at.kind === 'let') lets.set(at.variable, exprs.substitute(at.value, lets));
    at = (at as { readonly body: Stmt }).body;
  }
  const extent = exprs.substitute(loop.extent, lets);
  return readsMemory(extent) ? null : extent;
}

function writeFunction(
  fn: TensorFunction, body: Stmt, parallel: For | null, temporaries: readonly Buffer[], scalars: readonly string[],
  dims: ReadonlySet<string>, options: KernelOptions,
): { text: string; scratch: Expr } {
  const stored = new Set<string>();
  visitStmts(body, (s) => {
    if (s.kind === 'store') stored.add(s.buffer);
    const known = s.kind === 'evaluate' && s.value.op === 'call' ? options.intrinsics?.get(s.value.value as string) : undefined;
    if (s.kind === 'evaluate' && known !== undefined) {
      const { inputs, outputs } = known.description;
      for (const load of s.value.args.slice(inputs.length, inputs.length + outputs.length)) stored.add(load.value as string);
    }
  });
  const inMemory = new Set<string>();
  for (;;) {
    const em = new Emitter({ exprs: options.exprs, vectorBytes: options.vectorBytes, kernel: fn.name, inMemory, ...(options.intrinsics && { intrinsics: options.intrinsics }) });
    scalars.forEach((name, k) => {
      em.bindings.set(name, em.exprs.variable(`n${k}`));
      // A scalar may be negative; a dim of a shape may not.
      em.facts.set(`n${k}`, options.facts.get(name) ?? { min: dims.has(name) ? 0 : null, max: null });
      em.declare('const i64', `n${k}`, `n[${k}]`);
    });
    [...fn.inputs, ...fn.outputs, ...temporaries].forEach((buffer, k) => {
      const type = elementType(buffer.dtype);
      em.buffers.set(buffer.name, { type, shape: buffer.shape.map((d) => em.canonical(d)), name: `a${k}`, kind: 'memory', lanes: 1, vectors: false });
      const element = stored.has(buffer.name) ? type.storage : `const ${type.storage}`;
      em.declare(`${element}* const`, `a${k}`, `(${element}*)p[${k}]`);
    });
    em.cTypes.set('scratch', 'char* const');
    const writer = new StatementWriter(em, parallel);
    writer.write(body, null);
    if (em.misfits.size > 0) {
      for (const name of em.misfits) inMemory.add(name);
      continue;
    }
    const text = `${em.support.text()}
${em.functions.map((text) => `${text}\n`).join('')}__attribute__((visibility("hidden"))) void ${kernelSymbol}(void* const* p, const i64* n, i64 begin, i64 end, char* scratch) {
${indent(em.lines)}
}
`;
    return { text, scratch: writer.scratch };
  }
}
