import { describe, expect, it } from 'vitest';
import { diagnosticOf, type HostTensor, type TensorFunction, type TypedArray } from '@tenon/plugin';
import { createExprs, parseModule } from '@tenon/core';
import { arrayFor, evaluateTensorFunction } from '../src/index.ts';

const exprs = createExprs();
function parsed(text: string): TensorFunction {
  const fn = [...parseModule(text, exprs).functions.values()][0];
  if (fn?.kind !== 'tensor') throw new Error('no tensor function');
  return fn;
}
function tensor(dtype: string, shape: readonly number[], values: readonly (number | bigint)[]): HostTensor {
  const array = arrayFor(dtype);
  const data = new array(new ArrayBuffer(values.length * array.BYTES_PER_ELEMENT), 0, values.length);
  values.forEach((v, i) => {
    data[i] = (/^[iu]64$/.test(dtype) ? BigInt(v) : v) as never;
  });
  return { dtype, shape, data };
}
/** Runs a function whose inputs are given in order; returns the elements of its first output. */
function run(text: string, inputs: readonly HostTensor[] = [], dims: Record<string, number> = {}): (number | bigint)[] {
  const [result] = evaluateTensorFunction(parsed(text), inputs, new Map(Object.entries(dims)));
  return [...(result!.data as TypedArray)];
}
function failure(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return diagnosticOf(error)!.code;
  }
  throw new Error('nothing was thrown');
}

describe('statements', () => {
  it('loops, sequences, branches, lets, allocations', () => {
    expect(run(`tensor @f(out Y: i64[4]) {
      for i in 0..4 {
        if i % 2 == 0 { Y[i] = i * 10 } else { Y[i] = 0 - i }
      }
    }`)).toEqual([0n, -1n, 20n, -3n]);
    expect(run(`tensor @f(X: f32[3], out Y: f32[3]) {
      alloc t: f32[3] {
        for i in 0..3 { t[i] = X[i] + 1f }
        for i in 0..3 { let v = t[2 - i] { Y[i] = v * v } }
      }
    }`, [tensor('f32', [3], [1, 2, 3])])).toEqual([16, 9, 4]);
  });

  it('an allocation starts afresh each time', () => {
    expect(run(`tensor @f(out Y: i64[3]) {
      for i in 0..3 { alloc t: i64[1] { t[0] = t[0] + i
        Y[i] = t[0] } }
    }`)).toEqual([0n, 1n, 2n]);
  });

  it('while', () => {
    expect(run(`tensor @f(out Y: i64[]) {
      Y[] = 1
      while Y[] < 100 { Y[] = Y[] * 3 }
    }`)).toEqual([243n]);
  });

  it('loops of every kind run alike, also over nothing', () => {
    for (const kind of ['serial', 'parallel', 'vectorized', 'unrolled']) {
      expect(run(`tensor @f(out Y: i64[2]) { for i: ${kind} in 0..2 { Y[i] = i + 1 } }`)).toEqual([1n, 2n]);
    }
    expect(run('tensor @f(X: f32[n], out Y: f32[n]) { for i in 0..n { Y[i] = X[i] } }', [tensor('f32', [0], [])])).toEqual([]);
  });

  it('blocks with predicates, reductions with their initial value', () => {
    expect(run(`tensor @f(X: f32[n, 3], out Y: f32[n]) {
      for i in 0..n, k in 0..3 {
        block sum(vi: spatial = i, vk: reduce = k) {
          init { Y[vi] = 100f }
          Y[vi] = Y[vi] + X[vi, vk]
        }
      }
    }`, [tensor('f32', [2, 3], [1, 2, 3, 4, 5, 6])])).toEqual([106, 115]);
    expect(run(`tensor @f(out Y: i64[4]) {
      for i in 0..2, j in 0..4 {
        block b(v: spatial in 0..4 = i * 4 + j) where i * 4 + j < 4 { Y[v] = v }
      }
    }`)).toEqual([0n, 1n, 2n, 3n]);
  });

  it('an empty reduction gives its initial value', () => {
    const text = `tensor @f(X: f32[n, k], out Y: f32[n]) {
      for i in 0..n, j in 0..k {
        block sum(vi: spatial = i, vk: reduce = j) {
          init { Y[vi] = 7f }
          Y[vi] = Y[vi] + X[vi, vk]
        }
      }
    }`;
    expect(run(text, [tensor('f32', [2, 0], [])])).toEqual([7, 7]);
    // Whatever the order of the loops.
    expect(run(text.replace('for i in 0..n, j in 0..k', 'for j in 0..k, i in 0..n'), [tensor('f32', [2, 0], [])])).toEqual([7, 7]);
    expect(run(text, [tensor('f32', [0, 3], [])])).toEqual([]);
  });

  it('goes on with what an output holds, where it is told', () => {
    const fn = parsed('tensor @f(X: f32[2], out Y: f32[2]) { for i in 0..2 { Y[i] = Y[i] + X[i] } }');
    const before = tensor('f32', [2], [10, 20]);
    const [result] = evaluateTensorFunction(fn, [tensor('f32', [2], [1, 2])], new Map(), new Map([[0, before]]));
    expect([...(result!.data as Float32Array)]).toEqual([11, 22]);
    expect([...(before.data as Float32Array)]).toEqual([10, 20]);
  });
});

