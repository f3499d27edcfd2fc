import type { Expr, ExprOp } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';

/**
 * An integer formula over named dims in postfix form: a number pushes itself, `$name` pushes a dim, any other string is
 * an operation on what was pushed. Comparisons and logic give 0 or 1.
 *
 * `[ '$n', 4, 'floordiv', 1, '+' ]` is floor(n / 4) + 1.
 */
export type DimProgram = readonly (number | string)[];

interface Operation {
  readonly arity: number;
  readonly apply: (a: number, b: number, c: number) => number;
  /** How it prints: an infix operator with its precedence, or a function. */
  readonly infix?: readonly [string, number];
}

const mod = (a: number, b: number): number => {
  const r = a % b;
  return r !== 0 && r < 0 !== b < 0 ? r + b : r;
};

/**
 * Both sides of a `select` are computed, so a division by zero on the side not taken must not throw: it is NaN, and
 * only a formula that ends in NaN is an error.
 */
const operations: { readonly [name: string]: Operation } = {
  '+': { arity: 2, apply: (a, b) => a + b, infix: ['+', 5] },
  '-': { arity: 2, apply: (a, b) => a - b, infix: ['-', 5] },
  '*': { arity: 2, apply: (a, b) => a * b, infix: ['*', 6] },
  // (a − mod) / b is exact where a / b in floating point is not.
  floordiv: { arity: 2, apply: (a, b) => (a - mod(a, b)) / b },
  mod: { arity: 2, apply: mod, infix: ['%', 6] },
  truncdiv: { arity: 2, apply: (a, b) => (a - (a % b)) / b },
  truncmod: { arity: 2, apply: (a, b) => a % b },
  min: { arity: 2, apply: (a, b) => Math.min(a, b) },
  max: { arity: 2, apply: (a, b) => Math.max(a, b) },
  select: { arity: 3, apply: (c, a, b) => (c !== 0 ? a : b) },
  eq: { arity: 2, apply: (a, b) => Number(a === b), infix: ['==', 3] },
  ne: { arity: 2, apply: (a, b) => Number(a !== b), infix: ['!=', 3] },
  lt: { arity: 2, apply: (a, b) => Number(a < b), infix: ['<', 4] },
  le: { arity: 2, apply: (a, b) => Number(a <= b), infix: ['<=', 4] },
  and: { arity: 2, apply: (a, b) => Number(a !== 0 && b !== 0), infix: ['and', 2] },
  or: { arity: 2, apply: (a, b) => Number(a !== 0 || b !== 0), infix: ['or', 1] },
  not: { arity: 1, apply: (a) => Number(a === 0) },
};

const opNames: { readonly [op in ExprOp]?: string } = {
  add: '+', sub: '-', mul: '*', floordiv: 'floordiv', mod: 'mod', truncdiv: 'truncdiv', truncmod: 'truncmod',
  min: 'min', max: 'max', select: 'select', eq: 'eq', ne: 'ne', lt: 'lt', le: 'le', and: 'and', or: 'or', not: 'not',
};

/** The program of an integer or boolean expression over dims. Throws `artifact/unsupported-dim` for anything else. */
export function encodeDim(expr: Expr): DimProgram {
  const program: (number | string)[] = [];
  const emit = (e: Expr): void => {
    if (e.op === 'const') {
      const value = Number(e.value);
      if (!Number.isSafeInteger(value)) throw unsupported(`the constant ${String(e.value)} is not an integer that a dim can hold`);
      program.push(value);
    } else if (e.op === 'var') {
      program.push(`$${String(e.value)}`);
    } else if (e.op === 'cast' && e.args[0] && (e.dtype === 'i64' || (e.dtype === 'bool' && e.args[0].dtype === 'bool'))) {
      emit(e.args[0]);
    } else {
      const name = opNames[e.op];
      if (name === undefined) throw unsupported(`'${e.op}' to ${e.dtype} cannot occur in a dim`);
      for (const arg of e.args) emit(arg);
      program.push(name);
    }
  };
  emit(expr);
  return program;
}

const unsupported = (message: string): TenonError => new TenonError({ code: 'artifact/unsupported-dim', message });

/** The value of a formula. Throws `artifact/unbound-dim`, or `artifact/dim-value` where it is not a safe integer. */
export function evaluateDim(program: DimProgram, dims: ReadonlyMap<string, number>): number {
  if (program.length === 1 && typeof program[0] === 'number') return program[0];
  const stack: number[] = [];
  for (const item of program) {
    if (typeof item === 'number') {
      stack.push(item);
    } else if (item.startsWith('$')) {
      const value = dims.get(item.slice(1));
      if (value === undefined) {
        throw new TenonError({ code: 'artifact/unbound-dim', message: `dim ${item.slice(1)} of ${formatDim(program)} has no value` });
      }
      stack.push(value);
    } else {
      const operation = operations[item]!;
      const c = operation.arity > 2 ? stack.pop()! : 0;
      const b = operation.arity > 1 ? stack.pop()! : 0;
      stack.push(operation.apply(stack.pop()!, b, c));
    }
  }
  const value = stack[0]! + 0; // −0 is 0
  if (!Number.isSafeInteger(value)) {
    const given = dimsOf(program).map((name) => `${name} = ${dims.get(name)}`).join(', ');
    throw new TenonError({ code: 'artifact/dim-value', message: `${formatDim(program)} is ${value}, not an integer of at most 53 bits, for ${given || 'no dims'}` });
  }
  return value;
}

/** Names of the dims that a formula reads, each once. */
export function dimsOf(program: DimProgram): readonly string[] {
  const names = new Set<string>();
  for (const item of program) if (typeof item === 'string' && item.startsWith('$')) names.add(item.slice(1));
  return [...names];
}

/** What is wrong with a program, or null. */
export function checkDimProgram(program: unknown): string | null {
  if (!Array.isArray(program)) return 'a formula is not an array';
  let depth = 0;
  for (const item of program as readonly unknown[]) {
    if (typeof item === 'number') {
      if (!Number.isSafeInteger(item)) return `${item} is not an integer`;
      depth++;
    } else if (typeof item === 'string' && item.startsWith('$')) {
      depth++;
    } else {
      const operation = typeof item === 'string' && Object.hasOwn(operations, item) ? operations[item] : undefined;
      if (!operation) return `unknown operation ${JSON.stringify(item)}`;
      if (depth < operation.arity) return `'${String(item)}' lacks operands`;
      depth -= operation.arity - 1;
    }
  }
  return depth === 1 ? null : `a formula leaves ${depth} values`;
}

/** The formula as people write it: `2 * n + 1`. */
export function formatDim(program: DimProgram): string {
  const stack: { text: string; level: number }[] = [];
  const wrap = (x: { text: string; level: number }, level: number): string => (x.level < level ? `(${x.text})` : x.text);
  for (const item of program) {
    if (typeof item === 'number') {
      stack.push({ text: String(item), level: item < 0 ? 5 : 9 });
    } else if (item.startsWith('$')) {
      stack.push({ text: item.slice(1), level: 9 });
    } else {
      const operation = operations[item];
      const operands = stack.splice(-(operation?.arity ?? 1));
      if (operation?.infix) {
        const [symbol, level] = operation.infix;
        stack.push({ text: `${wrap(operands[0]!, level)} ${symbol} ${wrap(operands[1]!, level + 1)}`, level });
      } else {
        stack.push({ text: `${item}(${operands.map((o) => o.text).join(', ')})`, level: 9 });
      }
    }
  }
  return stack[0]?.text ?? '';
}
