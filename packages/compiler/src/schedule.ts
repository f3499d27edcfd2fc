import type { Binding, Buffer, GraphFunction, IRModule, Pass, PassContext, ScheduleRecord, TargetContext, TensorFunction, Value } from '@tenon/plugin';
import type { Session } from '@tenon/core';
import { dimScope, freshName, graphFunctions } from './graph.ts';
import { placedOf } from './layout/parts.ts';
import { Packer, type Packing, type Packings } from './pack.ts';
import { keptSchedules } from './schedule/kept.ts';
import { scheduleKernel, type Launch } from './schedule/kernel.ts';

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
/** A launch whose function has its name in the module. */
type Piece = Omit<Launch, 'fn'> & { readonly name: string; readonly scalars: readonly string[] };

async function scheduleModule(module: IRModule, ctx: PassContext, session: Session, records: ScheduleRecord[], packings: Packings): Promise<IRModule> {
  const { target } = ctx;
  if (target?.form !== 'kernels') return module;
  const functions = new Map(module.functions);
  const dims = dimScope(module);
  const rules = session.registry.schedules.filter((r) => r.target === target.name).sort((a, b) => b.specificity - a.specificity || (a.id < b.id ? -1 : 1));
  const mine = [...graphFunctions(module)].filter((fn) => fn.attrs['target'] === target.name);
  const kernels = new Map<string, TensorFunction>();
  for (const binding of mine.flatMap((fn) => fn.bindings)) {
    if (binding.kind !== 'kernel') continue;
    const kernel = module.functions.get(binding.callee);
    if (kernel?.kind !== 'tensor') return ctx.fail({ code: 'schedule/callee', message: `@${binding.callee} is not a tensor function` });
    kernels.set(binding.callee, kernel);
  }
  const kept = await keptSchedules(kernels.values(), ctx, dims);
  const done = new Map<string, Scheduled>();
  for (const [callee, kernel] of kernels) {
    ctx.progress('schedule kernels');
    const { decision, launches, temporaries, packings: own } = kept.of(kernel, () => scheduleKernel(kernel, rules, ctx as PassContext & TargetContext, dims));
    functions.delete(kernel.name);
    const pieces = launches.map(({ fn, ...launch }, i): Piece => {
      const name = launches.length === 1 ? kernel.name : freshName(functions, `${kernel.name}_${i}`);
      functions.set(name, { ...fn, name });
      return { ...launch, name, scalars: fn.scalars };
    });
    records.push({ kernel: kernel.name, target: target.name, ...decision, launches: pieces.map((p) => p.name) });
    done.set(callee, { pieces, temporaries, packings: own });
  }
  const packer = new Packer(module, session, packings);
  for (const fn of mine) {
    const names = new Set(fn.params.map((p) => p.name));
    for (const b of fn.bindings) for (const r of b.results) names.add(r.name);
    const bindings = fn.bindings.flatMap((binding) =>
      binding.kind === 'kernel' ? launches(binding, kernels.get(binding.callee)!, done.get(binding.callee)!, names, ctx, packer) : [binding]);
    const next: GraphFunction = { ...fn, bindings };
    functions.set(fn.name, next);
  }
  return {
    ...module, functions,
    constants: new Map([...module.constants, ...packer.constants]), sources: new Map([...module.sources, ...packer.sources]),
  };
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
  for (const [output, before] of Object.entries(placedOf(kernel).updates)) values.set(output, values.get(before)!);
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

