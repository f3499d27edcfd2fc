import { describe, expect, it } from 'vitest';
import type { Attrs, TargetContext, TensorFunction } from '@tenon/plugin';
import { buffersOf, contextFor, type Exprs } from '@tenon/core';
import { permuteBuffers, verdictOf } from '@tenon/schedule';
import { generator } from '../../../../../tests/support/generator.ts';
import { compare, exprs, filled, session, target } from '../../../test/schedules.ts';
import { cookToom, strided } from './cook-toom.ts';
import { applyMap, linearMap, operationsOf } from '../linear-map.ts';
import { winograd } from './rule.ts';

/** A convolution with constant weights, and its channels innermost. */
function convolution(shape: readonly number[], weights: readonly number[], attrs: Attrs = {}, { bias = true, innermost = true } = {}): TensorFunction {
  const types = [shape, weights, ...(bias ? [[weights[0]!]] : [])].map((s) => session.types.tensor('f32', s));
  const defined = session.define('conv', 'nn.conv', bias ? types : [...types, null], attrs)!;
  const fn: TensorFunction = { ...defined, attrs: { ...defined.attrs, constants: bias ? [1, 2] : [1] } };
  const order = [0, ...shape.slice(2).map((_, i) => i + 2), 1];
  const moved = [...buffersOf(fn).keys()].filter((name) => !fn.inputs.slice(1).some((b) => b.name === name));
  return innermost ? permuteBuffers(fn, new Map(moved.map((name) => [name, order])), exprs as Exprs) : fn;
}

/** A device on which nothing but multiply-adds takes time. */
function slow(vectorBytes: number): TargetContext {
  const { target: of } = target(vectorBytes);
  return contextFor(session, { ...of, device: { ...of.device, peak: { f32: 1e6 } } }) as TargetContext;
}

describe('minimal filtering', () => {
  it.each([[1, 1], [2, 3], [4, 3], [3, 3], [2, 2], [4, 2], [2, 5]])('F(%i, %i) correlates', (m, r) => {
    const { input, filter, output } = cookToom(m, r);
    const random = generator(m * 10 + r);
    const [d, g] = [Array.from({ length: m + r - 1 }, random), Array.from({ length: r }, random)];
    const apply = (matrix: readonly (readonly number[])[], x: readonly number[]): number[] => matrix.map((row) => row.reduce((sum, f, k) => sum + f * x[k]!, 0));
    const transformed = apply(filter, g);
    const got = apply(output, apply(input, d).map((v, k) => v * transformed[k]!));
    got.forEach((y, i) => expect(y).toBeCloseTo(g.reduce((sum, f, k) => sum + f * d[i + k]!, 0), 12));
  });

  it.each([[4, 3, 2, 9], [2, 3, 2, 5], [3, 3, 2, 7], [4, 2, 2, 8], [2, 5, 2, 7], [3, 5, 3, 11], [3, 2, 3, 6], [4, 3, 1, 6]])('with windows of F(%i, %i) in steps of %i, takes %i products', (m, r, stride, products) => {
    const { input, filter, output } = strided(m, r, stride)!;
    const random = generator(m * 10 + r);
    const [d, g] = [Array.from({ length: stride * (m - 1) + r }, random), Array.from({ length: r }, random)];
    const apply = (matrix: readonly (readonly number[])[], x: readonly number[]): number[] => matrix.map((row) => row.reduce((sum, f, k) => sum + f * x[k]!, 0));
    const transformed = apply(filter, g);
    const got = apply(output, apply(input, d).map((v, k) => v * transformed[k]!));
    expect(transformed.length).toBe(products);
    got.forEach((y, i) => expect(y).toBeCloseTo(g.reduce((sum, f, k) => sum + f * d[stride * i + k]!, 0), 12));
  });

  it('has straight-line sums that share what differs in signs', () => {
    const random = generator(7);
    for (const [m, r] of [[2, 3], [4, 3], [2, 5]] as const) {
      for (const matrix of [cookToom(m, r).input, cookToom(m, r).output]) {
        const x = matrix[0]!.map(random);
        const named = new Map<string, number>();
        const value = (e: Parameters<typeof exprs.valueOf>[0]): number => {
          if (e.op === 'const') return Number(e.value);
          if (e.op === 'var') return named.get(e.value as string) ?? x[Number((e.value as string).slice(1))]!;
          const [a, b] = e.args.map(value) as [number, number];
          return e.op === 'add' ? a + b : e.op === 'sub' ? a - b : a * b;
        };
        const got = applyMap(exprs, linearMap(matrix), x.map((_, i) => exprs.variable(`x${i}`, 'f32')), (e) => {
          named.set(`y${named.size}`, value(e));
          return exprs.variable(`y${named.size - 1}`, 'f32');
        });
        got.forEach((e, i) => expect(value(e)).toBeCloseTo(matrix[i]!.reduce((sum, f, k) => sum + f * x[k]!, 0), 12));
      }
    }
    // Written out, the six rows for the input have 22 terms.
    expect(operationsOf(linearMap(cookToom(4, 3).input))).toBe(14);
    expect(operationsOf(linearMap(cookToom(4, 3).output))).toBe(12);
  });
});

