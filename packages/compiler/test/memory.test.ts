import { describe, expect, it } from 'vitest';
import type { Expr, Scope } from '@tenon/plugin';
import { createExprs, evaluateDim, parseModule } from '@tenon/core';
import { inPlacePairs } from '../src/memory/in-place.ts';
import { flopsOf } from '../src/memory/flops.ts';
import { planArena, type Request } from '../src/memory/arena.ts';
import { generator } from '../../../tests/support/generator.ts';
import { kernels } from './harness.ts';

const exprs = createExprs();
const tensor = (text: string) => kernels(parseModule(text, exprs))[0]!;

describe('a kernel may overwrite an input', () => {
  const pairs = (body: string, signature = 'A: f32[8, 4], B: f32[8, 4], out C: f32[8, 4]') => inPlacePairs(tensor(`tensor @f(${signature}) {\n${body}\n}`));

  it('that it reads at the very index it writes', () => {
    expect(pairs('for i in 0..8, j in 0..4 { C[i, j] = A[i, j] + B[i, j] }')).toEqual([[0, 0], [0, 1]]);
    expect(pairs('for i in 0..8, j in 0..4 { let t = exp(A[i, j]) { C[i, j] = t * t } }')).toEqual([[0, 0]]);
  });

  it('where full steps and a remainder store apart', () => {
    expect(pairs(`for i in 0..8 { for j in 0..2 { C[i, j] = -1f * A[i, j] }
      for k in 0..2 { C[i, k + 2] = -1f * A[i, k + 2] } }`)).toEqual([[0, 0]]);
  });

  it('where the index comes through lets', () => {
    expect(pairs('for p: parallel in 0..32 { let t = p % 4 { let u = floordiv(p, 4) { C[u, t] = abs(A[u, t]) } } }')).toEqual([[0, 0]]);
  });

  it('but not one that it reads elsewhere', () => {
    expect(pairs('for i in 0..8, j in 0..4 { C[i, j] = A[7 - i, j] }')).toEqual([]);
    expect(pairs('for i in 0..8, j in 0..4 { C[i, j] = A[i, j] + A[i, 0] }')).toEqual([]);
    expect(pairs('for i in 0..8, j in 0..4 { if A[i, j] < 0f { C[i, j] = A[i, j] } }')).toEqual([]);
    expect(pairs('for i in 0..8, j in 0..4 { let t = A[i, j] { let u = A[0, j] { C[i, j] = t * u } } }')).toEqual([]);
  });

  it('but not one that it reads for another output, or for an index', () => {
    expect(pairs('for i in 0..8, j in 0..4 { C[i, j] = A[i, j]\nD[i, j] = A[i, j] }', 'A: f32[8, 4], out C: f32[8, 4], out D: f32[8, 4]')).toEqual([]);
    expect(pairs('for i in 0..8 { C[i] = A[A[i]] }', 'A: i64[8], out C: i64[8]')).toEqual([]);
    expect(pairs('for i in 0..8 { C[A[i]] = A[i] }', 'A: i64[8], out C: i64[8]')).toEqual([]);
  });

  it('but not where it reads its output', () => {
    expect(pairs('for i in 0..8, j in 0..4 { C[i, j] = A[i, j] }\nfor i in 0..8 { C[i, 0] = C[i, 1] }')).toEqual([]);
  });

  it('but not where an index is stored again', () => {
    expect(pairs('for i in 0..8, j in 0..4 { for k in 0..3 { C[i, j] = A[i, j] * f32(k) } }')).toEqual([]);
    expect(pairs('for i in 0..8, j in 0..4 { if i < 3 { C[i, j] = A[i, j] } else { C[i, j] = A[i, j] * 2f } }')).toEqual([]);
    expect(pairs('for i in 0..8, j in 0..4 { while B[i, j] < 0f { C[i, j] = A[i, j] } }')).toEqual([]);
  });

  it('of the same shape and dtype only', () => {
    expect(pairs('for i in 0..8 { C[i] = A[i] }', 'A: f32[9], out C: f32[8]')).toEqual([]);
    expect(pairs('for i in 0..8 { C[i] = f32(A[i]) }', 'A: i32[8], out C: f32[8]')).toEqual([]);
    expect(pairs('C[] = A[] + 1f', 'A: f32[], out C: f32[]')).toEqual([[0, 0]]);
  });
});

