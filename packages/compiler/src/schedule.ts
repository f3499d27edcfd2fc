import {
  intrinsicsOf,
  type Binding, type Buffer, type Expr, type GraphFunction, type IRModule, type PassContext, type Pass, type RejectedSchedule, type ScheduleRecord, type ScheduleRule, type Scope, type Stmt, type TensorFunction, type Value, type Verdict, type TargetContext,
} from '@tenon/plugin';
import { buffersOf, loadsOf, seq, visitStmts, type Session } from '@tenon/core';
import { lower } from '@tenon/schedule';
import { withScalars } from './free-dims.ts';
import { dimScope, freshName, graphFunctions } from './graph.ts';
import { flopsOf } from './memory/flops.ts';
import { Packer, packingOf, type Packing, type Packings } from './pack.ts';

/**
 * Schedules every kernel of a target with the most specific rule that fits, removes its blocks, and cuts it into launches:
 * one kernel per outermost loop nest, with temporaries between them as values of the graph.
 */
export function schedulePass(session: Session, records: ScheduleRecord[], packings: Packings = new Map()): Pass {
  return {
    name: 'schedule-kernels',
    phase: 'schedule',
    doc: 'Schedules kernels by rule and cuts them into launches.',
    run: (module, ctx) => scheduleModule(module, ctx, session, records, packings),
  };
}

interface Scheduled {
  readonly pieces: readonly Piece[];
  readonly temporaries: readonly Buffer[];
  /** Constant inputs that the schedule wants in another layout. */
  readonly packings: ReadonlyMap<string, Packing>;
}
/** One launch: its function, and the buffers of the whole kernel that its arguments are. */
interface Piece {
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Outputs that earlier launches have written already. */
  readonly updates: readonly string[];
  readonly scalars: readonly string[];
}

function scheduleModule(module: IRModule, ctx: PassContext, session: Session, records: ScheduleRecord[], packings: Packings): IRModule {
  const { target } = ctx;
  if (target?.form !== 'kernels') return module;
  const functions = new Map(module.functions);
  const dims = dimScope(module);
  const mine = session.registry.schedules.filter((r) => r.target === target.name).sort((a, b) => b.specificity - a.specificity || (a.id < b.id ? -1 : 1));
  const done = new Map<string, Scheduled>();
  const packer = new Packer(module, session, packings);
  for (const fn of graphFunctions(module)) {
    if (fn.attrs['target'] !== target.name) continue;
    const bindings: Binding[] = [];
    const names = new Set(fn.params.map((p) => p.name));
    for (const b of fn.bindings) for (const r of b.results) names.add(r.name);
    for (const binding of fn.bindings) {
      if (binding.kind !== 'kernel') {
        bindings.push(binding);
        continue;
      }
      let scheduled = done.get(binding.callee);
      if (scheduled === undefined) {
        const kernel = module.functions.get(binding.callee);
        if (kernel?.kind !== 'tensor') return ctx.fail({ code: 'schedule/callee', message: `@${binding.callee} is not a tensor function` });
        ctx.progress('schedule kernels');
        const applied = applyRule(kernel, mine, ctx);
        scheduled = cut(applied.scheduled, flopsOf(kernel, ctx.exprs, ctx.intrinsics()), functions, ctx, dims);
        records.push({ ...applied.record, launches: scheduled.pieces.map((p) => p.name) });
        done.set(binding.callee, scheduled);
      }
      bindings.push(...launches(binding, module.functions.get(binding.callee) as TensorFunction, scheduled, names, ctx, packer));
    }
    const next: GraphFunction = { ...fn, bindings };
    functions.set(fn.name, next);
  }
  return {
    ...module, functions,
    constants: new Map([...module.constants, ...packer.constants]), sources: new Map([...module.sources, ...packer.sources]),
  };
}

