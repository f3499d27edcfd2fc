import type { Outcome, State } from './state.ts';
import { readsOf, scopeOf, workScope, writesOf } from './dependence.ts';
import { topBlocks } from './tree.ts';

const found = (state: State, results: readonly string[]): Outcome => ({ fn: state.fn, results });

/** get_block: checks that there is a block of that name where the work goes on. */
export function getBlock(state: State, { name }: { readonly name: string }): Outcome {
  const { path } = state.block(name);
  if (state.root !== null && !path.slice(0, -1).some((s) => s.kind === 'block' && s.name === state.root)) state.refuse('no-block', `block ${name} is not inside block ${state.root}`);
  return found(state, [name]);
}

/** get_loops: the loops around a block within its scope, outermost first. */
export function getLoops(state: State, { block }: { readonly block: string }): Outcome {
  return found(state, state.loopsOf(state.block(block).path).map((l) => l.variable));
}

/** get_child_blocks: the blocks directly inside a block, a loop, or (neither) where the work goes on. */
export function getChildBlocks(state: State, args: { readonly block?: string; readonly loop?: string }): Outcome {
  const stmt = args.block !== undefined ? state.block(args.block).block.body : args.loop !== undefined ? state.loop(args.loop).loop : workScope(state);
  return found(state, topBlocks(stmt).map((b) => b.name));
}

/** get_producers: the blocks of the same scope that write what a block reads. */
export function getProducers(state: State, { block: name }: { readonly block: string }): Outcome {
  const { block, path } = state.block(name);
  const reads = readsOf(block);
  return found(state, topBlocks(scopeOf(state, path).stmt).filter((b) => b !== block && [...writesOf(b)].some((w) => reads.has(w))).map((b) => b.name));
}

/** get_consumers: the blocks of the same scope that read what a block writes. */
export function getConsumers(state: State, { block: name }: { readonly block: string }): Outcome {
  const { block, path } = state.block(name);
  const writes = writesOf(block);
  return found(state, topBlocks(scopeOf(state, path).stmt).filter((b) => b !== block && [...readsOf(b)].some((r) => writes.has(r))).map((b) => b.name));
}

/** work_on: the inside of a block (null: the whole function) is where blocks are looked for from now on. */
export function workOn(state: State, { block }: { readonly block: string | null }): Outcome {
  if (block !== null) state.block(block);
  return { fn: state.fn, results: [], root: block };
}
