import { describe, expect, it } from 'vitest';
import type { TargetContext, TensorFunction } from '@tenon/plugin';
import { buffersOf, contextFor, type Exprs } from '@tenon/core';
import { permuteBuffers, verdictOf } from '@tenon/schedule';
import { generator } from '../../../../../tests/support/generator.ts';
import { compare, exprs, filled, session, target } from '../../../test/schedules.ts';
import { left, products, right } from './algorithm.ts';
import { strassen } from './rule.ts';

const tensor = (shape: readonly number[]) => session.types.tensor('f32', shape);

/** A product with a constant matrix, stored row by row, or column by column. */
function product(shape: readonly number[], columns: number, { transposed = false, constant = true } = {}): TensorFunction {
  const defined = session.define('f', 'nn.matmul', [tensor(shape), tensor([shape.at(-1)!, columns])], {})!;
  const fn: TensorFunction = constant ? { ...defined, attrs: { ...defined.attrs, constants: [1] } } : defined;
  return transposed ? permuteBuffers(fn, new Map([[fn.inputs[1]!.name, [1, 0]]]), exprs as Exprs) : fn;
}

/** A convolution with one tap, channels innermost. */
function pointwise([n, c, h, w]: readonly [number, number, number, number], outputs: number): TensorFunction {
  const defined = session.define('conv', 'nn.conv', [tensor([n, c, h, w]), tensor([outputs, c, 1, 1]), tensor([outputs])], {})!;
  const fn: TensorFunction = { ...defined, attrs: { ...defined.attrs, constants: [1, 2] } };
  const moved = [...buffersOf(fn).keys()].filter((name) => !fn.inputs.slice(1).some((b) => b.name === name));
  return permuteBuffers(fn, new Map(moved.map((name) => [name, [0, 2, 3, 1]])), exprs as Exprs);
}

const given = (fn: TensorFunction, seed: number) => {
  const random = generator(seed);
  return fn.inputs.map((b) => filled('f32', b.shape.map((d) => exprs.valueOf(d)!), random, { range: [-1, 1] }));
};

/** A device on which nothing but multiply-adds takes time. */
function slow(vectorBytes: number, features: { readonly [name: string]: number } = {}): TargetContext {
  const { target: of } = target(vectorBytes);
  return contextFor(session, { ...of, device: { ...of.device, peak: { f32: 1e6 }, features: { ...of.device.features, ...features } } }) as TargetContext;
}

it('seven products make the product of two matrices', () => {
  const random = generator(1);
  const [a, b] = [Array.from({ length: 4 }, random), Array.from({ length: 4 }, random)];
  const dot = (row: readonly number[], x: readonly number[]): number => row.reduce((sum, f, i) => sum + f * x[i]!, 0);
  const slots = [0, 0, 0, 0];
  const result: number[] = [];
  products.forEach(({ from, to, result: finished }, i) => {
    slots[to] = slots[from]! + dot(left[i]!, a) * dot(right[i]!, b);
    if (finished !== null) result[finished.quadrant] = slots[finished.sum[0]]! + slots[finished.sum[1]]!;
  });
  expect(slots[0]).toBe(0);
  [0, 1, 2, 3].forEach((at) => expect(result[at]).toBeCloseTo(a[at - (at % 2)]! * b[at % 2]! + a[at - (at % 2) + 1]! * b[2 + (at % 2)]!, 12));
});

describe('cpu-c/strassen', () => {
  it('computes what the product does, whether it is worth while or not, at odd numbers of rows, with every tile', () => {
    for (let seed = 1; seed <= 40; seed++) {
      const random = generator(seed);
      const pick = (from: readonly number[]): number => from[Math.floor(random() * from.length)]!;
      const [rows, depth, columns] = [pick([2, 3, 5, 8, 17, 33]), pick([2, 6, 16, 34, 96]), pick([4, 6, 32, 40, 66, 130])];
      const fn = random() < 0.5 ? product(random() < 0.5 ? [rows, depth] : [2, rows, depth], columns) : random() < 0.4 ? product([rows, depth], columns, { transposed: true })
        : pointwise([pick([1, 2]), depth, pick([1, 2, 5]), pick([2, 3, 7])], columns);
      const ctx = slow([16, 32, 64][seed % 3]!, { l2: pick([2048, 1 << 20]) });
      compare(strassen, fn, given(fn, seed), ctx, seed % 4 === 0 ? () => null : random);
    }
  });

  it.each<[string, TensorFunction, RegExp]>([
    ['one row', product([1, 64], 64), /one row/],
    ['matrices that are not constant', product([64, 64], 64, { constant: false }), /not one constant operand|no axis/],
    ['odd numbers of columns', product([64, 64], 63), /odd number/],
    ['odd numbers of elements to sum', product([64, 63], 64), /odd number/],
    ['left operands that no cache holds', product([8192, 1024], 1024), /^its left operands would take 56 MiB, more than 32$/],
  ])('leaves %s', (_, fn, message) => {
    expect(verdictOf(strassen, fn, slow(64))).toMatchObject({ ok: false, code: 'schedule/strassen', message: expect.stringMatching(message) as string });
  });

  it('is taken where it saves time and the constant may grow, and says why not', () => {
    const large = product([256, 768], 768);
    expect(verdictOf(strassen, large, slow(64)).ok).toBe(true);
    expect(verdictOf(strassen, large, slow(64, { weightGrowth: 1.5 }))).toMatchObject({ ok: false, code: 'schedule/weight-growth', message: 'its constant would grow to 1.75 of its size' });
    // From slow memory weights take more time than the multiply-adds, and there would be more of them.
    expect(verdictOf(strassen, product([4, 512], 512), target(64))).toMatchObject({ ok: false, code: 'schedule/strassen-cost', message: expect.stringMatching(/^the plain product is estimated at [\d.]+ µs, this at [\d.]+ µs$/) as string });
  });
});
