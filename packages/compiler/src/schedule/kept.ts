import type { Buffer, Expr, ExprBuilder, PassContext, Scope, TensorFunction, VarFacts } from '@tenon/plugin';
import { parseExpr, parseModule, printExpr, printFunction } from '@tenon/core';
import type { Packing } from '../pack.ts';
import type { Launch, ScheduledKernel } from './kernel.ts';

const kind = 'schedule';

/** Schedules that earlier compilations made. */
export interface KeptSchedules {
  /** The one that is kept of a kernel, else the one that `make` makes, which is kept from then on. */
  of(kernel: TensorFunction, make: () => ScheduledKernel): ScheduledKernel;
}

/**
 * Looks for all kernels at once. A schedule depends on the kernel's function, but for its name, and on what is known of
 * dims; names of variables and buffers count, since they can change the order in which sums are written.
 */
export async function keptSchedules(kernels: Iterable<TensorFunction>, ctx: PassContext, dims: Scope): Promise<KeptSchedules> {
  const { memo, exprs } = ctx;
  if (memo === undefined) return { of: (_, make) => make() };
  const facts = factsText(dims);
  const found = new Map<TensorFunction, { readonly of: string; readonly scheduled: ScheduledKernel | null }>();
  await Promise.all(Array.from(kernels, async (kernel) => {
    const of = `${facts}\n${printFunction({ ...kernel, name: 'kernel' })}`;
    const data = await memo.get(kind, of);
    found.set(kernel, { of, scheduled: data === null ? null : decode(data as Kept, kernel.name, exprs) });
  }));
  return {
    of(kernel, make) {
      const { of, scheduled } = found.get(kernel)!;
      if (scheduled !== null) return scheduled;
      const made = make();
      memo.put(kind, of, encode(made));
      return made;
    },
  };
}

function factsText(dims: Scope): string {
  const bound = (limit: VarFacts['min']): string | number | null => (typeof limit === 'object' && limit !== null ? printExpr(limit) : (limit ?? null));
  return JSON.stringify(Array.from(dims, ([name, { min, max, multipleOf }]) => [name, bound(min), bound(max), multipleOf ?? 1]));
}

/** As plain data, with functions in their text form. */
interface Kept {
  readonly decision: ScheduledKernel['decision'];
  readonly launches: readonly (Omit<Launch, 'fn'> & { readonly text: string })[];
  readonly temporaries: readonly (Omit<Buffer, 'shape'> & { readonly shape: readonly string[] })[];
  readonly packings: readonly (readonly [string, Packing])[];
}

function encode({ decision, launches, temporaries, packings }: ScheduledKernel): Kept {
  return {
    decision,
    launches: launches.map(({ fn, ...rest }) => ({ ...rest, text: printFunction({ ...fn, name: 'kernel' }) })),
    temporaries: temporaries.map((b) => ({ ...b, shape: b.shape.map((d: Expr) => printExpr(d)) })),
    packings: [...packings],
  };
}

/** null: this cannot be read. */
function decode({ decision, launches, temporaries, packings }: Kept, name: string, exprs: ExprBuilder): ScheduledKernel | null {
  try {
    return {
      decision,
      launches: launches.map(({ text, ...rest }): Launch => ({ ...rest, fn: { ...(parseModule(text, exprs).functions.get('kernel') as TensorFunction), name } })),
      temporaries: temporaries.map((b) => ({ ...b, shape: b.shape.map((d) => parseExpr(d, exprs)) })),
      packings: new Map(packings),
    };
  } catch {
    return null;
  }
}
