import { createExprs } from '@tenon/core';
import type { CodegenRegion, Expr, For, LoopKind, Stmt, TensorFunction } from '@tenon/plugin';
import { beforeAll, describe, expect, test } from 'vitest';
import { compileAll, regionOf, seq, statements, targetContext, type Compiled } from '../../test/harness.ts';
import { generateKernel } from './kernel.ts';

const exprs = createExprs();
const s = statements(exprs);
const n = exprs.variable('n');
const { v } = s;

/** Functions under test; compiled together. */
const functions: TensorFunction[] = [];
const define = (fn: TensorFunction): string => {
  functions.push(fn);
  return fn.name;
};
let compiled: Compiled;
beforeAll(async () => {
  const regions: CodegenRegion[] = functions.map((fn) => regionOf(fn, exprs));
  compiled = await compileAll(regions, await targetContext(undefined, { exprs }), 2);
}, 120_000);

const ramp = (length: number, from = 0): Float32Array => Float32Array.from({ length }, (_, i) => from + i);
const each = (kinds: readonly LoopKind[], make: (kind: LoopKind) => TensorFunction): [string, string][] => kinds.map((kind) => [String(kind), define(make(kind))]);
const kinds: readonly LoopKind[] = ['serial', 'unrolled', 'vectorized'];
const X = s.buffer('X', 'f32', [n]);
const Y = s.buffer('Y', 'f32', [n]);
const f32 = (value: number): Expr => exprs.constant(value, 'f32');

describe('loops', () => {
  test.each(each(['serial', 'parallel', 'vectorized', 'unrolled'], (kind) =>
    s.fn(`symbolic_${String(kind)}`, [X], [Y], s.loop('i', n, kind, s.store(Y, [v('i')], exprs.add(s.load(X, v('i')), f32(1)))))),
  )('%s over a symbolic extent', (_, name) => {
    for (const length of [0, 1, 15, 16, 17, 100, 100_003]) {
      const y = new Float32Array(length);
      compiled.run(name, [ramp(length), y], [length]);
      expect(y).toEqual(ramp(length, 1));
    }
  });

  const rows = s.buffer('rows', 'f32', [7, 40]);
  const out = s.buffer('out', 'f32', [40, 7]);
  test.each(each(kinds, (kind) =>
    s.fn(`transpose_${String(kind)}`, [rows], [out], s.loop('i', 7, 'serial', s.loop('j', 40, kind, s.store(out, [v('j'), v('i')], s.load(rows, v('i'), v('j')))))))
  )('%s: stores with a stride', (_, name) => {
    const y = new Float32Array(280);
    compiled.run(name, [ramp(280), y]);
    expect(y).toEqual(Float32Array.from({ length: 280 }, (_u, k) => (k % 7) * 40 + Math.floor(k / 7)));
  });

  test.each(each(kinds, (kind) =>
    s.fn(`untranspose_${String(kind)}`, [out], [rows], s.loop('i', 7, 'serial', s.loop('j', 40, kind, s.store(rows, [v('i'), v('j')], s.load(out, v('j'), v('i')))))))
  )('%s: loads with a stride', (_, name) => {
    const y = new Float32Array(280);
    compiled.run(name, [ramp(280), y]);
    expect(y).toEqual(Float32Array.from({ length: 280 }, (_u, k) => (k % 40) * 7 + Math.floor(k / 40)));
  });

  const flat = s.buffer('flat', 'f32', [64]);
  const perm = s.buffer('perm', 'f32', [64]);
  test.each(each(kinds, (kind) =>
    s.fn(`divided_${String(kind)}`, [flat], [perm], s.loop('j', 64, kind, s.store(perm, [v('j')], s.load(flat, exprs.add(exprs.mul(exprs.mod(v('j'), 8), 8), exprs.floordiv(v('j'), 8)))))))
  )('%s: indices with division', (_, name) => {
    const y = new Float32Array(64);
    compiled.run(name, [ramp(64), y]);
    expect(y).toEqual(Float32Array.from({ length: 64 }, (_u, k) => (k % 8) * 8 + Math.floor(k / 8)));
  });

  const tail = s.buffer('tail', 'f32', [10]);
  test.each(each(kinds, (kind) => s.fn(`iota_${String(kind)}`, [], [tail], s.loop('j', 10, kind, s.store(tail, [v('j')], exprs.cast(exprs.mul(v('j'), v('j')), 'f32'))))))('%s: the loop variable as a value', (_, name) => {
    const y = new Float32Array(10);
    compiled.run(name, [y]);
    expect(y).toEqual(ramp(10).map((x) => x * x));
  });

  const index = s.buffer('index', 'i64', [20]);
  const table = s.buffer('table', 'f32', [5, 3]);
  const picked = s.buffer('picked', 'f32', [20]);
  test.each(each(kinds, (kind) => s.fn(`gather_${String(kind)}`, [table, index], [picked], s.loop('j', 20, kind, s.store(picked, [v('j')], s.load(table, s.load(index, v('j')), 1))))))('%s: an index from memory', (_, name) => {
    const y = new Float32Array(20);
    const indices = BigInt64Array.from({ length: 20 }, (_u, i) => BigInt((i * 3) % 5));
    compiled.run(name, [ramp(15), indices, y]);
    expect(y).toEqual(Float32Array.from({ length: 20 }, (_u, i) => ((i * 3) % 5) * 3 + 1));
  });
  test.each(each(kinds, (kind) => s.fn(`scatter_${String(kind)}`, [picked, index], [table], s.loop('j', 5, kind, s.store(table, [s.load(index, v('j')), 2], s.load(picked, v('j')))))))('%s: a store to an index from memory', (_, name) => {
    const y = new Float32Array(15);
    compiled.run(name, [ramp(20, 1), BigInt64Array.from({ length: 20 }, (_u, i) => BigInt((i * 2) % 5)), y]);
    expect(Array.from({ length: 5 }, (_u, r) => y[r * 3 + 2])).toEqual([1, 4, 2, 5, 3]);
  });

  const triangle = s.buffer('triangle', 'f32', [9, 9]);
  const triangular = define(s.fn('triangular', [], [triangle], s.loop('i', 9, 'serial', s.loop('j', exprs.add(v('i'), 1), 'serial', s.store(triangle, [v('i'), v('j')], 1)))));
  test('an extent that depends on an outer loop', () => {
    const y = new Float32Array(81);
    compiled.run(triangular, [y]);
    expect(y).toEqual(Float32Array.from({ length: 81 }, (_u, k) => (k % 9 <= Math.floor(k / 9) ? 1 : 0)));
  });
});

