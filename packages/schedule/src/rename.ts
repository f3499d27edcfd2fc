import type { Buffer, Expr, Stmt, TensorFunction } from '@tenon/plugin';
import { mapChildren, visitStmts, type Exprs } from '@tenon/core';
import type { ExprBuilder } from '@tenon/plugin';

/** Rewrites loads and variables of an expression. */
export function renameExpr(exprs: ExprBuilder, e: Expr, variables: ReadonlyMap<string, string>, buffers: ReadonlyMap<string, string>): Expr {
  return (exprs as Exprs).transform(e, (x) => {
    if (x.op === 'var') {
      const name = variables.get(x.value as string);
      return name === undefined ? x : exprs.variable(name, x.dtype);
    }
    if (x.op === 'load') {
      const name = buffers.get(x.value as string);
      return name === undefined ? x : exprs.make('load', x.dtype, x.args, name);
    }
    return x;
  });
}

/** Rewrites variables and buffers of a statement, where declared and where used. */
export function renameStmt(exprs: ExprBuilder, stmt: Stmt, variables: ReadonlyMap<string, string>, buffers: ReadonlyMap<string, string>): Stmt {
  const expr = (e: Expr): Expr => renameExpr(exprs, e, variables, buffers);
  const variable = (name: string): string => variables.get(name) ?? name;
  const buffer = (name: string): string => buffers.get(name) ?? name;
  const visit = (s: Stmt): Stmt => {
    const inside = mapChildren(s, visit);
    switch (inside.kind) {
      case 'for':
        return { ...inside, variable: variable(inside.variable), extent: expr(inside.extent) };
      case 'let':
        return { ...inside, variable: variable(inside.variable), value: expr(inside.value) };
      case 'alloc':
        return { ...inside, buffer: { ...inside.buffer, name: buffer(inside.buffer.name), shape: inside.buffer.shape.map(expr) } };
      case 'store':
        return { ...inside, buffer: buffer(inside.buffer), indices: inside.indices.map(expr), value: expr(inside.value) };
      case 'block': {
        const region = (r: (typeof inside.reads)[number]): (typeof inside.reads)[number] => ({ buffer: buffer(r.buffer), start: r.start.map(expr), extent: r.extent.map(expr) });
        return {
          ...inside,
          iters: inside.iters.map((i) => ({ ...i, name: variable(i.name), extent: expr(i.extent), binding: expr(i.binding) })),
          predicate: inside.predicate === null ? null : expr(inside.predicate),
          reads: inside.reads.map(region),
          writes: inside.writes.map(region),
        };
      }
      case 'if':
      case 'while':
        return { ...inside, condition: expr(inside.condition) };
      case 'evaluate':
        return { ...inside, value: expr(inside.value) };
      case 'seq':
        return inside;
    }
  };
  return visit(stmt);
}

/** Every variable that a statement declares: loops, iteration variables, lets. */
export function declaredVariables(stmt: Stmt): string[] {
  const names: string[] = [];
  visitStmts(stmt, (s) => {
    if (s.kind === 'for' || s.kind === 'let') names.push(s.variable);
    if (s.kind === 'block') for (const iter of s.iters) names.push(iter.name);
  });
  return names;
}

/** Every buffer that a statement allocates. */
export function declaredBuffers(stmt: Stmt): Buffer[] {
  const buffers: Buffer[] = [];
  visitStmts(stmt, (s) => {
    if (s.kind === 'alloc') buffers.push(s.buffer);
  });
  return buffers;
}

/** Hands out variable names `i_0, v_1, …` that a function does not use yet. */
export class Names {
  #next: number;
  constructor(fn?: TensorFunction) {
    this.#next = 0;
    if (fn !== undefined) {
      for (const name of declaredVariables(fn.body)) {
        const number = /_(\d+)$/.exec(name);
        if (number !== null) this.#next = Math.max(this.#next, Number(number[1]) + 1);
      }
    }
  }
  fresh(prefix: string): string {
    return `${prefix}_${this.#next++}`;
  }
}
