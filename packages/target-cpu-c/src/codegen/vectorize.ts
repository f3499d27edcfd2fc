import { expressionsOf, visitExprs, visitStmts } from '@tenon/core';
import type { Expr, For, Stmt } from '@tenon/plugin';
import { elementType, floorPowerOfTwo } from './types.ts';

/**
 * Whether a vectorized loop can be written as vector statements: stores that move with the loop, lets, ifs and inner
 * loops whose extents are the same in all lanes. Everything else becomes a scalar loop.
 */
export function canVectorize(loop: For): boolean {
  const varying = new Set([loop.variable]);
  const varies = (e: Expr): boolean => (e.op === 'var' ? varying.has(e.value as string) : e.args.some(varies));
  const visit = (s: Stmt): boolean => {
    switch (s.kind) {
      case 'store':
        return s.indices.some(varies);
      case 'seq':
        return s.body.every(visit);
      case 'if':
        return visit(s.then) && (s.otherwise === null || visit(s.otherwise));
      case 'let':
        if (varies(s.value)) varying.add(s.variable);
        return visit(s.body);
      case 'for':
        return typeof s.loop === 'string' && !varies(s.extent) && visit(s.body);
      default:
        return false;
    }
  };
  return visit(loop.body);
}

/** Lanes that fit a vector register for the widest values that the statements compute; indices do not count. */
export function lanesOf(body: Stmt, vectorBytes: number): number {
  let widest = 1;
  const measure = (e: Expr, seen: Set<Expr>): void => {
    if (seen.has(e)) return;
    seen.add(e);
    if (e.dtype !== 'bool') widest = Math.max(widest, elementType(e.dtype).valueBytes);
    if (e.op !== 'load') for (const arg of e.args) measure(arg, seen);
  };
  const seen = new Set<Expr>();
  visitStmts(body, (s) => {
    if (s.kind === 'for') return;
    const values = s.kind === 'store' ? [s.value] : expressionsOf(s);
    for (const value of values) measure(value, seen);
  });
  return Math.max(1, floorPowerOfTwo(vectorBytes / widest));
}

/** Whether an expression reads memory. */
export function readsMemory(e: Expr): boolean {
  let found = false;
  visitExprs(e, (x) => void (found ||= x.op === 'load'));
  return found;
}
