import type { Expr, ExprOp } from '@tenon/plugin';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkDimProgram, type DimProgram, dimsOf, encodeDim, evaluateDim, formatDim } from './dim-program.ts';

const expr = (op: ExprOp, args: readonly Expr[] = [], value: Expr['value'] = null, dtype = 'i64'): Expr => ({ tag: 'expr', op, dtype, args, value, id: 0 });
const int = (value: number | bigint): Expr => expr('const', [], value);
const dim = (name: string): Expr => expr('var', [], name);
const code = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    return (error as { diagnostic: { code: string } }).diagnostic.code;
  }
  return 'nothing thrown';
};

describe('encodeDim', () => {
  test('writes operands before operations', () => {
    expect(encodeDim(expr('add', [expr('floordiv', [dim('n'), int(4)]), int(1)]))).toEqual(['$n', 4, 'floordiv', 1, '+']);
  });
  test('a dim named like an operation stays a dim', () => {
    const program = encodeDim(expr('mul', [dim('min'), dim('$x')]));
    expect(evaluateDim(program, new Map([['min', 3], ['$x', 5]]))).toBe(15);
    expect(dimsOf(program)).toEqual(['min', '$x']);
  });
  test('refuses what is no dim', () => {
    expect(code(() => encodeDim(expr('call', [int(1)], 'exp', 'f32')))).toBe('artifact/unsupported-dim');
    expect(code(() => encodeDim(expr('cast', [int(1)], null, 'i32')))).toBe('artifact/unsupported-dim');
    expect(code(() => encodeDim(int(2n ** 60n)))).toBe('artifact/unsupported-dim');
  });
  test('takes bigint constants that are safe integers, and casts that change nothing', () => {
    expect(encodeDim(expr('cast', [int(7n)]))).toEqual([7]);
  });
});

/** Random integer expressions with their value by exact arithmetic; null where it divides by zero on the side taken. */
const tree: fc.Arbitrary<{ expr: Expr; value: bigint | null }> = fc.letrec<{ node: { expr: Expr; value: bigint | null } }>((tie) => ({
  node: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.integer({ min: -50, max: 50 }).map((v) => ({ expr: int(v), value: BigInt(v) })),
    fc.constantFrom(['a', 7n], ['b', -3n], ['c', 0n]).map(([name, v]) => ({ expr: dim(name as string), value: v as bigint })),
    fc.tuple(fc.constantFrom<ExprOp>('add', 'sub', 'mul', 'floordiv', 'mod', 'truncdiv', 'truncmod', 'min', 'max', 'eq', 'ne', 'lt', 'le'), tie('node'), tie('node'))
      .map(([op, a, b]) => ({ expr: expr(op, [a.expr, b.expr]), value: a.value === null || b.value === null ? null : exact(op, a.value, b.value) })),
    fc.tuple(tie('node'), tie('node'), tie('node'))
      .map(([c, a, b]) => ({ expr: expr('select', [c.expr, a.expr, b.expr]), value: c.value === null ? null : c.value !== 0n ? a.value : b.value })),
  ),
})).node;

function exact(op: ExprOp, a: bigint, b: bigint): bigint | null {
  const floorMod = (): bigint => ((a % b) + b) % b;
  switch (op) {
    case 'add': return a + b;
    case 'sub': return a - b;
    case 'mul': return a * b;
    case 'floordiv': return b === 0n ? null : (a - floorMod()) / b;
    case 'mod': return b === 0n ? null : floorMod();
    case 'truncdiv': return b === 0n ? null : a / b;
    case 'truncmod': return b === 0n ? null : a % b;
    case 'min': return a < b ? a : b;
    case 'max': return a > b ? a : b;
    case 'eq': return BigInt(a === b);
    case 'ne': return BigInt(a !== b);
    case 'lt': return BigInt(a < b);
    default: return BigInt(a <= b);
  }
}

describe('evaluateDim', () => {
  const dims = new Map([['a', 7], ['b', -3], ['c', 0]]);
  test('agrees with exact integer arithmetic', () => {
    fc.assert(fc.property(tree, ({ expr: e, value }) => {
      const program = encodeDim(e);
      expect(checkDimProgram(program)).toBeNull();
      if (value !== null && value <= BigInt(Number.MAX_SAFE_INTEGER) && value >= -BigInt(Number.MAX_SAFE_INTEGER)) {
        expect(Object.is(evaluateDim(program, dims), Number(value))).toBe(true);
      }
    }), { numRuns: 2000 });
  });
  test('divides large integers exactly', () => {
    expect(evaluateDim([9007199254740991, 3, 'floordiv'], dims)).toBe(3002399751580330);
    expect(evaluateDim([-9007199254740991, 2, 'floordiv'], dims)).toBe(-4503599627370496);
  });
  test('a division by zero matters only where it is taken', () => {
    const guarded: DimProgram = ['$c', 0, 'eq', 1, '$a', '$c', 'floordiv', 'select'];
    expect(evaluateDim(guarded, dims)).toBe(1);
    expect(code(() => evaluateDim(['$a', '$c', 'mod'], dims))).toBe('artifact/dim-value');
  });
  test('unknown dims and overflow are errors', () => {
    expect(code(() => evaluateDim(['$q'], dims))).toBe('artifact/unbound-dim');
    expect(code(() => evaluateDim([2 ** 40, 2 ** 40, '*'], dims))).toBe('artifact/dim-value');
  });
  test('and, or, not', () => {
    const truth = (program: DimProgram): number => evaluateDim(program, dims);
    expect([truth([1, 0, 'and']), truth([1, 2, 'and']), truth([0, 0, 'or']), truth([0, 5, 'or']), truth([0, 'not']), truth([3, 'not'])]).toEqual([0, 1, 0, 1, 1, 0]);
  });
});

describe('formatDim', () => {
  test.each([
    [['$n', 2, '*', 1, '+'], 'n * 2 + 1'],
    [['$n', 1, '+', 2, '*'], '(n + 1) * 2'],
    [['$n', '$m', 1, '-', '-'], 'n - (m - 1)'],
    [['$n', 4, 'floordiv', 8, 'max'], 'max(floordiv(n, 4), 8)'],
    [['$n', 8, 'mod', 0, 'eq', '$n', 'not', 'and'], 'n % 8 == 0 and not(n)'],
    [[3], '3'],
  ] as const)('%j', (program, text) => {
    expect(formatDim(program)).toBe(text);
  });
});

describe('checkDimProgram', () => {
  test.each([
    [[], 'a formula leaves 0 values'],
    [[1, 2], 'a formula leaves 2 values'],
    [[1, '+'], "'+' lacks operands"],
    [['sqrt'], 'unknown operation "sqrt"'],
    [['constructor'], 'unknown operation "constructor"'],
    [[1.5], '1.5 is not an integer'],
    ['n', 'a formula is not an array'],
  ])('%j', (program, problem) => {
    expect(checkDimProgram(program)).toBe(problem);
  });
});
