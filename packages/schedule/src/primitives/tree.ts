import type { Block, Buffer, Expr, ExprBuilder, For, Stmt } from '@tenon/plugin';
import { childrenOf, mapChildren, mapExpressions, seq, visitStmts, type Exprs } from '@tenon/core';
import { declaredBuffers, declaredVariables, renameStmt } from '../rename.ts';
import type { NameSet } from './state.ts';

/** The statements from `root` down to the first one that satisfies `is`, both included; null where none does. */
export function pathTo(root: Stmt, is: (s: Stmt) => boolean): Stmt[] | null {
  if (is(root)) return [root];
  for (const child of childrenOf(root)) {
    const path = pathTo(child, is);
    if (path !== null) return [root, ...path];
  }
  return null;
}

/** The index in a path behind its last block: where the innermost scope begins. */
export function scopeStart(path: readonly Stmt[]): number {
  for (let i = path.length - 1; i >= 0; i--) if (path[i]!.kind === 'block') return i + 1;
  return 0;
}

/**
 * Replaces one statement, or removes it (null) with the loops, allocations, lets and ifs that then hold nothing. The
 * root itself becomes an empty sequence rather than nothing.
 */
export function replaceStmt(root: Stmt, target: Stmt, by: Stmt | null): Stmt {
  return replaceAll(root, new Map([[target, by]]));
}

export function replaceAll(root: Stmt, replacements: ReadonlyMap<Stmt, Stmt | null>): Stmt {
  const visit = (s: Stmt): Stmt => {
    const by = replacements.get(s);
    if (by !== undefined) return by ?? nothing;
    const inside = mapChildren(s, visit);
    return inside === s ? s : pruned(inside);
  };
  return visit(root);
}

export const nothing: Stmt = { kind: 'seq', body: [] };

export function isNothing(s: Stmt): boolean {
  return s.kind === 'seq' && s.body.length === 0;
}

function pruned(s: Stmt): Stmt {
  switch (s.kind) {
    case 'for':
    case 'alloc':
    case 'let':
      return isNothing(s.body) ? nothing : s;
    case 'if':
      return isNothing(s.then) && s.otherwise === null ? nothing : s;
    case 'seq':
      return seq(s.body.filter((x) => !isNothing(x)));
    default:
      return s;
  }
}

/** The blocks inside a statement that are not inside another block there, in program order. */
export function topBlocks(stmt: Stmt): Block[] {
  const found: Block[] = [];
  visitStmts(stmt, (s) => {
    if (s.kind !== 'block') return true;
    found.push(s);
    return false;
  });
  return found;
}

/** All blocks inside a statement, outer ones first. */
export function allBlocks(stmt: Stmt): Block[] {
  const found: Block[] = [];
  visitStmts(stmt, (s) => void (s.kind === 'block' && found.push(s)));
  return found;
}

/** Whether a statement holds stores or calls that no block holds. */
export function hasBareStatements(stmt: Stmt): boolean {
  let found = false;
  visitStmts(stmt, (s) => {
    if (s.kind === 'store' || s.kind === 'evaluate' || s.kind === 'while') found = true;
    return s.kind !== 'block';
  });
  return found;
}

/** Whether `inner` is `outer` or inside it. */
export function contains(outer: Stmt, inner: Stmt): boolean {
  return pathTo(outer, (s) => s === inner) !== null;
}

/** The statements of a loop's body below the allocations that stand directly in it. */
export function bodyOf(loop: For): { readonly allocs: readonly Buffer[]; readonly items: readonly Stmt[] } {
  return itemsOf(loop.body);
}

export function itemsOf(stmt: Stmt): { readonly allocs: readonly Buffer[]; readonly items: readonly Stmt[] } {
  const allocs: Buffer[] = [];
  let body = stmt;
  while (body.kind === 'alloc') {
    allocs.push(body.buffer);
    body = body.body;
  }
  return { allocs, items: body.kind === 'seq' ? body.body : [body] };
}

export function withAllocs(allocs: readonly Buffer[], body: Stmt): Stmt {
  return allocs.reduceRight<Stmt>((inside, buffer) => ({ kind: 'alloc', buffer, body: inside }), body);
}

/** Adds an allocation: around the body of a loop, or of the whole function (null). */
export function allocateIn(root: Stmt, buffer: Buffer, loop: string | null): Stmt {
  if (loop === null) return withAllocs([buffer], root);
  const visit = (s: Stmt): Stmt => {
    if (s.kind !== 'for' || s.variable !== loop) return mapChildren(s, visit);
    const { allocs, items } = bodyOf(s);
    return { ...s, body: withAllocs([...allocs, buffer], seq(items)) };
  };
  return visit(root);
}

/** Takes an allocation out: its body stands for it. What is inside `keep` stays as it is. */
export function removeAlloc(root: Stmt, buffer: string, keep: Stmt | null = null): Stmt {
  const visit = (s: Stmt): Stmt => {
    if (s === keep) return s;
    return s.kind === 'alloc' && s.buffer.name === buffer ? visit(s.body) : mapChildren(s, visit);
  };
  return visit(root);
}

/** Replaces variables in all expressions of a statement. */
export function substituteStmt(exprs: Exprs, stmt: Stmt, values: ReadonlyMap<string, Expr>): Stmt {
  return values.size === 0 ? stmt : mapExpressions(stmt, (e) => exprs.substitute(e, values));
}

/** A copy in which everything declared inside has a name of its own. `blocks` receives old → new names of blocks. */
export function freshCopy(exprs: Exprs, stmt: Stmt, names: NameSet, blocks: Map<string, string> = new Map()): Stmt {
  const variables = new Map(declaredVariables(stmt).map((v) => [v, names.unique(v)]));
  const buffers = new Map(declaredBuffers(stmt).map((b) => [b.name, names.unique(b.name)]));
  const renamed = renameStmt(exprs, stmt, variables, buffers);
  const visit = (s: Stmt): Stmt => {
    const inside = mapChildren(s, visit);
    if (inside.kind !== 'block') return inside;
    const name = names.unique(inside.name);
    blocks.set(inside.name, name);
    return { ...inside, name };
  };
  return visit(renamed);
}

/** The conjuncts of a predicate. */
export function conjuncts(predicate: Expr | null): Expr[] {
  if (predicate === null) return [];
  return predicate.op === 'and' ? predicate.args.flatMap((a) => conjuncts(a)) : [predicate];
}

/** The conjunction, each conjunct once; null for none or where all hold anyway. */
export function conjunction(exprs: ExprBuilder, conditions: readonly Expr[]): Expr | null {
  const all = [...new Set(conditions)].filter((c) => c.op !== 'const' || c.value === 0);
  return all.length === 0 ? null : all.reduce((a, b) => exprs.and(a, b));
}

/** Runs the blocks and bare statements of a nest only where a condition holds. */
export function guarded(exprs: Exprs, stmt: Stmt, condition: Expr): Stmt {
  switch (stmt.kind) {
    case 'block':
      return { ...stmt, predicate: conjunction(exprs, [...conjuncts(stmt.predicate), condition]) };
    case 'for':
    case 'seq':
    case 'alloc':
      return mapChildren(stmt, (s) => guarded(exprs, s, condition));
    default:
      return { kind: 'if', condition, then: stmt, otherwise: null };
  }
}
