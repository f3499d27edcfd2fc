import { describe, expect, it } from 'vitest';
import { diagnosticOf, type HostTensor, type OperatorSample, type TensorFunction, type TensorType } from '@tenon/plugin';
import { parseModule, visitExprs, visitStmts } from '@tenon/core';
import { standardOperators } from '@tenon/ops';
import { generator } from '../../../../tests/support/generator.ts';
import { check, choices, exprs, filled, session, target } from '../../test/schedules.ts';
import { rows } from './rows.ts';

const elements = (a: HostTensor | null | undefined) => (a && /^[iu]\d|^bool$/.test(a.dtype) && a.data.length <= 4096 ? Array.from(a.data as ArrayLike<number | bigint>, (v) => exprs.int(v)) : null);

function defined(op: string, sample: OperatorSample, args: readonly (HostTensor | null)[], symbolic: boolean): { fn: TensorFunction; dims: Map<string, number> } | null {
  const dims = new Map<string, number>();
  // Equal sizes share a dim: that is what broadcasting and contraction ask for.
  const dim = (size: number) => {
    dims.set(`d${size}`, size);
    return exprs.variable(`d${size}`);
  };
  const types = args.map((a): TensorType | null => (a === null ? null : session.types.tensor(a.dtype, a.shape.map((d) => (symbolic && d > 1 ? dim(d) : exprs.int(d))))));
  try {
    const fn = session.define('f', op, types, sample.attrs ?? {}, (i) => elements(args[i]));
    return fn === null ? null : { fn, dims };
  } catch (error) {
    if (symbolic && diagnosticOf(error) !== null) return null;
    throw error;
  }
}