describe('conditions', () => {
  // Reads outside the buffer unless only the chosen side is evaluated: the page after it may not be mapped.
  const padded = s.buffer('padded', 'f32', [48]);
  const small = s.buffer('small', 'f32', [40]);
  const at = exprs.sub(v('j'), 3);
  const inside = exprs.and(exprs.le(0, at), exprs.lt(at, 40));
  test.each(each(kinds, (kind) => s.fn(`pad_${String(kind)}`, [small], [padded], s.loop('j', 48, kind, s.store(padded, [v('j')], exprs.select(inside, s.load(small, at), f32(-1)))))))('%s: a select guards a load', (_, name) => {
    const y = new Float32Array(48);
    compiled.run(name, [ramp(40), y]);
    expect(y).toEqual(Float32Array.from({ length: 48 }, (_u, j) => (j >= 3 && j < 43 ? j - 3 : -1)));
  });
  test.each(each(kinds, (kind) => s.fn(`where_${String(kind)}`, [small], [small], s.loop('j', 40, kind, s.store(small, [v('j')], exprs.select(exprs.lt(s.load(small, v('j')), f32(20)), exprs.mul(s.load(small, v('j')), f32(2)), f32(0)))))))('%s: a select blends', (_, name) => {
    const y = ramp(40);
    compiled.run(name, [y, y]);
    expect(y).toEqual(ramp(40).map((x) => (x < 20 ? 2 * x : 0)));
  });
  test.each(each(kinds, (kind) => s.fn(`if_${String(kind)}`, [small], [padded], s.loop('j', 40, kind,
    s.let('t', exprs.mul(s.load(small, v('j')), f32(3)),
      s.let('odd', exprs.eq(exprs.mod(v('j'), 2), 1),
        s.if(exprs.and(v('odd', 'bool'), exprs.lt(v('j'), 30)), s.store(padded, [v('j')], v('t', 'f32')), s.if(exprs.le(30, v('j')), s.store(padded, [v('j')], 7)))))))))('%s: an if with lanes that differ, and lets', (_, name) => {
    const y = new Float32Array(48).fill(-5);
    compiled.run(name, [ramp(40), y]);
    expect(y).toEqual(Float32Array.from({ length: 48 }, (_u, j) => (j >= 40 ? -5 : j >= 30 ? 7 : j % 2 === 1 ? 3 * j : -5)));
  });
  test.each(each(kinds, (kind) => s.fn(`uniform_${String(kind)}`, [small], [small], s.loop('i', 2, 'serial', s.loop('j', 40, kind,
    s.if(exprs.eq(v('i'), 1), s.store(small, [v('j')], exprs.select(exprs.eq(v('i'), 0), f32(0), exprs.add(s.load(small, v('j')), f32(1)))))))) ))('%s: conditions that all lanes share', (_, name) => {
    const y = ramp(40);
    compiled.run(name, [y, y]);
    expect(y).toEqual(ramp(40, 1));
  });
});

