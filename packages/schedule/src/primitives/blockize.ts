import type { Block, Expr, For, IterVar, Stmt } from '@tenon/plugin';
import { renameStmt } from '../rename.ts';
import { IterMap } from './iter-map.ts';
import { perfect, requireSerial } from './loops.ts';
import { refreshRegions } from './regions.ts';
import type { Outcome, State } from './state.ts';
import { replaceStmt, substituteStmt, topBlocks } from './tree.ts';

/** blockize: what is under a loop becomes a block of its own, over tiles. Gives the new, outer block. */
export function blockize(state: State, { loop: at }: { readonly loop: string }): Outcome {
  const { exprs } = state;
  const { loop } = state.loop(at);
  const blocks = topBlocks(loop);
  const block = blocks[0];
  if (block === undefined || blocks.length !== 1 || !perfect(loop, block)) return state.refuse('not-perfect', `loop ${at} is not a nest around one block`);
  const name = block.name;
  const { path } = state.block(name);
  const scope = state.scopeAt(path.slice(0, -1));
  const inner: For[] = [];
  for (let s: Stmt = loop; s.kind === 'for'; s = s.body) inner.push(s);
  for (const l of inner) {
    if (l.loop !== 'unrolled' && l.loop !== 'vectorized') requireSerial(state, l);
    const tied = exprs.variables(l.extent).find((v) => state.loopsOf(path).some((o) => o.variable === v));
    if (tied !== undefined) state.refuse('extent-depends', `the extent of loop ${l.variable} depends on loop ${tied}`);
  }
  const moving = new Set(inner.map((l) => l.variable));
  if (block.predicate !== null && exprs.variables(block.predicate).some((v) => moving.has(v))) {
    state.refuse('predicate', `the predicate of block ${name} depends on loops under ${at}: tiles at the edge are not whole`);
  }
  const map = new IterMap(exprs, scope, new Map(inner.map((l) => [l.variable, l.extent])));
  const outerIters: IterVar[] = [];
  const innerIters: IterVar[] = [];
  const values = new Map<string, Expr>();
  for (const iter of block.iters) {
    const p = exprs.polynomial(iter.binding);
    let fixed: Expr = exprs.int(p.constant);
    let part: Expr = exprs.zero;
    for (const term of p.terms) {
      const value = exprs.mul(exprs.product(term.factors), exprs.int(term.coefficient));
      const used = exprs.variables(value);
      if (!used.some((v) => moving.has(v))) fixed = exprs.add(fixed, value);
      else if (used.some((v) => !moving.has(v) && state.loopsOf(path).some((l) => l.variable === v))) state.refuse('binding', `${iter.name} of block ${name} mixes loops inside and outside of ${at}`);
      else part = exprs.add(part, value);
    }
    const size = map.size(part);
    if (size === null) return state.refuse('binding', `${iter.name} of block ${name} does not run through a whole tile under loop ${at}`);
    const start = exprs.divideExact(fixed, size);
    if (start === null) return state.refuse('binding', `${iter.name} of block ${name} does not begin at whole tiles of ${exprs.valueOf(size) ?? 'its'} elements`);
    const tiled = !(start === exprs.zero && state.same(size, iter.extent, scope));
    const outer = state.names.unique(`${iter.name}_o`);
    if (tiled) outerIters.push({ name: outer, type: iter.type, extent: exprs.divideExact(iter.extent, size) ?? exprs.ceildiv(iter.extent, size), binding: start });
    const base = tiled ? exprs.mul(exprs.variable(outer), size) : exprs.zero;
    if (part === exprs.zero) values.set(iter.name, base);
    else {
      const own = state.names.unique(`${iter.name}_i`);
      innerIters.push({ name: own, type: iter.type, extent: size, binding: part });
      values.set(iter.name, exprs.add(base, exprs.variable(own)));
    }
  }
  const outerName = state.names.unique(`${name}_o`);
  const outerReduces = outerIters.some((i) => i.type === 'reduce');
  const body = substituteStmt(exprs, block.body, values);
  const init = block.init === null ? null : substituteStmt(exprs, block.init, values);
  const innerBlock: Block = {
    ...block, iters: innerIters, predicate: null, reads: [], writes: substituteRegions(block.writes), init: outerReduces ? null : init, body,
  };
  function substituteRegions(list: Block['writes']): Block['writes'] {
    return list.map((r) => ({ ...r, start: r.start.map((e) => exprs.substitute(e, values)), extent: r.extent.map((e) => exprs.substitute(e, values)) }));
  }
  const outerBlock: Block = {
    kind: 'block', name: outerName, iters: outerIters, reads: [], writes: innerBlock.writes, predicate: block.predicate,
    init: init === null || !outerReduces ? null : initNest(init), body: replaceStmt(loop, block, innerBlock), annotations: {},
  };
  function initNest(value: Stmt): Stmt {
    const spatial = innerIters.filter((i) => i.type === 'spatial');
    const used = new Set(spatial.flatMap((i) => exprs.variables(i.binding)));
    const kept = inner.filter((l) => used.has(l.variable));
    const initBlock: Block = { ...innerBlock, name: state.names.unique(`${name}_init`), iters: spatial, init: null, body: value, annotations: {} };
    const nest = kept.reduceRight<Stmt>((b, l) => ({ ...l, body: b }), initBlock);
    const fresh = new Map([...kept.map((l) => l.variable), ...spatial.map((i) => i.name)].map((v) => [v, state.names.unique(v)]));
    return renameStmt(exprs, nest, fresh, new Map());
  }
  const next = replaceStmt(state.fn.body, loop, outerBlock);
  return { fn: { ...state.fn, body: refreshRegions(state.with(next), next, new Set([outerName, name])) }, results: [outerName] };
}