describe('what is refused', () => {
  it('indices out of bounds, on every axis', () => {
    const x = tensor('f32', [2, 3], [1, 2, 3, 4, 5, 6]);
    const at = (i: string, j: string) => () => run(`tensor @f(X: f32[2, 3], out Y: f32[]) { Y[] = X[${i}, ${j}] }`, [x]);
    expect(at('1', '2')()).toEqual([6]);
    for (const [i, j] of [['2', '0'], ['-1', '0'], ['0', '3'], ['0', '-1']]) expect(failure(at(i!, j!))).toBe('interp/out-of-bounds');
    expect(failure(() => run('tensor @f(out Y: f32[2]) { Y[2] = 0f }'))).toBe('interp/out-of-bounds');
    // The side of a select that is not chosen is not evaluated.
    expect(run('tensor @f(X: f32[2, 3], out Y: f32[]) { Y[] = select(1 < 0, X[9, 9], 5f) }', [x])).toEqual([5]);
  });

  it('arguments that do not fit', () => {
    const text = 'tensor @f(X: f32[n, 2], Z: f32[n], out Y: f32[n]) { for i in 0..n { Y[i] = X[i, 0] + Z[i] } }';
    const x = tensor('f32', [1, 2], [1, 2]);
    const z = tensor('f32', [1], [1]);
    expect(run(text, [x, z])).toEqual([2]);
    for (const inputs of [[x], [x, tensor('f64', [1], [1])], [x, x], [x, tensor('f32', [2], [1, 2])], [tensor('f32', [1, 3], [1, 2, 3]), z]]) {
      expect(failure(() => run(text, inputs))).toBe('interp/arguments');
    }
  });
});

