import { parseExpr, printExpr, printFunction } from '@tenon/core';
import type { Expr, ExprBuilder, Memo, TensorFunction, VarFacts } from '@tenon/plugin';
import { generateKernel, type Kernel, type KernelOptions } from './kernel.ts';

const kind = 'cpu-c kernel';

/** C of kernels that earlier compilations wrote. */
export interface KeptKernels {
  /** What is kept of a function, else what is generated now, and kept from then on. */
  of(fn: TensorFunction): { readonly kernel: Kernel; readonly isNew: boolean };
}

/** Looks for all functions at once. The text depends on the function, but for its name, and on what is known of the numbers that it takes. */
export async function keptKernels(functions: Iterable<TensorFunction>, memo: Memo | undefined, options: KernelOptions): Promise<KeptKernels> {
  if (memo === undefined) return { of: (fn) => ({ kernel: generateKernel(fn, options), isNew: true }) };
  const { exprs } = options;
  const found = new Map<TensorFunction, { readonly of: string; readonly kernel: Kernel | null }>();
  await Promise.all(Array.from(functions, async (fn) => {
    const of = keyText(fn, options);
    const data = await memo.get(kind, of);
    found.set(fn, { of, kernel: data === null ? null : decode(data as Kept, exprs) });
  }));
  return {
    of(fn) {
      const { of, kernel } = found.get(fn)!;
      if (kernel !== null) return { kernel, isNew: false };
      const made = generateKernel(fn, options);
      memo.put(kind, of, encode(made));
      return { kernel: made, isNew: true };
    },
  };
}

function keyText(fn: TensorFunction, { exprs, vectorBytes, facts }: KernelOptions): string {
  const names = new Set([...fn.scalars, ...[...fn.inputs, ...fn.outputs].flatMap((b) => b.shape.flatMap((d) => exprs.variables(d)))]);
  const bound = (limit: VarFacts['min'] | undefined): string | number | null => (typeof limit === 'object' && limit !== null ? printExpr(limit) : (limit ?? null));
  const known = Array.from(names, (name) => {
    const { min, max, multipleOf } = facts.get(name) ?? {};
    return [name, bound(min), bound(max), multipleOf ?? 1];
  });
  return `${JSON.stringify([vectorBytes, known])}\n${printFunction({ ...fn, name: 'kernel' })}`;
}

/** As plain data, with formulas in their text form. */
interface Kept {
  readonly stages: readonly { readonly text: string; readonly extent: string | null; readonly cost: string; readonly scratch: string }[];
  readonly scalars: readonly string[];
  readonly temporaries: readonly string[];
}

const textOf = (e: Expr): string => printExpr(e);

function encode({ stages, scalars, temporaries }: Kernel): Kept {
  return {
    stages: stages.map(({ text, extent, cost, scratch }) => ({ text, extent: extent === null ? null : textOf(extent), cost: textOf(cost), scratch: textOf(scratch) })),
    scalars, temporaries: temporaries.map(textOf),
  };
}

/** null: this cannot be read. */
function decode({ stages, scalars, temporaries }: Kept, exprs: ExprBuilder): Kernel | null {
  const formula = (text: string): Expr => parseExpr(text, exprs);
  try {
    return {
      stages: stages.map(({ text, extent, cost, scratch }) => ({ text, extent: extent === null ? null : formula(extent), cost: formula(cost), scratch: formula(scratch) })),
      scalars, temporaries: temporaries.map(formula),
    };
  } catch {
    return null;
  }
}
