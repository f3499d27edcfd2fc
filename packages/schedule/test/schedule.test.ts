import { describe, expect, it } from 'vitest';
import type { Buffer, Expr, HostTensor, Scope, Stmt, TensorFunction, TypedArray } from '@tenon/plugin';
import { createExprs, parseModule, printFunction, visitStmts } from '@tenon/core';
import { evaluateTensorFunction } from '@tenon/interp';
import {
  computeForm, computeInline, decomposeReductions, flatIndex, inlinable, linearIn, loops, lower, Names, parallelOver, simplifyStmt, stagesOf, stepped, store, vectorLoop,
} from '../src/index.ts';

const exprs = createExprs();
const none: Scope = new Map();
function parsed(text: string): TensorFunction {
  const fn = [...parseModule(text, exprs).functions.values()][0];
  if (fn?.kind !== 'tensor') throw new Error('no tensor function');
  return fn;
}
const body = (fn: TensorFunction): string => printFunction(fn).split('\n').slice(1, -1).map((l) => l.slice(2)).join('\n');
const floats = (shape: readonly number[], at: (i: number) => number = (i) => Math.sin(i + 1)): HostTensor => ({ dtype: 'f32', shape, data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => at(i)) });
const run = (fn: TensorFunction, inputs: readonly HostTensor[], dims?: ReadonlyMap<string, number>): unknown[] => evaluateTensorFunction(fn, inputs, dims).map((t) => [...(t.data as TypedArray)]);

const softmaxLike = `tensor @f(X: f32[n, 3], out Y: f32[n, 3]) {
  alloc e: f32[n, 3] { alloc s: f32[n] {
    for i in 0..n, j in 0..3 { block e(vi: spatial = i, vj: spatial = j) { e[vi, vj] = exp(X[vi, vj]) } }
    for i in 0..n, k in 0..3 { block s(vi: spatial = i, vk: reduce = k) { init { s[vi] = 0f } s[vi] = s[vi] + e[vi, vk] } }
    for i in 0..n, j in 0..3 { block y(vi: spatial = i, vj: spatial = j) { Y[vi, vj] = e[vi, vj] / s[vi] } }
  } }
}`;

