import { createExprs } from '@tenon/core';
import type { Intrinsic, LoopKind } from '@tenon/plugin';
import { beforeAll, expect, test } from 'vitest';
import { compileAll, regionOf, statements, targetContext, type Compiled } from '../../test/harness.ts';

const exprs = createExprs();
const s = statements(exprs);
const count = 1 << 16;

/** erf in double precision: the Taylor series, and the continued fraction of erfc. */
function erf(x: number): number {
  const a = Math.abs(x);
  if (Number.isNaN(x)) return NaN;
  if (a > 6) return Math.sign(x);
  if (a < 3) {
    let [term, sum] = [x, x];
    for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = a;
  for (let k = 60; k > 0; k--) fraction = a + k / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / fraction);
}

/** Every function with its range and largest error, in units of the last place of the f32 result. */
const functions: readonly (readonly [Intrinsic, (x: number) => number, readonly [number, number], number])[] = [
  ['exp', Math.exp, [-110, 95], 1.5],
  ['log', Math.log, [0, 1e3], 1.5],
  ['tanh', Math.tanh, [-12, 12], 2.5],
  ['erf', erf, [-6, 6], 4.5],
  ['sqrt', Math.sqrt, [0, 1e6], 0.51],
  ['rsqrt', (x) => 1 / Math.sqrt(x), [0, 1e6], 1.5],
  ['sin', Math.sin, [-100, 100], 2],
  ['cos', Math.cos, [-100, 100], 2],
  ['tan', Math.tan, [-1.5, 1.5], 2],
  ['asin', Math.asin, [-1, 1], 2],
  ['acos', Math.acos, [-1, 1], 2],
  ['atan', Math.atan, [-50, 50], 2],
  ['sinh', Math.sinh, [-80, 80], 3],
  ['cosh', Math.cosh, [-80, 80], 3],
  ['asinh', Math.asinh, [-1e4, 1e4], 4],
  ['acosh', Math.acosh, [1, 1e4], 4],
  ['atanh', Math.atanh, [-1, 1], 4],
];
const specials = [0, -0, NaN, Infinity, -Infinity, 1e-45, -1e-45, 1.17549435e-38, 3.4e38, -3.4e38, 1e-20, 1, -1, 88.72283, 88.72284, -87.4, -103.97, -103.98, 0.625, 0.9277344];

/** Points spread evenly over a range, over magnitudes, and the special ones. */
function inputsFor([low, high]: readonly [number, number]): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => {
    if (i < specials.length) return specials[i]!;
    const t = i / (count - 1);
    return i % 2 === 0 ? low + (high - low) * t : (i % 4 === 1 ? 1 : -1) * Math.exp(-90 + 178 * t);
  });
}

/** Distance in units of the last place of the exact result. */
function error(got: number, exact: number): number {
  const want = Math.fround(exact);
  if (exact === 0) return Object.is(got, want) ? 0 : Infinity;
  if (got === want || (Number.isNaN(got) && Number.isNaN(want))) return 0;
  if (!Number.isFinite(got) || !Number.isFinite(want)) {
    // Overflow may be decided one unit early or late.
    return Math.abs(got) > 3.4028e38 && Math.abs(exact) > 3.4028e38 && Math.sign(got) === Math.sign(exact) ? 0 : Infinity;
  }
  const exponent = Math.max(-126, Math.floor(Math.log2(Math.abs(exact) || 1e-300)));
  return Math.abs(got - exact) / 2 ** (exponent - 23);
}

const kinds: readonly LoopKind[] = ['serial', 'vectorized'];
const outputs = new Map<string, Float32Array>();

beforeAll(async () => {
  const regions = functions.flatMap(([name]) => kinds.map((kind) => {
    const [x, y] = [s.buffer('x', 'f32', [count]), s.buffer('y', 'f32', [count])];
    return regionOf(s.fn(`${name}_${String(kind)}`, [x], [y], s.loop('i', count, kind, s.store(y, [s.v('i')], exprs.call(name, [s.load(x, s.v('i'))])))), exprs);
  }));
  const compiled: Compiled = await compileAll(regions, await targetContext(undefined, { exprs }), 1);
  for (const [name, , range] of functions) {
    for (const kind of kinds) {
      const y = new Float32Array(count);
      compiled.run(`${name}_${String(kind)}`, [inputsFor(range), y]);
      outputs.set(`${name} ${String(kind)}`, y);
    }
  }
}, 120_000);

test.each(functions)('%s is accurate, and equal in scalar and vector code', (name, exact, range, ulps) => {
  const x = inputsFor(range);
  const serial = outputs.get(`${name} serial`)!;
  const vector = outputs.get(`${name} vectorized`)!;
  expect(new Uint32Array(vector.buffer)).toEqual(new Uint32Array(serial.buffer));
  let worst = { error: -1, x: 0, got: 0, want: 0 };
  for (let i = 0; i < count; i++) {
    // The C library's own answers for huge angles are as good as ours to compare with, but Math's are not exact either.
    if ((name === 'sin' || name === 'cos' || name === 'tan') && Math.abs(x[i]!) > 1e6) continue;
    const e = error(serial[i]!, exact(x[i]!));
    if (e > worst.error) worst = { error: e, x: x[i]!, got: serial[i]!, want: Math.fround(exact(x[i]!)) };
  }
  expect(worst.error, JSON.stringify(worst)).toBeLessThanOrEqual(ulps);
});