/** The function as its rule has it, and what there is to say of that; `launches` is not known yet. */
function applyRule(fn: TensorFunction, rules: readonly ScheduleRule[], ctx: PassContext): { scheduled: TensorFunction; record: Omit<ScheduleRecord, 'launches'> } {
  const targetCtx = ctx as PassContext & { readonly target: NonNullable<PassContext['target']> };
  const rejected: RejectedSchedule[] = [];
  const choices: { name: string; value: number | string | boolean }[] = [];
  let taken: ScheduleRule | null = null;
  for (const rule of rules) {
    if (taken !== null) {
      rejected.push({ rule: rule.id, code: 'schedule/less-specific', message: `its specificity is ${rule.specificity}, that of ${taken.id} ${taken.specificity}`, hint: null });
      continue;
    }
    const verdict: Verdict = rule.applies(fn, targetCtx);
    if (verdict.ok) taken = rule;
    else rejected.push({ rule: rule.id, code: verdict.code, message: verdict.message, hint: verdict.hint });
  }
  const record = { kernel: fn.name, target: targetCtx.target.name, rule: taken?.id ?? null, rejected, choices };
  if (taken === null) return { scheduled: fn, record };
  const scheduled = taken.apply(fn, targetCtx, {
    choose: (name, values, byDefault) => {
      if (!values.includes(byDefault)) ctx.fail({ code: 'schedule/choice', message: `${taken.id}: the default ${byDefault} of ${name} is not among its values` });
      choices.push({ name, value: byDefault });
      return byDefault;
    },
  });
  return { scheduled, record };
}

/** Cuts a scheduled function at its outermost statements, and lowers each part. */
function cut(fn: TensorFunction, flops: Expr, functions: Map<string, GraphFunction | TensorFunction>, ctx: PassContext, dims: Scope): Scheduled {
  const intrinsics = intrinsicsOf(ctx as PassContext & TargetContext);
  const temporaries: Buffer[] = [];
  let body: Stmt = fn.body;
  while (body.kind === 'alloc' && body.buffer.scope === 'global') {
    temporaries.push(body.buffer);
    body = body.body;
  }
  const buffers = buffersOf(fn);
  const written = new Set<string>();
  const own = new Set([...fn.inputs, ...fn.outputs, ...temporaries].map((b) => b.name));
  functions.delete(fn.name);
  const writesOf = (part: Stmt): Set<string> => {
    const writes = new Set<string>();
    visitStmts(part, (s) => {
      if (s.kind === 'store' && own.has(s.buffer)) writes.add(s.buffer);
    });
    return writes;
  };
  // Loops over nothing are gone: what is left of them writes nothing.
  const parts = (body.kind === 'seq' ? body.body : [body]).filter((part) => writesOf(part).size > 0);
  // With them went the stores to buffers without elements: the first launch stands for them.
  const everything = new Set(parts.flatMap((part) => [...writesOf(part)]));
  const empty = [...fn.outputs, ...temporaries].map((b) => b.name).filter((b) => !everything.has(b));
  const pieces = (parts.length === 0 ? [seq([])] : parts).map((part, i): Piece => {
    const reads = new Set(loadsOf(part).map((l) => l.value as string).filter((b) => own.has(b)));
    const writes = writesOf(part);
    if (i === 0) for (const b of empty) writes.add(b);
    const outputs = [...own].filter((b) => writes.has(b));
    const updates = outputs.filter((b) => written.has(b));
    const inputs = [...own].filter((b) => reads.has(b) && !writes.has(b));
    for (const b of writes) written.add(b);
    const name = parts.length <= 1 ? fn.name : freshName(functions, `${fn.name}_${i}`);
    const piece: TensorFunction = {
      ...fn, name, body: seq([part]),
      // What an earlier launch wrote comes in as an argument too, so that the order of launches shows in the data flow.
      inputs: [...inputs.map((b) => ({ ...buffers.get(b)!, scope: 'global' })), ...updates.map((b) => ({ ...buffers.get(b)!, name: `${b}_before`, scope: 'global' }))],
      outputs: outputs.map((b) => ({ ...buffers.get(b)!, scope: 'global' })),
    };
    const lowered = withScalars(lower(piece, ctx.exprs, dims, { intrinsics }));
    functions.set(name, lowered);
    return { name, inputs, outputs, updates, scalars: lowered.scalars };
  });
  noteFlops(pieces, flops, functions, ctx);
  const packings = new Map<string, Packing>();
  for (const input of fn.inputs) {
    const packing = packingOf(fn, input.name);
    if (packing !== null) packings.set(input.name, packing);
  }
  return { pieces, temporaries, packings };
}

