import { describe, expect, it } from 'vitest';
import { evaluateTensorFunction } from '@tenon/interp';
import { chain, lowered, matmul, refusal, schedule, scheduled, stencil } from './support.ts';

describe('transform_layout', () => {
  it('stores a temporary in another shape', () => {
    expect(scheduled(chain, (s, e) => s.transformLayout('T', (i, j) => [e.floordiv(j!, 4), i!, e.mod(j!, 4)]))).toMatchInlineSnapshot(`
      "
      tensor @chain(A: i32[n, 8], out S: i32[n]) {
        alloc T: i32[2, n, 4]
        alloc U: i32[n, 8]
        for i in 0..n, j in 0..8 {
          block double(vi: spatial = i, vj: spatial = j) {
            T[floordiv(vj, 4), vi, vj % 4] = A[vi, vj] * 2i32
          }
        }
        for i1 in 0..n, j1 in 0..8 {
          block plus(wi: spatial = i1, wj: spatial = j1) {
            U[wi, wj] = T[floordiv(wj, 4), wi, wj % 4] + 1i32
          }
        }
        for i2 in 0..n, k in 0..8 {
          block sum(xi: spatial = i2, xk: reduce = k) {
            init {
              S[xi] = 0i32
            }
            S[xi] = S[xi] + U[xi, xk]
          }
        }
      }
      "
    `);
  });
  it('pads where the map leaves gaps', () => {
    expect(scheduled(stencil, (s, e) => s.transformLayout('T', (i) => [e.floordiv(i!, 5), e.mod(i!, 5)]))).toMatchInlineSnapshot(`
      "
      tensor @stencil(A: i32[16], out B: i32[14]) {
        alloc T: i32[4, 5]
        for i in 0..16 {
          block double(vi: spatial = i) {
            T[floordiv(vi, 5), vi % 5] = A[vi] * 2i32
          }
        }
        for j in 0..14 {
          block blur(vj: spatial = j) {
            B[vj] = T[floordiv(vj, 5), vj % 5] + T[floordiv(vj + 1, 5), (vj + 1) % 5] + T[floordiv(vj + 2, 5), (vj + 2) % 5]
          }
        }
      }
      "
    `);
  });
  it('changes a parameter, which the caller then passes so', () => {
    const s = schedule(matmul, (x) => x.transformLayout('B', (k, j) => [j!, k!]), { check: false });
    expect(s.fn.inputs[1]!.shape.map((d) => d.value)).toEqual([4, 8]);
    const a = Int32Array.from({ length: 48 }, (_, i) => (i * 7) % 11);
    const b = Int32Array.from({ length: 32 }, (_, i) => (i * 5) % 13);
    const transposed = Int32Array.from({ length: 32 }, (_, i) => b[(i % 8) * 4 + Math.floor(i / 8)]!);
    const plain = schedule(matmul, () => {}).fn;
    const left = { dtype: 'i32', shape: [6, 8], data: a };
    expect(evaluateTensorFunction(s.fn, [left, { dtype: 'i32', shape: [4, 8], data: transposed }]))
      .toEqual(evaluateTensorFunction(plain, [left, { dtype: 'i32', shape: [8, 4], data: b }]));
  });
  it('refuses maps that are not one to one', () => {
    expect(refusal(chain, (s, e) => s.transformLayout('T', (i, j) => [e.add(i!, j!)]))).toMatchInlineSnapshot(`"schedule/index-map: transform_layout: the map is not known to give every element of T a place of its own"`);
  });
});

