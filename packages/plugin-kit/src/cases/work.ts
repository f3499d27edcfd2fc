/** How much there is to compute, by the operators' own cost. */
import type { Binding, InferCall, Match } from '@tenon/plugin';
import type { Session } from '@tenon/core';

/** Scalar operations of a binding; null where its operator does not say, or sizes are not known. */
export function flopsOf(binding: Binding, session: Session): number | null {
  const cost = session.facet(binding.callee, 'cost');
  if (cost === undefined) return null;
  try {
    const call = {
      op: binding.callee, args: binding.args.map((a) => a?.type ?? null), attrs: { ...session.operator(binding.callee)?.signature.attrs, ...binding.attrs }, exprs: session.exprs, contents: () => null,
      dtype: (n: string) => session.dtype(n), tensor: (i: number) => binding.args[i]!.type, fail: (code: string, message: string) => session.fail({ code, message }),
    } as unknown as InferCall;
    return session.exprs.valueOf(cost(call).flops);
  } catch {
    return null;
  }
}

/** Scalar operations of a match, as far as they are known. */
export const workOf = (match: Match, session: Session): number => match.bindings.reduce((sum, binding) => sum + (flopsOf(binding, session) ?? 0), 0);