describe('compute_inline', () => {
  it('puts values where they are loaded', () => {
    const fn = parsed(softmaxLike);
    expect([...inlinable(fn)]).toEqual(['e']);
    const inlined = computeInline(fn, ['e'], exprs, none);
    expect(stagesOf(inlined)!.temporaries.map((b) => b.name)).toEqual(['s']);
    expect(stagesOf(inlined)!.stages.map((s) => computeForm(s.block)!.kind)).toEqual(['reduce', 'compute']);
    expect(stagesOf(inlined)!.stages[0]!.block.reads.map((r) => r.buffer)).toEqual(['s', 'X']);
    expect(run(inlined, [floats([4, 3])])).toEqual(run(fn, [floats([4, 3])]));
  });

  it('takes chains at once, at whatever index they are read', () => {
    const fn = parsed(`tensor @f(X: f32[4], out Y: f32[4]) {
      alloc a: f32[4] { alloc b: f32[4] {
        for i in 0..4 { block a(v: spatial = i) { a[v] = X[3 - v] * 2f } }
        for i in 0..4 { block b(v: spatial = i) { b[v] = a[v] + a[3 - v] } }
        for i in 0..4 { block y(v: spatial = i) { Y[v] = b[v] - b[0] } }
      } }
    }`);
    const inlined = computeInline(fn, inlinable(fn), exprs, none);
    expect(stagesOf(inlined)!.stages).toHaveLength(1);
    expect(run(inlined, [floats([4], (i) => i * i)])).toEqual(run(fn, [floats([4], (i) => i * i)]));
  });

  it('of long chains takes time in proportion', () => {
    const n = 400;
    const lines = Array.from({ length: n }, (_, i) => `for i in 0..4 { block b${i}(v: spatial = i) { ${i === n - 1 ? 'Y' : `t${i}`}[v] = abs(${i === 0 ? 'X' : `t${i - 1}`}[v]) } }`);
    const fn = parsed(`tensor @f(X: f32[4], out Y: f32[4]) { ${Array.from({ length: n - 1 }, (_, i) => `alloc t${i}: f32[4] {`).join(' ')} ${lines.join('\n')} ${'}'.repeat(n - 1)} }`);
    const begin = process.cpuUsage();
    const inlined = computeInline(fn, inlinable(fn), exprs, none);
    expect(process.cpuUsage(begin).user / 1e6).toBeLessThan(1);
    expect(stagesOf(inlined)!.stages).toHaveLength(1);
  });

  it('refuses what is no temporary of one defining stage', () => {
    const twice = parsed(`tensor @f(X: f32[4], out Y: f32[4]) { alloc t: f32[4] {
      for i in 0..4 { block a(v: spatial = i) { t[v] = X[v] } }
      for i in 0..4 { block b(v: spatial = i) { t[v] = X[v] + 1f } }
      for i in 0..4 { block c(v: spatial = i) { Y[v] = t[v] } }
    } }`);
    expect([...inlinable(twice)]).toEqual([]);
    expect(() => computeInline(twice, ['t'], exprs, none)).toThrow(/t is not a temporary/);
    expect(() => computeInline(twice, ['Y'], exprs, none)).toThrow(/Y is not a temporary/);
    expect(() => computeInline(parsed(softmaxLike), ['s'], exprs, none)).toThrow(/s is not a temporary/);
    const twin = parsed(`tensor @f(X: f32[4], out Y: f32[4]) { alloc t: f32[4] {
      for i in 0..4 { block a(v: spatial = i) { t[v] = t[v] + X[v] } }
      for i in 0..4 { block c(v: spatial = i) { Y[v] = t[v] } }
    } }`);
    expect([...inlinable(twin)]).toEqual([]);
    expect(computeInline(twice, [], exprs, none)).toBe(twice);
  });
});

describe('lowering', () => {
  it('removes blocks; initial values come before the loops that reduce', () => {
    const fn = parsed(`tensor @f(X: f32[4, 3], out Y: f32[4]) {
      for i in 0..4, k in 0..3 { block s(vi: spatial = i, vk: reduce = k) { init { Y[vi] = 1f } Y[vi] = Y[vi] + X[vi, vk] } }
    }`);
    const lowered = lower(fn, exprs, none);
    expect(body(lowered)).toBe(`for i in 0..4 {
  Y[i] = 1f
  for k in 0..3 {
    Y[i] = Y[i] + X[i, k]
  }
}`);
    expect(run(lowered, [floats([4, 3])])).toEqual(run(fn, [floats([4, 3])]));
  });

  it('repeats spatial loops inside a reducing one for the initial value', () => {
    const fn = parsed(`tensor @f(X: f32[4, k], out Y: f32[4]) {
      for r in 0..k, i in 0..4 { block s(vi: spatial = i, vk: reduce = r) { init { Y[vi] = 1f } Y[vi] = Y[vi] + X[vi, vk] } }
    }`);
    const lowered = lower(fn, exprs, none);
    for (const k of [0, 1, 3]) expect(run(lowered, [floats([4, k])])).toEqual(run(fn, [floats([4, k])]));
  });

  it('handles several reductions under one loop', () => {
    const fn = parsed(`tensor @f(X: f32[5], out Y: f32[], out Z: f32[]) {
      for k in 0..5 {
        block a(v: reduce = k) { init { Y[] = 0f } Y[] = Y[] + X[v] }
        block b(v: reduce = k) { init { Z[] = 1f } Z[] = Z[] * X[v] }
      }
    }`);
    expect(run(lower(fn, exprs, none), [floats([5])])).toEqual(run(fn, [floats([5])]));
  });

  it('guards the initial value by what does not concern the reduction', () => {
    // 2 × 4 points for 6 elements, 3 × 2 for 5: the last of both lie outside.
    const fn = parsed(`tensor @f(X: f32[6, 5], out Y: f32[6]) {
      for i in 0..2, k in 0..3, l in 0..2, j in 0..4 {
        block s(vi: spatial in 0..6 = i * 4 + j, vk: reduce in 0..5 = k * 2 + l) where i * 4 + j < 6 && k * 2 + l < 5 { init { Y[vi] = 0f } Y[vi] = Y[vi] + X[vi, vk] }
      }
    }`);
    const lowered = lower(fn, exprs, none);
    expect(run(lowered, [floats([6, 5])])).toEqual(run(fn, [floats([6, 5])]));
  });

  it('drops loops and branches that decide themselves', () => {
    const stmt = (text: string): string => {
      const fn = parsed(`tensor @f(X: f32[n], out Y: f32[n]) {\n${text}\n}`);
      return body({ ...fn, body: simplifyStmt(fn.body, exprs, new Map([['n', { min: 1, max: 64 }]])) });
    };
    expect(stmt('for i in 0..1 { Y[i] = X[i] }')).toBe('Y[0] = X[0]');
    expect(stmt('for i in 0..0 { Y[i] = X[i] }')).toBe('');
    expect(stmt('for i in 0..n { if i < n { Y[i] = X[i] } else { Y[i] = 0f } }')).toBe('for i in 0..n {\n  Y[i] = X[i]\n}');
    expect(stmt('for i in 0..n { if i < 3 { Y[i] = X[i] } }')).toContain('if i < 3');
    expect(stmt('for i in 0..n { let t = i { Y[t] = X[t] } }')).toBe('for i in 0..n {\n  Y[i] = X[i]\n}');
    expect(stmt('for i in 0..8 { let t = floordiv(i, 8) { Y[t] = X[i % 8] } }')).toBe('for i in 0..8 {\n  Y[0] = X[i]\n}');
  });

  it('names what a stored value computes more than once, unless only one side of a select does', () => {
    const fn = parsed(`tensor @f(X: f32[4], out Y: f32[4]) {
      for i in 0..4 { block y(v: spatial = i) { Y[v] = exp(X[v]) * exp(X[v]) + select(v < 2, sqrt(X[v]) * sqrt(X[v]), 0f) } }
    }`);
    const lowered = lower(fn, exprs, none);
    const lets: string[] = [];
    visitStmts(lowered.body, (s) => void (s.kind === 'let' && lets.push(s.value.op === 'call' ? String(s.value.value) : s.value.op)));
    expect(lets).toEqual(['exp']);
    expect(run(lowered, [floats([4], (i) => i)])).toEqual(run(fn, [floats([4], (i) => i)]));
  });

  it('keeps values that share parts small', () => {
    let value: Expr = exprs.load({ name: 'X', dtype: 'f32' }, [exprs.variable('v_0')]);
    for (let i = 0; i < 60; i++) value = exprs.add(value, exprs.mul(value, value));
    const x: Buffer = { name: 'X', dtype: 'f32', shape: [exprs.int(2)], scope: 'global' };
    const y: Buffer = { ...x, name: 'Y' };
    const fn: TensorFunction = {
      kind: 'tensor', name: 'f', inputs: [x], outputs: [y], scalars: [], attrs: {},
      body: { kind: 'for', variable: 'v_0', extent: exprs.int(2), loop: 'serial', annotations: {}, body: store(y, [exprs.variable('v_0')], value) },
    };
    const lowered = lower(fn, exprs, none);
    expect(printFunction(lowered).length).toBeLessThan(10_000);
    expect(run(lowered, [floats([2], (i) => -i)])[0]).toEqual([0, 0]);
  });

  it('decomposes a reduction without loops', () => {
    const fn = parsed('tensor @f(X: f32[], out Y: f32[]) { block s() { init { Y[] = 5f } Y[] = Y[] + X[] } }');
    const decomposed = { ...fn, body: decomposeReductions(fn.body, exprs, new Names(fn)) };
    expect(run(decomposed, [floats([], () => 2)])).toEqual([[7]]);
    expect(run(lower(fn, exprs, none), [floats([], () => 2)])).toEqual([[7]]);
  });
});

describe('loops', () => {
  const context = () => ({ exprs, names: new Names() });
  /** A function over one output of `shape` that counts how often each element is stored. */
  const counted = (shape: readonly (number | Expr)[], make: (count: (indices: readonly Expr[]) => Stmt) => Stmt): TensorFunction => {
    const y: Buffer = { name: 'Y', dtype: 'i64', shape: shape.map((d) => (typeof d === 'number' ? exprs.int(d) : d)), scope: 'global' };
    return {
      kind: 'tensor', name: 'f', inputs: [], outputs: [y], scalars: [], attrs: {},
      body: make((indices) => store(y, indices, exprs.add(exprs.load(y, indices), 1))),
    };
  };
  const n = exprs.variable('n');
  const once = (fn: TensorFunction, dims: Record<string, number> = {}): boolean => {
    const [counts] = run(fn, [], new Map(Object.entries(dims))) as [bigint[]];
    return counts.every((c) => c === 1n);
  };

  it('in steps visit each element once, whatever the remainder', () => {
    for (const width of [1, 3, 4, 8]) {
      for (const size of [0, 1, 3, 4, 7, 8, 9, 16]) {
        expect(once(counted([size], (count) => vectorLoop(context(), exprs.int(size), width, (i) => count([i])))), `${size} by ${width}`).toBe(true);
        expect(once(counted([n], (count) => vectorLoop(context(), n, width, (i) => count([i]))), { n: size }), `n = ${size} by ${width}`).toBe(true);
      }
    }
  });

  it('in steps make one shorter step of a static remainder', () => {
    const widths: string[] = [];
    stepped(context(), exprs.int(11), 4, (start) => { widths.push(`4 at ${String(start.op)}`); return { kind: 'seq', body: [] }; }, (start, count) => { widths.push(`${String(count.value)} at ${String(start.value)}`); return { kind: 'seq', body: [] }; });
    expect(widths).toEqual(['4 at mul', '3 at 8']);
  });

  it('over a box in parallel visit each point once', () => {
    for (const shape of [[], [5], [2, 3, 4], [1, 3, 1, 2], [0, 4], [3, 0], [1, 1]]) {
      const fn = counted(shape, (count) => parallelOver(context(), shape.map((d) => exprs.int(d)), count));
      expect(once(fn), `[${shape.join()}]`).toBe(true);
      expect(once(lower(fn, exprs, none)), `[${shape.join()}], lowered`).toBe(true);
    }
    const symbolic = counted([n, 3, n], (count) => parallelOver(context(), [n, exprs.int(3), n], count));
    for (const size of [0, 1, 4]) {
      expect(once(symbolic, { n: size })).toBe(true);
      expect(once(lower(symbolic, exprs, none), { n: size })).toBe(true);
    }
  });

  it('nest, outermost first', () => {
    const fn = counted([2, 3], (count) => loops(context(), [exprs.int(2), exprs.int(3)], 'serial', count));
    expect(once(fn)).toBe(true);
    expect(fn.body.kind === 'for' && exprs.valueOf(fn.body.extent)).toBe(2);
  });
});

describe('indices', () => {
  const [i, j, n] = ['i', 'j', 'n'].map((name) => exprs.variable(name)) as [Expr, Expr, Expr];
  it('are linear in a variable, with a constant coefficient, or not', () => {
    const cases: [Expr, number | null][] = [
      [j, 0], [i, 1], [exprs.add(exprs.mul(i, 4), j), 4], [exprs.mul(i, n), null], [exprs.mul(i, i), null], [exprs.floordiv(i, 4), null], [exprs.mod(i, 4), null],
      [exprs.add(exprs.mul(exprs.floordiv(i, 4), 4), exprs.mod(i, 4)), 1], [exprs.sub(j, i), -1], [exprs.load({ name: 'A', dtype: 'i64' }, [i]), null],
      // Steps by 4 where a division happens to cancel are not steps everywhere.
      [exprs.floordiv(exprs.add(exprs.mul(i, 8), 3), 8), 1],
    ];
    for (const [e, want] of cases) expect(linearIn(exprs, e, 'i')).toBe(want);
  });

  it('flatten row-major', () => {
    expect(flatIndex(exprs, [exprs.int(2), n, exprs.int(3)], [i, j, exprs.int(1)])).toBe(exprs.add(exprs.add(exprs.mul(exprs.mul(i, n), 3), exprs.mul(j, 3)), 1));
    expect(flatIndex(exprs, [], [])).toBe(exprs.int(0));
  });
});