describe('schedules keep the meaning', () => {
  const counts = new Map<string, number>();
  it('of operators on their sample arguments, static and symbolic, with vectors of 16 and 64 bytes', () => {
    let run = 0;
    for (const operator of standardOperators) {
      for (const [i, sample] of (operator.facets.samples?.() ?? []).entries()) {
        // A share of the samples of each operator; the differential tests of the operators run them all.
        if (i % 3 !== operator.name.length % 3 && !/^nn\.(matmul|conv)/.test(operator.name)) continue;
        const random = generator(i + 1);
        const args = sample.args.map((a) => (a === null ? null : filled(a.dtype, a.shape, random, a)));
        if (args.some((a) => a !== null && /^(f16|bf16|f8)/.test(a.dtype))) continue;
        for (const symbolic of [false, true]) {
          const made = defined(operator.name, sample, args, symbolic);
          if (made === null || [...made.fn.inputs, ...made.fn.outputs].some((b) => /^(f16|bf16|f8)/.test(b.dtype))) continue;
          const given = args.filter((a) => a !== null);
          try {
            for (const id of check(made.fn, given, (i + Number(symbolic)) % 2 === 0 ? 16 : 64, () => null, made.dims)) counts.set(id, (counts.get(id) ?? 0) + 1);
          } catch (error) {
            if (diagnosticOf(error)?.code !== 'interp/dtype') throw new Error(`${operator.name}, sample ${i}${symbolic ? ', symbolic' : ''}: ${(error as Error).message}`, { cause: error });
          }
          run++;
        }
      }
    }
    expect(run).toBeGreaterThan(300);
    expect(counts.get('cpu-c/rows')).toBeGreaterThan(200);
    expect(counts.get('cpu-c/contraction')).toBeGreaterThan(10);
  });

  it('of matrix products of any size and order, with constant operands, epilogues and every choice', () => {
    let contractions = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const random = generator(seed);
      const size = (): number => [0, 1, 2, 3, 5, 8, 9, 17, 33][Math.floor(random() * 9)]!;
      const [b, m, k, n] = [1 + Math.floor(random() * 2), size(), size(), size()];
      const batched = random() < 0.3;
      const shapes: (readonly number[])[] = batched ? [[b, m, k], [b, k, n]] : [[m, k], [k, n]];
      const symbolic = random() < 0.4;
      const dims = new Map<string, number>([['m', m], ['n', n], ['k', k]]);
      const named = new Map([...dims].map(([name, v]) => [v, name] as const));
      const shape = (s: readonly number[]) => s.map((d) => (symbolic && named.has(d) && d > 1 ? exprs.variable(named.get(d)!) : exprs.int(d)));
      const fn = session.define('f', 'nn.matmul', shapes.map((s) => session.types.tensor('f32', shape(s))), {})!;
      const constants = symbolic ? [] : [[], [0], [1], [0, 1]][Math.floor(random() * 4)]!;
      const marked = constants.length === 0 ? fn : { ...fn, attrs: { ...fn.attrs, constants } };
      const applied = check(marked, shapes.map((s) => filled('f32', s, random)), [16, 32, 64][seed % 3]!, seed % 2 === 0 ? () => null : random, symbolic ? dims : new Map());
      if (applied.includes('cpu-c/contraction')) contractions++;
    }
    expect(contractions).toBeGreaterThan(20);
  });

  it('of convolutions in groups, their weights constant or not', () => {
    let contractions = 0;
    for (const [groups, perGroup, inner, seed] of [[4, 8, 8, 1], [3, 20, 5, 2], [2, 24, 3, 3], [2, 16, 4, 4], [3, 4, 1, 5], [2, 64, 2, 6], [2, 3, 2, 7]] as const) {
      const shapes = [[1, groups * inner, 6, 7], [groups * perGroup, inner, 3, 3], [groups * perGroup]];
      const args = shapes.map((s, i) => filled('f32', s, generator(seed + i)));
      const fn = session.define('f', 'nn.conv', shapes.map((s) => session.types.tensor('f32', s.map((d) => exprs.int(d)))), { groups, pads: [1, 1, 1, 1].map((d) => exprs.int(d)) })!;
      for (const constants of [[], [1]]) {
        for (const vectorBytes of [16, 64]) {
          for (const random of [() => null, generator(seed)]) {
            if (check(constants.length === 0 ? fn : { ...fn, attrs: { ...fn.attrs, constants } }, args, vectorBytes, random).includes('cpu-c/contraction')) contractions++;
          }
        }
      }
    }
    expect(contractions).toBeGreaterThanOrEqual(28);
  });

  it('of stages that are cut where their conditions change', () => {
    const conditions = (fn: TensorFunction): number => {
      let found = 0;
      visitStmts(fn.body, (stmt) => {
        if (stmt.kind === 'store') visitExprs(stmt.value, (e) => void (e.op === 'lt' || e.op === 'le' ? found++ : 0));
      });
      return found;
    };
    for (const [axis, sizes, parts] of [[1, [40, 24, 64], 3], [0, [40, 24, 64], 3], [2, [64, 64], 2], [1, [1, 7], 1]] as const) {
      const shapes = sizes.map((n) => [0, 1, 2].map((a) => (a === axis ? n : 20)));
      const fn = session.define('f', 'shape.concat', shapes.map((s) => session.types.tensor('f32', s.map((d) => exprs.int(d)))), { axis })!;
      const given = shapes.map((s, i) => filled('f32', s, generator(i + 1)));
      expect(check(fn, given, 64, () => null)).toContain('cpu-c/rows');
      const scheduled = rows.apply(fn, target(64), choices(() => null));
      expect(scheduled.body.kind === 'seq' ? scheduled.body.body.length : 1).toBe(parts);
      if (parts > 1) expect(conditions(scheduled)).toBe(0);
    }
    const pads = [1, 2, 3, 1, 0, 5].map((d) => exprs.int(d));
    const fn = session.define('f', 'shape.pad', [session.types.tensor('f32', [30, 40, 50].map((d) => exprs.int(d)))], { pads, mode: 'constant' })!;
    expect(check(fn, [filled('f32', [30, 40, 50], generator(1))], 64, () => null)).toContain('cpu-c/rows');
    expect(conditions(rows.apply(fn, target(64), choices(() => null)))).toBeLessThan(conditions(fn));
  });

  it('where stages store at a distance, and others read there or elsewhere', () => {
    for (const read of ['vi + 2, vj', 'vi, vj', 'vi + 1, vj']) {
      const row = parse(`tensor @f(x: f32[6, 40], out y: f32[6, 40]) {
        alloc t: f32[8, 40]
        for i in 0..8, j in 0..40 { block zero(vi: spatial = i, vj: spatial = j) { t[vi, vj] = 0f } }
        for i in 0..6, j in 0..40 { block twice(vi: spatial = i, vj: spatial = j) { t[vi + 2, vj] = x[vi, vj] * 2f } }
        for i in 0..6, j in 0..40 { block out(vi: spatial = i, vj: spatial = j) { y[vi, vj] = t[${read}] + 1f } }
      }`);
      expect(check(row, [filled('f32', [6, 40], generator(1))], 64, () => null)).toEqual(['cpu-c/rows']);
      const product = parse(`tensor @f(x: f32[6, 16], w: f32[16, 32], out y: f32[6, 32]) {
        alloc t: f32[8, 32]
        for i in 0..8, j in 0..32 { block zero(vi: spatial = i, vj: spatial = j) { t[vi, vj] = 0f } }
        for i in 0..6, j in 0..32, k in 0..16 { block sum(vi: spatial = i, vj: spatial = j, vk: reduce = k) { init { t[vi + 2, vj] = 0f } t[vi + 2, vj] = t[vi + 2, vj] + x[vi, vk] * w[vk, vj] } }
        for i in 0..6, j in 0..32 { block out(vi: spatial = i, vj: spatial = j) { y[vi, vj] = t[${read}] + 1f } }
      }`);
      expect(check(product, [[6, 16], [16, 32]].map((shape, i) => filled('f32', shape, generator(i + 1))), 64, () => null)).toContain('cpu-c/rows');
    }
  });

  it('where a function stores what its later stages read', () => {
    const text = `
      for i in 0..6, j in 0..6, k in 0..6 { block sum(vi: spatial = i, vj: spatial = j, vk: reduce = k) { init { sum[vi, vj] = 0f } sum[vi, vj] = sum[vi, vj] + x[vi, vk] * y[vk, vj] } }
      for i in 0..6, j in 0..6 { block scaled(vi: spatial = i, vj: spatial = j) { scaled[vi, vj] = sum[INDEX] * 2f } }`;
    for (const index of ['vi, vj', '5 - vi, vj']) {
      const fn = parse(`tensor @f(x: f32[6, 6], y: f32[6, 6], out sum: f32[6, 6], out scaled: f32[6, 6]) {${text.replace('INDEX', index)}}`);
      const applied = check(fn, [1, 2].map((seed) => filled('f32', [6, 6], generator(seed))), 16, () => null);
      expect(applied).toContain('cpu-c/rows');
    }
  });
});

function parse(text: string): TensorFunction {
  const fn = [...parseModule(text, exprs).functions.values()][0];
  if (fn?.kind !== 'tensor') throw new Error('no tensor function');
  return fn;
}