describe('floating-point operations', () => {
  const flops = (body: string) => flopsOf(tensor(`tensor @f(A: f32[n, 4], out C: f32[n, 4]) {\n${body}\n}`), exprs);
  const n = exprs.variable('n');
  it('count arithmetic and intrinsics on floats', () => {
    expect(flops('for i in 0..n, j in 0..4 { C[i, j] = exp(A[i, j]) * 2f + 1f }')).toBe(exprs.mul(n, 12));
    expect(flops('for i in 0..n, j in 0..4 { C[i, j] = A[i, 3 - j] }')).toBe(exprs.int(0));
  });
  it('take the first side of a branch, and leave loops whose length is data', () => {
    expect(flops('for i in 0..n { if i < 3 { C[i, 0] = A[i, 0] + 1f } else { C[i, 0] = A[i, 0] * 2f + 1f } }')).toBe(n);
    expect(flops('for i in 0..n { for j in 0..i { C[i, j] = A[i, j] + 1f } }')).toBe(n);
    expect(flops('for i in 0..n { let start = floordiv(i, 2) { for j in 0..start { C[i, j] = A[i, j] + 1f } } }')).toBe(n);
  });
});

describe('arena', () => {
  const n = exprs.variable('n');
  const m = exprs.variable('m');
  const facts: Scope = new Map([['n', { min: 0, max: 1000 }], ['m', { min: 1, max: null }]]);
  const hint = (name: string): number => (name === 'n' ? 64 : 16);

  it('never overlaps what is alive at the same time, for any sizes; offsets are aligned', () => {
    let shared = 0;
    for (let seed = 1; seed <= 150; seed++) {
      const random = generator(seed);
      const below = (k: number): number => Math.floor(random() * k);
      const size = (): Expr => {
        if (seed % 3 === 0 || random() < 0.4) return exprs.int(below(5) === 0 ? 0 : below(3000));
        const sum = exprs.add(exprs.mul(random() < 0.5 ? n : m, 4 * (1 + below(8))), below(100));
        return random() < 0.2 ? exprs.mul(sum, m) : sum;
      };
      const requests: Request[] = Array.from({ length: 2 + below(30) }, () => {
        const first = below(40);
        return { bytes: size(), first, last: first + below(8) };
      });
      const { offsets, bytes } = planArena(requests, exprs, facts, hint);
      for (const dims of [[0, 1], [1, 1], [63, 65], [1000, 3]].map(([a, b]) => new Map([['n', a!], ['m', b!]]))) {
        const places = requests.map((r, i) => ({ at: evaluateDim(offsets[i]!, dims), size: evaluateDim(r.bytes, dims) }));
        const total = evaluateDim(bytes, dims);
        if (places.reduce((sum, p) => sum + p.size, 0) > total) shared++;
        places.forEach((p, i) => {
          expect(p.at % 64).toBe(0);
          expect(p.at + p.size).toBeLessThanOrEqual(total);
          for (let j = 0; j < i; j++) {
            const [a, b, q] = [requests[i]!, requests[j]!, places[j]!];
            if (a.first > b.last || b.first > a.last) continue;
            if (p.at < q.at + q.size && q.at < p.at + p.size) expect.fail(`seed ${seed}: requests ${i} and ${j} overlap`);
          }
        });
      }
    }
    expect(shared).toBeGreaterThan(250);
  });

  it('reuses memory: a chain needs two buffers, whatever its length', () => {
    const chain = (bytes: Expr): Request[] => Array.from({ length: 50 }, (_, i) => ({ bytes, first: i, last: i + 1 }));
    expect(planArena(chain(exprs.int(1000)), exprs, facts, hint).bytes).toBe(exprs.int(2048));
    const symbolic = planArena(chain(exprs.mul(n, 64)), exprs, facts, hint);
    expect(symbolic.bytes).toBe(exprs.mul(n, 128));
  });

  it('of nothing is empty', () => {
    expect(planArena([], exprs, facts, hint)).toEqual({ offsets: [], bytes: exprs.int(0) });
  });

  it('plans thousands of buffers in a moment', () => {
    const random = generator(7);
    const sizes = Array.from({ length: 40 }, (_, i) => exprs.mul(random() < 0.5 ? n : m, 64 * (i + 1)));
    for (const size of [() => exprs.int(64 * Math.ceil(random() * 100)), () => sizes[Math.floor(random() * sizes.length)]!]) {
      const requests = Array.from({ length: 10_000 }, (_, i): Request => ({ bytes: size(), first: i, last: i + 1 + Math.floor(random() * 4) }));
      const begin = process.cpuUsage();
      planArena(requests, exprs, facts, hint);
      expect(process.cpuUsage(begin).user / 1e6).toBeLessThan(2);
    }
  });
});
