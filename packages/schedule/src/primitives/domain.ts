import type { Block, Expr, Scope, Stmt } from '@tenon/plugin';
import { IterMap } from './iter-map.ts';
import type { Range } from './regions.ts';
import type { State } from './state.ts';
import { conjuncts, scopeStart } from './tree.ts';

/**
 * Whether a conjunct of a block's predicate only keeps the block inside its own domain (what a split that does not come
 * out even adds): it follows from 0 ≤ iter < extent.
 */
export function keepsDomain(state: State, block: Block, condition: Expr, scope: Scope): boolean {
  const { exprs } = state;
  if ((condition.op !== 'lt' && condition.op !== 'le') || condition.args[0]!.dtype !== 'i64') return false;
  const [x, y] = condition.args as [Expr, Expr];
  const slack = condition.op === 'lt' ? exprs.sub(exprs.sub(y, x), 1) : exprs.sub(y, x);
  return block.iters.some((iter) => {
    const above = exprs.sub(exprs.sub(iter.extent, iter.binding), 1);
    return [above, iter.binding].some((known) => state.proves(exprs.ge(exprs.sub(slack, known), 0), scope));
  });
}

/** The first conjunct of a block's predicate that leaves out part of the block's domain; null for none. */
export function restriction(state: State, block: Block, scope: Scope): Expr | null {
  return conjuncts(block.predicate).find((c) => !keepsDomain(state, block, c, scope)) ?? null;
}

/** Conditions of the ifs around the end of a path in its scope; null for an `else` side. */
export function guardsOf(path: readonly Stmt[]): (Expr | null)[] {
  return path.slice(scopeStart(path.slice(0, -1))).flatMap((s, k, own) => (s.kind !== 'if' ? [] : own[k + 1] === s.then ? conjuncts(s.condition) : [null]));
}

/** Refuses to move a block to a place from which a buffer that it uses cannot be seen. */
export function requireVisible(state: State, block: Block, place: readonly Stmt[], except: string | null = null): void {
  const visible = new Set(place.flatMap((s) => (s.kind === 'alloc' ? [s.buffer.name] : [])));
  for (const r of [...block.reads, ...block.writes]) {
    if (r.buffer !== except && !state.isParameter(r.buffer) && !visible.has(r.buffer)) state.refuse('scope', `${r.buffer}, which block ${block.name} uses, is allocated further in`);
  }
}

/** Refuses blocks that do not run over all of their domain in the scope that they stand in. */
export function requireFullDomain(state: State, path: readonly Stmt[]): void {
  const block = path.at(-1) as Block;
  const scope = state.scopeAt(path.slice(0, -1));
  if (guardsOf(path).some((c) => c === null || !keepsDomain(state, block, c, scope)) || restriction(state, block, scope) !== null) state.refuse('predicate', `the predicate of block ${block.name} leaves out part of its domain`);
  const map = new IterMap(state.exprs, scope, new Map(state.loopsOf(path).map((l) => [l.variable, l.extent])));
  const partial = block.iters.find((i) => !map.covers(i.binding, i.extent));
  if (partial !== undefined) state.refuse('domain', `block ${block.name} is not known to run over all of ${partial.name}`);
}

/** The one buffer that a block writes. */
export function outputOf(state: State, block: Block): string {
  const names = [...new Set(block.writes.map((r) => r.buffer))];
  if (names.length !== 1) state.refuse('several-outputs', `block ${block.name} writes ${names.length === 0 ? 'nothing' : names.join(', ')}, not one buffer`);
  return names[0]!;
}

/** `index = variable + offset` for an iteration variable of the block; null for anything else. */
export function shiftedIter(state: State, block: Block, index: Expr): { readonly iter: string; readonly offset: Expr } | null {
  const { exprs } = state;
  const used = exprs.variables(index).filter((v) => block.iters.some((i) => i.name === v));
  if (used.length !== 1) return null;
  const offset = exprs.sub(index, exprs.variable(used[0]!));
  return exprs.variables(offset).includes(used[0]!) ? null : { iter: used[0]!, offset };
}

/** Which values of the spatial iteration variables a block needs to write these elements of its output; null: all. */
export function itersFor(state: State, block: Block, buffer: string, box: readonly (Range | null)[]): Map<string, Range> {
  const { exprs } = state;
  const found = new Map<string, Range>();
  const regions = block.writes.filter((r) => r.buffer === buffer);
  if (regions.length !== 1) return found;
  const [region] = regions;
  region!.start.forEach((start, axis) => {
    const range = box[axis];
    if (range === null || range === undefined || region!.extent[axis] !== exprs.one) return;
    const index = shiftedIter(state, block, start);
    if (index === null || found.has(index.iter)) return;
    const type = block.iters.find((i) => i.name === index.iter)!.type;
    if (type !== 'spatial' || exprs.variables(index.offset).length > 0) return;
    found.set(index.iter, { start: exprs.sub(range.start, index.offset), extent: range.extent });
  });
  return found;
}