describe('scalars', () => {
  /** The value of an expression over a, b of a dtype. */
  const value = (dtype: string, text: string, a: number | bigint = 0, b: number | bigint = 0, to = dtype) =>
    run(`tensor @f(A: ${dtype}[], B: ${dtype}[], out Y: ${to}[]) { let a = A[] { let b = B[] { Y[] = ${text} } } }`, [tensor(dtype, [], [a]), tensor(dtype, [], [b])])[0];

  it('wrap at the width of integers', () => {
    expect(value('i8', 'a + b', 127, 1)).toBe(-128);
    expect(value('u8', 'a - b', 0, 1)).toBe(255);
    expect(value('i32', 'a * b', 65536, 65536)).toBe(0);
    expect(value('i32', 'a * b', 46341, 46341)).toBe(-2147479015);
    expect(value('i64', 'a + b', 2n ** 63n - 1n, 1)).toBe(-(2n ** 63n));
    expect(value('i64', 'a * b', 3037000500, 3037000500)).toBe(BigInt.asIntN(64, 3037000500n ** 2n));
    expect(value('u64', 'a + b', 2n ** 64n - 1n, 2)).toBe(1n);
  });

  it('divide towards minus infinity, and towards zero', () => {
    expect([[7, 2], [-7, 2], [7, -2], [-7, -2]].map(([a, b]) => [value('i32', 'floordiv(a, b)', a, b), value('i32', 'a % b', a, b), value('i32', 'truncdiv(a, b)', a, b), value('i32', 'truncmod(a, b)', a, b)]))
      .toEqual([[3, 1, 3, 1], [-4, 1, -3, -1], [-4, -1, -3, 1], [3, -1, 3, -1]]);
    expect(value('i64', 'floordiv(a, b)', -(2n ** 62n), 3)).toBe(-(2n ** 62n) / 3n - 1n);
  });

  it('round floats once', () => {
    expect(value('f32', 'a + b', 16777216, 1)).toBe(16777216);
    expect(value('f64', 'a + b', 16777216, 1)).toBe(16777217);
    expect(value('f32', 'exp(a)', 1)).toBe(Math.fround(Math.E));
    expect(value('f32', 'min(a, b)', NaN, 1)).toBeNaN();
    expect(value('f32', 'max(a, b)', 1, NaN)).toBeNaN();
    expect(value('f32', 'truncmod(a, b)', -5.5, 2)).toBe(-1.5);
  });

  it('convert: floats saturate, integers wrap', () => {
    const cast = (from: string, to: string, a: number | bigint) => value(from, `cast(a, ${to})`, a, 0, to);
    expect([1.9, -1.9, 300, -300, NaN, Infinity, -Infinity].map((x) => cast('f32', 'i8', x))).toEqual([1, -1, 127, -128, 0, 127, -128]);
    expect([-1, 256, 4e9].map((x) => cast('f32', 'u8', x))).toEqual([0, 255, 255]);
    expect(cast('f64', 'i64', 1e30)).toBe(2n ** 63n - 1n);
    expect(cast('f64', 'i64', 2 ** 60)).toBe(2n ** 60n);
    expect([300, -1].map((x) => cast('i32', 'u8', x))).toEqual([44, 255]);
    expect(cast('i64', 'f32', 2n ** 24n + 1n)).toBe(2 ** 24);
    expect([2, 0].map((x) => cast('i32', 'bool', x))).toEqual([1, 0]);
    expect([NaN, 0, -0, 0.5].map((x) => cast('f32', 'bool', x))).toEqual([1, 0, 0, 1]);
  });

  it('bits', () => {
    expect(value('u8', 'bitand(a, b)', 0b1100, 0b1010)).toBe(0b1000);
    expect(value('u8', 'bitor(a, b)', 0b1100, 0b1010)).toBe(0b1110);
    expect(value('u8', 'bitxor(a, b)', 0b1100, 0b1010)).toBe(0b0110);
    expect(value('u8', 'bitnot(a)', 0b1100)).toBe(0b11110011);
    expect(value('i8', 'shl(a, b)', 64, 1)).toBe(-128);
    expect(value('i8', 'shr(a, b)', -128, 3)).toBe(-16);
    expect(value('u8', 'shr(a, b)', 128, 3)).toBe(16);
    expect(value('i8', 'popcount(a)', -1)).toBe(8);
    expect(value('f32', '(bitcast(a): i32)', -0, 0, 'i32')).toBe(-(2 ** 31));
    expect(value('i32', '(bitcast(a): f32)', 0x3f800000, 0, 'f32')).toBe(1);
  });

  it('intrinsics on integers', () => {
    expect(value('i8', 'abs(a)', -128)).toBe(-128);
    expect(value('i32', 'pow(a, b)', 3, 5)).toBe(243);
    expect([[2, -1], [1, -5], [-1, -3]].map(([a, b]) => value('i32', 'pow(a, b)', a, b))).toEqual([0, 1, -1]);
    expect([-5, 0, 5].map((a) => value('i32', 'sign(a)', a))).toEqual([-1, 0, 1]);
  });
});
