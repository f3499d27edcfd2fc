import type { Expr, ExprOp } from '@tenon/plugin';

/** Makes structurally equal nodes identical. One per session. Every expression that is built goes through here: a hash table of its own makes no strings for keys. */
export class Interner {
  /** Open addressing, a power of two, at most half full. */
  #table: (Expr | undefined)[] = new Array<Expr | undefined>(1 << 14).fill(undefined);
  #count = 0;
  /** Numbers for names: of operators, dtypes and values. */
  readonly #names = new Map<string, number>();

  make(op: ExprOp, dtype: string, args: readonly Expr[], value: number | bigint | string | null): Expr {
    const at = this.#find(op, dtype, args, value);
    const known = this.#table[at];
    if (known !== undefined) return known;
    const node: Expr = { tag: 'expr', op, dtype, args, value, id: this.#count++ };
    this.#table[at] = node;
    if (2 * this.#count > this.#table.length) this.#grow();
    return node;
  }

  owns(expr: Expr): boolean {
    return this.#table[this.#find(expr.op, expr.dtype, expr.args, expr.value)] === expr;
  }

  /** Where a node is, or would be. */
  #find(op: ExprOp, dtype: string, args: readonly Expr[], value: number | bigint | string | null): number {
    const mask = this.#table.length - 1;
    let at = this.#hash(op, dtype, args, value) & mask;
    for (;;) {
      const node = this.#table[at];
      // Object.is: zeros differ by sign, NaNs are one, and a bigint is no number.
      if (node === undefined || (node.op === op && node.dtype === dtype && Object.is(node.value, value) && sameArgs(node.args, args))) return at;
      at = (at + 1) & mask;
    }
  }

  #hash(op: string, dtype: string, args: readonly Expr[], value: number | bigint | string | null): number {
    let h = mix(this.#number(op), this.#number(dtype));
    if (typeof value === 'number') h = mix(h, (value | 0) === value ? value : Math.trunc(value * 65_537) | 0);
    else if (value !== null) h = mix(h, this.#number(typeof value === 'string' ? value : `${value}n`));
    for (const arg of args) h = mix(h, arg.id);
    h ^= h >>> 15;
    return h;
  }

  #number(name: string): number {
    let number = this.#names.get(name);
    if (number === undefined) {
      number = this.#names.size + 1;
      this.#names.set(name, number);
    }
    return number;
  }

  #grow(): void {
    const nodes = this.#table;
    this.#table = new Array<Expr | undefined>(2 * nodes.length).fill(undefined);
    for (const node of nodes) if (node !== undefined) this.#table[this.#find(node.op, node.dtype, node.args, node.value)] = node;
  }
}

const mix = (h: number, k: number): number => {
  const x = Math.imul(h ^ Math.imul(k, 0x9e3779b1), 0x85ebca6b);
  return x ^ (x >>> 13);
};

function sameArgs(a: readonly Expr[], b: readonly Expr[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
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