describe('loops as functions of their own', () => {
  const [a, b] = [s.buffer('a', 'f32', [n, 40]), s.buffer('b', 'f32', [n, 40])];
  const apart = (loop: For): For => ({ ...loop, annotations: { outlined: true } });
  const scratch = s.buffer('scratch', 'f32', [4000], 'local');
  const kept = s.buffer('kept', 'f32', [64], 'local');
  // What they use from outside comes as arguments: buffers, sizes, loop variables, lets, scratch memory.
  const fn = s.fn('apart', [a], [b], s.loop('i', n, 'parallel', s.let('t', exprs.add(v('i'), n), s.alloc(scratch,
    apart(s.loop('j', 40, 'serial', s.store(scratch, [v('j')], exprs.add(s.load(a, v('i'), v('j')), exprs.cast(v('t'), 'f32'))))),
    apart(s.loop('j', 2, 'serial', s.loop('k', 20, 'vectorized', s.store(b, [v('i'), exprs.add(exprs.mul(v('j'), 20), v('k'))], s.load(scratch, exprs.add(exprs.mul(v('j'), 20), v('k')))))))))));
  define(fn);
  test('compute the same', () => {
    const y = new Float32Array(120);
    compiled.run(fn.name, [ramp(120), y], [3], 1 << 16);
    expect(y).toEqual(Float32Array.from({ length: 120 }, (_, k) => k + Math.floor(k / 40) + 3));
    expect(generateKernel(fn, { exprs, vectorBytes: 64, facts: new Map() }).stages[0]!.text.match(/noinline/g)).toHaveLength(2);
  });
  test('stay where they are where they need registers from outside', () => {
    const inside = s.fn('inside', [a], [b], s.loop('i', n, 'parallel', s.alloc(kept,
      s.loop('k', 64, 'vectorized', s.store(kept, [v('k')], 1)),
      apart(s.loop('j', 40, 'serial', s.loop('k', 64, 'vectorized', s.store(kept, [v('k')], exprs.mul(s.load(kept, v('k')), s.load(a, v('i'), v('j'))))))),
      s.loop('k', 16, 'vectorized', s.store(b, [v('i'), v('k')], s.load(kept, v('k')))))));
    expect(generateKernel(inside, { exprs, vectorBytes: 64, facts: new Map() }).stages[0]!.text).not.toContain('noinline');
  });
});

