import type { Binding, Expr } from '@tenon/plugin';

/** What dispatching notes on the call of a library: whose it is, the memory that it needs, and the graph function that it computes. */
export function externOf(binding: Binding): { readonly library: string; readonly entry: string; readonly workspace: Expr | null; readonly source: string } | null {
  const { library, entry, workspace, source } = binding.attrs;
  if (binding.kind !== 'extern' || typeof library !== 'string' || typeof entry !== 'string' || typeof source !== 'string') return null;
  return { library, entry, source, workspace: (workspace as Expr | undefined) ?? null };
}
