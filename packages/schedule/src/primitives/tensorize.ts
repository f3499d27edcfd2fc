import type { TensorIntrinsic } from '@tenon/plugin';
import { buffersOf, descriptionOf } from '@tenon/core';
import { matchIntrinsic, tensorizeKey } from '../tensor-intrinsic.ts';
import { blockize } from './blockize.ts';
import type { Outcome, State } from './state.ts';
import { replaceStmt } from './tree.ts';

/**
 * tensorize: what is under a loop (or in a block) is what an intrinsic does, and will be done by it. The block keeps its
 * statements, which are its meaning; lowering for a target puts the intrinsic in their place. Gives the block.
 */
export function tensorize(state: State, args: { readonly loop?: string; readonly block?: string; readonly intrinsic: TensorIntrinsic }): Outcome {
  const { intrinsic } = args;
  const blocked = args.loop === undefined ? null : blockize(state, { loop: args.loop });
  const now = blocked === null ? state : state.withFunction(blocked.fn);
  const name = blocked?.results[0] ?? args.block!;
  const { block } = now.block(name);
  if (block.init !== null) state.refuse('undecomposed-reduction', `block ${name} sets the initial value of its reduction, which ${intrinsic.name} does not`, 'decompose_reduction first.');
  const why: string[] = [];
  const operands = matchIntrinsic(state.exprs, block.body, descriptionOf(state.exprs, intrinsic), buffersOf(now.fn), why);
  if (operands === null) state.refuse('no-match', `block ${name} is not what ${intrinsic.name} does: ${why[0] ?? 'they differ'}`);
  const by = { ...block, annotations: { ...block.annotations, [tensorizeKey]: intrinsic.name } };
  return { fn: { ...now.fn, body: replaceStmt(now.fn.body, block, by) }, results: [name] };
}