describe('transform_block_layout', () => {
  it('runs over other variables', () => {
    expect(scheduled(chain, (s, e) => void s.transformBlockLayout('plus', (i, j) => [e.floordiv(j!, 4), i!, e.mod(j!, 4)]))).toMatchInlineSnapshot(`
      "
      tensor @chain(A: i32[n, 8], out S: i32[n]) {
        alloc T: i32[n, 8]
        alloc U: i32[n, 8]
        for i in 0..n, j in 0..8 {
          block double(vi: spatial = i, vj: spatial = j) {
            T[vi, vj] = A[vi, vj] * 2i32
          }
        }
        for plus_l in 0..2, plus_l_1 in 0..n, plus_l_2 in 0..4 {
          block plus(plus_w: spatial = plus_l, plus_w_1: spatial = plus_l_1, plus_w_2: spatial = plus_l_2) {
            U[plus_w_1, plus_w * 4 + plus_w_2] = T[plus_w_1, plus_w * 4 + plus_w_2] + 1i32
          }
        }
        for i2 in 0..n, k in 0..8 {
          block sum(xi: spatial = i2, xk: reduce = k) {
            init {
              S[xi] = 0i32
            }
            S[xi] = S[xi] + U[xi, xk]
          }
        }
      }
      "
    `);
  });
  it('refuses maps without an inverse', () => {
    expect(refusal(chain, (s, e) => void s.transformBlockLayout('plus', (i, j) => [e.add(i!, j!)]))).toMatchInlineSnapshot(`"schedule/index-map: transform_block_layout: the map of block plus is not known to be invertible"`);
  });
});

describe('reorder_block_iters', () => {
  it('changes the order of variables', () => {
    expect(scheduled(matmul, (s) => s.reorderBlockIters('mm', [2, 0, 1]))).toMatchInlineSnapshot(`
      "
      tensor @matmul(A: i32[6, 8], B: i32[8, 4], out C: i32[6, 4]) {
        for i in 0..6, j in 0..4, k in 0..8 {
          block mm(vk: reduce = k, vi: spatial = i, vj: spatial = j) {
            init {
              C[vi, vj] = 0i32
            }
            C[vi, vj] = C[vi, vj] + A[vi, vk] * B[vk, vj]
          }
        }
      }
      "
    `);
  });
  it('refuses what is no order', () => {
    expect(refusal(matmul, (s) => s.reorderBlockIters('mm', [0, 0, 1]))).toMatchInlineSnapshot(`"schedule/order: reorder_block_iters: 0, 0, 1 is no order of the 3 variables of block mm"`);
  });
});

describe('set_scope', () => {
  it('says where a buffer lives', () => {
    expect(scheduled(stencil, (s) => s.setScope('T', 'shared'))).toMatchInlineSnapshot(`
      "
      tensor @stencil(A: i32[16], out B: i32[14]) {
        alloc T: i32[16] in shared
        for i in 0..16 {
          block double(vi: spatial = i) {
            T[vi] = A[vi] * 2i32
          }
        }
        for j in 0..14 {
          block blur(vj: spatial = j) {
            B[vj] = T[vj] + T[vj + 1] + T[vj + 2]
          }
        }
      }
      "
    `);
  });
  it('refuses parameters, and private memory that iterations share', () => {
    expect(refusal(stencil, (s) => s.setScope('B', 'local'))).toMatchInlineSnapshot(`"schedule/parameter: set_scope: B is a parameter: its memory is the caller's"`);
    expect(refusal(stencil, (s) => {
      s.parallel('i');
      s.setScope('T', 'local');
    })).toMatchInlineSnapshot(`"schedule/dependence: set_scope: T lives outside of the parallel loop i, whose iterations share it"`);
  });
});

describe('storage_align', () => {
  it('pads the rows when lowered', () => {
    expect(lowered(chain, (s) => s.storageAlign('T', 0, 16, 1))).toMatchInlineSnapshot(`
      "
      tensor @chain(A: i32[n, 8], out S: i32[n]) {
        alloc T: i32[n, 17]
        alloc U: i32[n, 8]
        for i in 0..n, j in 0..8 {
          T[i, j] = A[i, j] * 2i32
        }
        for i1 in 0..n, j1 in 0..8 {
          U[i1, j1] = T[i1, j1] + 1i32
        }
        for i2 in 0..n {
          S[i2] = 0i32
          for k in 0..8 {
            S[i2] = S[i2] + U[i2, k]
          }
        }
      }
      "
    `);
  });
  it('refuses axes without a stride', () => {
    expect(refusal(chain, (s) => s.storageAlign('T', 1, 16))).toMatchInlineSnapshot(`"schedule/axis: storage_align: axis 1 of T has no stride to align: its rank is 2"`);
  });
});
