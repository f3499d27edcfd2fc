import { expect, it } from 'vitest';
import { parseModule, visitStmts } from '@tenon/core';
import type { TensorFunction } from '@tenon/plugin';
import { generator } from '../../../../tests/support/generator.ts';
import { check, choices, exprs, filled, target } from '../../test/schedules.ts';
import { schedules } from './index.ts';

/** Doubles `x` inside of a frame of zeros along the first axis, `above` and `below` rows of it. */
function framed(rows: number, columns: number, above: number, below: number, attrs: string): TensorFunction {
  const [all, end] = [rows + above + below, rows + above];
  const fn = parseModule(`tensor @f(x: f32[${rows}, ${columns}], out y: f32[${all}, ${columns}]) {
    for i in 0..${all} { block frame(vi: spatial = i)${attrs} { if vi < ${above} || ${end} <= vi { for c: vectorized in 0..${columns} { y[vi, c] = 0f } } } }
    for i in 0..${rows}, j in 0..${columns} { block double(vi: spatial = i, vj: spatial = j) { y[vi + ${above}, vj] = x[vi, vj] * 2f } }
  }`, exprs).functions.get('f');
  if (fn?.kind !== 'tensor') throw new Error('no tensor function');
  return fn;
}

const rule = schedules.find((r) => r.id === 'cpu-c/rows')!;

function launches(fn: TensorFunction): number {
  let found = 0;
  visitStmts(rule.apply(fn, target(64), choices(() => null)).body, (s) => void (s.kind === 'for' && s.loop === 'parallel' ? found++ : 0));
  return found;
}

it('zeros around a result are written beside it, however many steps either takes', () => {
  for (const [rows, columns, above, below] of [[5, 40, 1, 1], [40, 48, 2, 0], [2, 64, 9, 30], [300, 33, 0, 1]] as const) {
    const fn = framed(rows, columns, above, below, ' attrs {apart = true}');
    expect(check(fn, [filled('f32', [rows, columns], generator(rows))], 64, () => null)).toEqual(['cpu-c/rows']);
    expect(launches(fn)).toBe(1);
    expect(launches(framed(rows, columns, above, below, ''))).toBe(2);
  }
});