describe('while and evaluate', () => {
  const steps = s.buffer('steps', 'i64', [n]);
  const state = s.buffer('state', 'i64', [2], 'local');
  const current = s.load(state, 0);
  const collatz = define(s.fn('collatz', [], [steps], s.loop('i', n, 'parallel', s.alloc(state,
    s.store(state, [0], exprs.add(v('i'), 1)),
    s.store(state, [1], 0),
    s.while(exprs.ne(current, exprs.int(1)),
      s.store(state, [0], exprs.select(exprs.eq(exprs.mod(current, 2), 0), exprs.floordiv(current, 2), exprs.add(exprs.mul(current, 3), 1))),
      s.store(state, [1], exprs.add(s.load(state, 1), 1)),
      s.evaluate(current)),
    s.store(steps, [v('i')], s.load(state, 1))))));
  test('a while loop per iteration', () => {
    const y = new BigInt64Array(3000);
    compiled.run(collatz, [y], [3000]);
    const want = BigInt64Array.from({ length: 3000 }, (_u, i) => {
      let [x, count] = [i + 1, 0n];
      for (; x !== 1; count++) x = x % 2 === 0 ? x / 2 : 3 * x + 1;
      return count;
    });
    expect(y).toEqual(want);
  });
});

describe('local buffers', () => {
  const m = exprs.variable('m');
  const big = s.buffer('big', 'f32', [m, n]);
  const line = s.buffer('line', 'f32', [n], 'local');
  const total = s.buffer('total', 'f32', [1], 'local');
  const softmax = define(s.fn('softmax', [big], [big], s.loop('i', m, 'parallel', s.alloc(line, s.alloc(total,
    s.store(total, [0], 0),
    s.loop('j', n, 'vectorized', s.store(line, [v('j')], exprs.call('exp', [s.load(big, v('i'), v('j'))]))),
    s.loop('j', n, 'serial', s.store(total, [0], exprs.add(s.load(total, 0), s.load(line, v('j'))))),
    s.loop('j', n, 'vectorized', s.store(big, [v('i'), v('j')], exprs.div(s.load(line, v('j')), s.load(total, 0)))))))));
  test('a symbolic one lies in scratch memory of its thread', () => {
    const [rows, columns] = [301, 157];
    const y = Float32Array.from({ length: rows * columns }, (_u, k) => Math.sin(k));
    const want = y.slice();
    compiled.run(softmax, [y, y], [rows, columns], 1024);
    for (let r = 0; r < rows; r++) {
      const row = want.subarray(r * columns, (r + 1) * columns).map(Math.exp);
      const sum = row.reduce((a, b) => a + b, 0);
      row.forEach((x, c) => expect(y[r * columns + c]).toBeCloseTo(x / sum, 6));
    }
    const { workspace } = compiled.blob.entries.find((e) => e.region === softmax)!;
    expect(exprs.valueOf(exprs.substitute(workspace!, new Map([['n', exprs.int(157)]])))).toBe(640);
  });

  const wide = s.buffer('wide', 'f32', [64]);
  const lanes = s.buffer('lanes', 'f32', [16], 'local');
  const sum = s.buffer('sum', 'f32', [1]);
  const reduced = define(s.fn('lanesum', [wide], [sum], s.alloc(lanes, s.alloc(total,
    s.loop('l', 16, 'vectorized', s.store(lanes, [v('l')], 0)),
    s.loop('k', 4, 'serial', s.loop('l', 16, 'vectorized', s.store(lanes, [v('l')], exprs.add(s.load(lanes, v('l')), s.load(wide, exprs.add(exprs.mul(v('k'), 16), v('l'))))))),
    s.store(total, [0], 0),
    s.loop('l', 16, 'serial', s.store(total, [0], exprs.add(s.load(total, 0), s.load(lanes, v('l'))))),
    s.store(sum, [0], s.load(total, 0))))));
  test('one in registers, summed lane by lane', () => {
    const y = new Float32Array(1);
    compiled.run(reduced, [ramp(64), y]);
    expect(y[0]).toBe(2016);
    expect(compiled.blob.listing).toMatch(/f32x\d+ b\d+\[\d+\];/);
  });

  const column = s.buffer('column', 'f32', [16, 16], 'local');
  const square = s.buffer('square', 'f32', [16, 16]);
  const swapped = define(s.fn('swapped', [square], [square], s.alloc(column,
    s.loop('i', 16, 'serial', s.loop('j', 16, 'vectorized', s.store(column, [v('i'), v('j')], s.load(square, v('i'), v('j'))))),
    s.loop('i', 16, 'serial', s.loop('j', 16, 'vectorized', s.store(square, [v('i'), v('j')], s.load(column, v('j'), v('i'))))))));
  test('one that registers cannot hold', () => {
    const y = ramp(256);
    compiled.run(swapped, [y, y]);
    expect(y).toEqual(Float32Array.from({ length: 256 }, (_u, k) => (k % 16) * 16 + Math.floor(k / 16)));
  });

  const temporary = s.buffer('temporary', 'f32', [n]);
  const twoNests = define(s.fn('twonests', [X], [Y], s.alloc(temporary,
    s.loop('i', n, 'parallel', s.store(temporary, [v('i')], exprs.mul(s.load(X, v('i')), f32(2)))),
    s.loop('i', n, 'parallel', s.store(Y, [v('i')], s.load(temporary, exprs.sub(exprs.sub(n, 1), v('i'))))))));
  test('a temporary between two parallel nests', () => {
    const y = new Float32Array(50_000);
    compiled.run(twoNests, [ramp(50_000), y], [50_000], 200_064);
    expect(y).toEqual(Float32Array.from({ length: 50_000 }, (_u, i) => 2 * (49_999 - i)));
  });
});

