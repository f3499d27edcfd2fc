import type { Attrs, AttrValue, LoopKind, Stmt } from '@tenon/plugin';
import type { Outcome, State } from './state.ts';
import { concurrencyConflict } from './dependence.ts';
import { replaceStmt } from './tree.ts';

/** parallel, vectorize, unroll, bind, serial: how the iterations of a loop run. Concurrent ones must be independent. */
export function setKind(state: State, { loop: name, kind }: { readonly loop: string; readonly kind: LoopKind }): Outcome {
  const { loop, path } = state.loop(name);
  if (kind === 'vectorized' || kind === 'unrolled') {
    if (state.exprs.valueOf(loop.extent) === null) state.refuse('extent', `loop ${name} has an extent that is no constant`, 'split it by a constant first.');
  }
  if (kind !== 'serial' && kind !== 'unrolled') {
    const reason = concurrencyConflict(state, path, loop);
    if (reason !== null) state.refuse('dependence', reason, 'A reduction runs concurrently after rfactor; memory between nests after compute_at.');
    const above = path.slice(0, -1).filter((s) => s.kind === 'for');
    if (kind === 'parallel' && above.some((l) => l.loop === 'parallel')) state.refuse('nested-parallel', `loop ${name} is inside the parallel loop ${above.find((l) => l.loop === 'parallel')!.variable}`);
  }
  return { fn: { ...state.fn, body: replaceStmt(state.fn.body, loop, { ...loop, loop: kind }) }, results: [] };
}

/** annotate, unannotate: data for code generators on a loop or block. A value of undefined takes the key away. */
export function annotate(state: State, args: { readonly block?: string; readonly loop?: string; readonly key: string; readonly value?: AttrValue }): Outcome {
  const target = args.block !== undefined ? state.block(args.block).block : state.loop(args.loop!).loop;
  if (args.value === undefined && !(args.key in target.annotations)) {
    state.refuse('no-annotation', `${target.kind === 'for' ? `loop ${target.variable}` : `block ${target.name}`} has no annotation ${args.key}`);
  }
  const { [args.key]: _, ...rest } = target.annotations as { [key: string]: AttrValue };
  const annotations: Attrs = args.value === undefined ? rest : { ...target.annotations, [args.key]: args.value };
  const by: Stmt = { ...target, annotations };
  return { fn: { ...state.fn, body: replaceStmt(state.fn.body, target, by) }, results: [] };
}