/**
 * Notes what the last launch computes of the operations that the kernel's definition has: its own loops tell no exact number
 * where tiles have edges. Launches before it move elements.
 */
function noteFlops(pieces: readonly Piece[], all: Expr, functions: Map<string, GraphFunction | TensorFunction>, ctx: PassContext): void {
  const last = pieces.at(-1)!;
  const fn = functions.get(last.name) as TensorFunction;
  const others = pieces.slice(0, -1).map((p) => flopsOf(functions.get(p.name) as TensorFunction, ctx.exprs, ctx.intrinsics()));
  const flops = ctx.exprs.valueOf(others.reduce((rest, f) => ctx.exprs.sub(rest, f), all));
  if (flops !== null && flops >= 0) functions.set(last.name, { ...fn, attrs: { ...fn.attrs, flops } });
}

/** The launches of one kernel call. */
function launches(
  call: Binding, kernel: TensorFunction, scheduled: Scheduled, names: Set<string>, ctx: PassContext, packer: Packer,
): Binding[] {
  const values = new Map<string, Value>();
  for (const [i, b] of kernel.inputs.entries()) {
    const packing = scheduled.packings.get(b.name);
    values.set(b.name, packing === undefined ? call.args[i]! : packer.pack(call.args[i]!, packing));
  }
  // Equal kernels share a function whatever their scalars are called: the call says what they are.
  const scalars = new Map(kernel.scalars.map((name, i) => [name, call.scalars[i]!]));
  const finals = new Map(kernel.outputs.map((b, i) => [b.name, call.results[i]!]));
  const fresh = (base: string): string => {
    let name = base;
    for (let n = 1; names.has(name); n++) name = `${base}.${n}`;
    names.add(name);
    return name;
  };
  const shapes = new Map([...scheduled.temporaries, ...kernel.outputs].map((b) => [b.name, b]));
  const lastWrite = new Map<string, number>();
  scheduled.pieces.forEach((p, i) => p.outputs.forEach((b) => lastWrite.set(b, i)));
  return scheduled.pieces.map((piece, i): Binding => {
    const args = piece.inputs.map((b) => values.get(b)!);
    const aliases: [number, number][] = [];
    const mutates: number[] = [];
    piece.outputs.forEach((b, r) => {
      if (!piece.updates.includes(b)) return;
      aliases.push([r, args.length]);
      mutates.push(args.length);
      args.push(values.get(b)!);
    });
    const results = piece.outputs.map((b): Value => {
      const final = finals.get(b);
      if (final !== undefined && lastWrite.get(b) === i) return final;
      const buffer = shapes.get(b)!;
      return { name: fresh(`${call.results[0]!.name}.${b}`), type: { kind: 'tensor', dtype: buffer.dtype, shape: buffer.shape.map((d) => ctx.exprs.substitute(d, scalars)), annotations: {} }, constant: false };
    });
    piece.outputs.forEach((b, r) => values.set(b, results[r]!));
    return { ...call, callee: piece.name, args, results, scalars: piece.scalars.map((d) => scalars.get(d) ?? ctx.exprs.variable(d)), effects: aliases.length === 0 ? null : { mutates, aliases } };
  });
}