describe('what code generation refuses', () => {
  const refuse = (body: Stmt): unknown => {
    try {
      generateKernel(s.fn('refused', [X], [Y], body), { exprs, vectorBytes: 32, facts: new Map() });
    } catch (error) {
      return (error as { diagnostic: { code: string } }).diagnostic.code;
    }
    return null;
  };
  test('blocks, thread loops, unknown buffers and element types', () => {
    expect(refuse({ kind: 'block', name: 'b', iters: [], reads: [], writes: [], predicate: null, init: null, body: seq(), annotations: {} })).toBe('cpu-c/block');
    expect(refuse(s.loop('i', n, { thread: 'x' }, seq()))).toBe('cpu-c/thread-loop');
    expect(refuse(s.store(s.buffer('Z', 'f32', [n]), [0], 0))).toBe('cpu-c/unknown-buffer');
    expect(refuse(s.alloc(s.buffer('Z', 'i4', [n], 'local'), seq()))).toBe('cpu-c/unsupported-dtype');
  });
});

test('a micro-kernel keeps its accumulators in vectors, and equal kernels are written once', async () => {
  const k = exprs.variable('k');
  const [A, B, C] = [s.buffer('A', 'f32', [6, k]), s.buffer('B', 'f32', [k, 32]), s.buffer('C', 'f32', [6, 32])];
  const acc = s.buffer('acc', 'f32', [6, 32], 'local');
  const tile = (...body: Stmt[]): Stmt => s.loop('i', 6, 'unrolled', s.loop('j', 32, 'vectorized', ...body));
  const product = exprs.mul(s.load(A, v('i'), v('p')), s.load(B, v('p'), v('j')));
  const make = (name: string): TensorFunction => s.fn(name, [A, B], [C], s.alloc(acc,
    tile(s.store(acc, [v('i'), v('j')], 0)),
    s.loop('p', k, 'serial', tile(s.store(acc, [v('i'), v('j')], exprs.add(s.load(acc, v('i'), v('j')), product)))),
    tile(s.store(C, [v('i'), v('j')], s.load(acc, v('i'), v('j'))))));
  const two = await compileAll([regionOf(make('one'), exprs), regionOf(make('other'), exprs)], await targetContext(undefined, { exprs }));
  expect(two.blob.listing).toMatch(/f32x\d+ b\d+\[\d+\];/);
  expect(two.blob.listing.match(/^__attribute__.*void tenon_k_/gm)).toHaveLength(1);
  const [a, b, c] = [Float32Array.from({ length: 6 * 50 }, (_u, i) => (i % 7) - 3), Float32Array.from({ length: 50 * 32 }, (_u, i) => (i % 11) - 5), new Float32Array(192)] as const;
  two.run('other', [a, b, c], [50]);
  expect(c).toEqual(Float32Array.from({ length: 192 }, (_u, q) => {
    let sum = 0;
    for (let p = 0; p < 50; p++) sum += a[Math.floor(q / 32) * 50 + p]! * b[p * 32 + (q % 32)]!;
    return sum;
  }));
  two.loaded.dispose();
});
