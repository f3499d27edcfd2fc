import type { Expr, ExprOp } from '@tenon/plugin';

/** Makes structurally equal nodes identical. One per session. */
export class Interner {
  readonly #nodes = new Map<string, Expr>();

  make(op: ExprOp, dtype: string, args: readonly Expr[], value: number | bigint | string | null): Expr {
    let key = `${op} ${dtype} ${keyOf(value)}`;
    for (const arg of args) key += `,${arg.id}`;
    let node = this.#nodes.get(key);
    if (node === undefined) {
      node = { tag: 'expr', op, dtype, args, value, id: this.#nodes.size };
      this.#nodes.set(key, node);
    }
    return node;
  }

  owns(expr: Expr): boolean {
    let key = `${expr.op} ${expr.dtype} ${keyOf(expr.value)}`;
    for (const arg of expr.args) key += `,${arg.id}`;
    return this.#nodes.get(key) === expr;
  }
}

function keyOf(value: number | bigint | string | null): string {
  switch (typeof value) {
    case 'number':
      return Object.is(value, -0) ? '-0' : String(value);
    case 'bigint':
      return `${value}n`;
    case 'string':
      return `"${value}`;
    default:
      return '';
  }
}

const opRank = new Map<ExprOp, number>(
  (['var', 'load', 'call', 'cast', 'mul', 'add', 'sub', 'floordiv', 'mod', 'div', 'truncdiv', 'truncmod', 'min', 'max',
    'select', 'eq', 'ne', 'lt', 'le', 'and', 'or', 'not', 'const'] as const).map((op, rank) => [op, rank]),
);

/** A total order on structure, so that canonical forms do not depend on the order in which nodes were made. */
export function compareExprs(a: Expr, b: Expr): number {
  if (a === b) return 0;
  if (a.op !== b.op) return opRank.get(a.op)! - opRank.get(b.op)!;
  if (a.value !== b.value) {
    if (typeof a.value === 'string' && typeof b.value === 'string') return a.value < b.value ? -1 : 1;
    if (a.value !== null && b.value !== null && a.value != b.value) return a.value < b.value ? -1 : 1;
  }
  if (a.args.length !== b.args.length) return a.args.length - b.args.length;
  for (let i = 0; i < a.args.length; i++) {
    const order = compareExprs(a.args[i]!, b.args[i]!);
    if (order !== 0) return order;
  }
  return a.dtype < b.dtype ? -1 : a.dtype > b.dtype ? 1 : 0;
}
