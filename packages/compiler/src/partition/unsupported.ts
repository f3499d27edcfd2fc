import { diagnostic, TenonError, type Binding, type RejectedAlternative } from '@tenon/plugin';

/** Every operator of a model that no target takes, in one diagnostic. */
export function unsupported(unclaimed: readonly Binding[], refusals: ReadonlyMap<Binding, readonly RejectedAlternative[]>): TenonError {
  const byOp = new Map<string, Binding[]>();
  for (const b of unclaimed) byOp.set(b.callee, [...(byOp.get(b.callee) ?? []), b]);
  const related = [...byOp].map(([op, bindings]) => {
    const reasons = bindings.flatMap((b) => refusals.get(b) ?? []);
    const reason = reasons.find((r) => r.rule !== null) ?? reasons[0];
    const places = bindings.map((b) => b.loc ?? `%${b.results[0]?.name ?? '?'}`);
    return diagnostic({
      code: reason?.code ?? 'partition/no-rule', op, loc: bindings[0]!.loc, hint: reason?.hint ?? null,
      message: `${op} × ${bindings.length} (${places.slice(0, 3).join(', ')}${places.length > 3 ? ', …' : ''}): ${reason?.message ?? 'no target takes it'}`,
    });
  });
  return new TenonError({
    code: 'partition/unsupported',
    message: `no target takes ${unclaimed.length === 1 ? 'this operator' : `these ${unclaimed.length} operators`}: ${related.map((d) => d.message).join('; ')}`,
    hint: 'Add a target that takes them, or a decomposition into operators that a target takes.',
    related,
  });
}