describe('cpu-c/winograd', () => {
  it('computes what the convolution does, whether it is worth while or not, with all tiles and blocks, at odd sizes', () => {
    const pick = (random: () => number, from: readonly number[]): number => from[Math.floor(random() * from.length)]!;
    for (let seed = 1; seed <= 40; seed++) {
      const random = generator(seed);
      const [n, c, o] = [pick(random, [1, 2]), pick(random, [2, 3, 8, 17, 20]), pick(random, [2, 5, 16, 19, 33])];
      const [h, w] = [pick(random, [3, 4, 5, 6, 9, 13]), pick(random, [3, 4, 7, 10])];
      const pads = pick(random, [0, 1]) === 0 ? [0, 0, 0, 0] : [1, 2, pick(random, [0, 1]), 1];
      const vectorBytes = [16, 32, 64][seed % 3]!;
      const strides = [pick(random, [1, 2]), pick(random, [1, 2])];
      const fn = convolution([n, c, h, w], [o, c, 3, 3], { pads, strides }, { bias: random() < 0.7 });
      const inputs = fn.inputs.map((b) => filled('f32', b.shape.map((d) => exprs.valueOf(d)!), random, { range: [-1, 1] }));
      compare(winograd, fn, inputs, target(vectorBytes), seed % 4 === 0 ? () => null : random);
    }
  });

  it.each<[string, number[], number[], Attrs?]>([
    ['one axis', [2, 8, 11], [16, 8, 3]],
    ['an axis with one tap', [1, 8, 7, 9], [16, 8, 1, 3]],
    ['windows of two taps', [1, 8, 8, 9], [16, 8, 2, 2]],
    ['windows of five taps', [1, 8, 9, 8], [16, 8, 5, 5]],
    ['windows in steps of two', [1, 8, 11, 12], [16, 8, 3, 3], { strides: [2, 2], pads: [1, 1, 1, 1] }],
    ['windows in steps of two along one axis', [1, 8, 10, 9], [16, 8, 3, 2], { strides: [1, 2] }],
    ['steps along an axis with one tap', [1, 8, 9, 9], [16, 8, 1, 3], { strides: [2, 1] }],
    ['windows in larger steps than taps', [2, 8, 13, 9], [16, 8, 2, 3], { strides: [3, 2] }],
  ])('takes convolutions over %s', (_, shape, weights, attrs = {}) => {
    const fn = convolution(shape, weights, attrs);
    const random = generator(3);
    const inputs = fn.inputs.map((b) => filled('f32', b.shape.map((d) => exprs.valueOf(d)!), random, { range: [-1, 1] }));
    for (let i = 0; i < 4; i++) compare(winograd, fn, inputs, target(64), i === 0 ? () => null : random);
  });

  it.each<[string, TensorFunction, RegExp]>([
    ['dilation', convolution([1, 8, 9, 9], [16, 8, 3, 3], { dilations: [2, 2] }), /taps of the window are apart/],
    ['one tap', convolution([1, 8, 9, 9], [16, 8, 1, 1]), /single tap/],
    ['channels by themselves', convolution([1, 16, 9, 9], [16, 1, 3, 3], { groups: 16 }), /.+/],
    ['large windows', convolution([1, 8, 19, 19], [16, 8, 7, 7]), /no transforms of sufficient accuracy for windows of 7 × 7/],
    ['pictures stored plane by plane', convolution([1, 8, 9, 9], [16, 8, 3, 3], {}, { innermost: false }), /channels are not innermost/],
  ])('leaves %s', (_, fn, message) => {
    expect(verdictOf(winograd, fn, target(64))).toMatchObject({ ok: false, code: 'schedule/winograd', message: expect.stringMatching(message) as string });
  });

  it('leaves to the direct convolution what takes less time there, and says how much', () => {
    // Transformed weights are four times as many: read from slow memory, that is what counts.
    const verdict = verdictOf(winograd, convolution([1, 64, 7, 7], [64, 64, 3, 3], { pads: [1, 1, 1, 1] }), target(64));
    expect(verdict).toMatchObject({ ok: false, code: 'schedule/winograd-cost', message: expect.stringMatching(/^the direct convolution is estimated at [\d.]+ µs, this with tiles of 2 at [\d.]+ µs, with tiles of 3 at [\d.]+ µs, with tiles of 4 at [\d.]+ µs$/) as string });
    expect(verdictOf(winograd, convolution([1, 64, 28, 28], [64, 64, 3, 3], { pads: [1, 1, 1, 1] }), slow(64)).ok).toBe(true);
  });
});
