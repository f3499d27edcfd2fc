import type { Expr, Stmt } from '@tenon/plugin';
import { seq } from '@tenon/core';
import type { LoopContext } from '@tenon/schedule';

/** Straight-line code: values with names, and statements that use those named before. */
export class Lines {
  readonly #ctx: LoopContext;
  readonly #lines: ({ readonly variable: string; readonly value: Expr } | Stmt)[] = [];

  constructor(ctx: LoopContext) {
    this.#ctx = ctx;
  }

  readonly name = (value: Expr): Expr => {
    if (value.op === 'var' || value.op === 'const') return value;
    const variable = this.#ctx.names.fresh('t');
    this.#lines.push({ variable, value });
    return this.#ctx.exprs.variable(variable, value.dtype);
  };

  push(stmt: Stmt): void {
    this.#lines.push(stmt);
  }

  finish(): Stmt {
    return this.#lines.reduceRight<Stmt>((after, line) => ('kind' in line ? seq([line, after]) : { kind: 'let', ...line, body: after }), seq([]));
  }
}
