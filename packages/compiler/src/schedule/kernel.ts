import {
  intrinsicsOf,
  type Buffer, type Expr, type PassContext, type RejectedSchedule, type ScheduleRecord, type ScheduleRule, type Scope, type Stmt, type TargetContext, type TensorFunction,
} from '@tenon/plugin';
import { buffersOf, loadsOf, seq, visitStmts } from '@tenon/core';
import { lower, verdictOf } from '@tenon/schedule';
import { withScalars } from '../free-dims.ts';
import { flopsOf } from '../memory/flops.ts';
import { placedOf, withPlaced, type Placed } from '../layout/parts.ts';
import { packingOf, type Packing } from '../pack.ts';

/** What scheduling makes of one kernel. */
export interface ScheduledKernel {
  readonly decision: Pick<ScheduleRecord, 'rule' | 'rejected' | 'choices'>;
  /** In the order in which they run. */
  readonly launches: readonly Launch[];
  /** Buffers between launches. */
  readonly temporaries: readonly Buffer[];
  /** Constant inputs that the schedule wants in another layout. */
  readonly packings: ReadonlyMap<string, Packing>;
}

/** One launch: its function, and the buffers of the whole kernel that its arguments are. */
export interface Launch {
  /** Without blocks. It has the kernel's name. */
  readonly fn: TensorFunction;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Outputs that earlier launches have written already. */
  readonly updates: readonly string[];
}

type Ctx = PassContext & TargetContext;

/** Schedules a kernel with the most specific rule that fits, and cuts it into launches. */
export function scheduleKernel(kernel: TensorFunction, rules: readonly ScheduleRule[], ctx: Ctx, dims: Scope): ScheduledKernel {
  // Memory that it updates is no input to rules: it is not read.
  const { updates, touched } = placedOf(kernel);
  const befores = new Set(Object.values(updates));
  const own = withPlaced({ ...kernel, inputs: kernel.inputs.filter((b) => !befores.has(b.name)) }, { updates: {}, touched: {} });
  const { scheduled, decision } = applyRule(own, rules, ctx);
  const parts = cut(scheduled, new Set(Object.keys(updates)), flopsOf(kernel, ctx.exprs, ctx.intrinsics()), ctx, dims);
  const mine = ({ inputs, outputs }: Launch): Placed['touched'] => Object.fromEntries([...inputs, ...outputs].flatMap((b) => (touched[b] === undefined ? [] : [[b, touched[b]]])));
  return { decision, ...parts, launches: parts.launches.map((launch) => ({ ...launch, fn: withPlaced(launch.fn, { updates: {}, touched: mine(launch) }) })) };
}

/** The function as its rule has it, and what there is to say of that. */
function applyRule(fn: TensorFunction, rules: readonly ScheduleRule[], ctx: Ctx): { scheduled: TensorFunction; decision: ScheduledKernel['decision'] } {
  const rejected: RejectedSchedule[] = [];
  const choices: { name: string; value: number | string | boolean }[] = [];
  let taken: ScheduleRule | null = null;
  for (const rule of rules) {
    if (taken !== null) {
      rejected.push({ rule: rule.id, code: 'schedule/less-specific', message: `its specificity is ${rule.specificity}, that of ${taken.id} ${taken.specificity}`, hint: null });
      continue;
    }
    const verdict = verdictOf(rule, fn, ctx);
    if (verdict.ok) taken = rule;
    else rejected.push({ rule: rule.id, code: verdict.code, message: verdict.message, hint: verdict.hint });
  }
  const decision = { rule: taken?.id ?? null, rejected, choices };
  if (taken === null) return { scheduled: fn, decision };
  const scheduled = taken.apply(fn, ctx, {
    choose: (name, values, byDefault) => {
      if (!values.includes(byDefault)) ctx.fail({ code: 'schedule/choice', message: `${taken.id}: the default ${byDefault} of ${name} is not among its values` });
      choices.push({ name, value: byDefault });
      return byDefault;
    },
  });
  return { scheduled, decision };
}

/** Cuts a scheduled function at its outermost statements, and lowers each part. `updated`: outputs of which others have written a part. */
function cut(fn: TensorFunction, updated: ReadonlySet<string>, flops: Expr, ctx: Ctx, dims: Scope): Omit<ScheduledKernel, 'decision'> {
  const intrinsics = intrinsicsOf(ctx);
  const temporaries: Buffer[] = [];
  let body: Stmt = fn.body;
  while (body.kind === 'alloc' && body.buffer.scope === 'global') {
    temporaries.push(body.buffer);
    body = body.body;
  }
  const buffers = buffersOf(fn);
  const written = new Set(updated);
  const own = new Set([...fn.inputs, ...fn.outputs, ...temporaries].map((b) => b.name));
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
  const launches = (parts.length === 0 ? [seq([])] : parts).map((part, i): Launch => {
    const reads = new Set(loadsOf(part).map((l) => l.value as string).filter((b) => own.has(b)));
    const writes = writesOf(part);
    if (i === 0) for (const b of empty) writes.add(b);
    const outputs = [...own].filter((b) => writes.has(b));
    const updates = outputs.filter((b) => written.has(b));
    const inputs = [...own].filter((b) => reads.has(b) && !writes.has(b));
    for (const b of writes) written.add(b);
    const piece: TensorFunction = {
      ...fn, body: seq([part]),
      // What an earlier launch wrote comes in as an argument too, so that the order of launches shows in the data flow.
      inputs: [...inputs.map((b) => ({ ...buffers.get(b)!, scope: 'global' })), ...updates.map((b) => ({ ...buffers.get(b)!, name: `${b}_before`, scope: 'global' }))],
      outputs: outputs.map((b) => ({ ...buffers.get(b)!, scope: 'global' })),
    };
    return { fn: withScalars(lower(piece, ctx.exprs, dims, { intrinsics })), inputs, outputs, updates };
  });
  const packings = new Map<string, Packing>();
  for (const input of fn.inputs) {
    const packing = packingOf(fn, input.name);
    if (packing !== null) packings.set(input.name, packing);
  }
  return { launches: withFlops(launches, flops, ctx), temporaries, packings };
}

/**
 * Notes what the main launch, that of most operations, computes of the operations that the kernel's definition has: its own
 * loops tell no exact number where tiles have edges, and an algorithm may do with fewer. Other launches count as they are.
 */
function withFlops(launches: readonly Launch[], all: Expr, ctx: Ctx): readonly Launch[] {
  const counted = launches.map(({ fn }) => flopsOf(fn, ctx.exprs, ctx.intrinsics()));
  const known = counted.map((f) => ctx.exprs.valueOf(f));
  const main = known.includes(null) ? launches.length - 1 : known.lastIndexOf(Math.max(...(known as number[])));
  const flops = ctx.exprs.valueOf(counted.reduce((rest, f, i) => (i === main ? rest : ctx.exprs.sub(rest, f)), all));
  if (flops === null || flops < 0) return launches;
  return launches.map((launch, i) => (i === main ? { ...launch, fn: { ...launch.fn, attrs: { ...launch.fn.attrs, flops } } } : launch));
}
