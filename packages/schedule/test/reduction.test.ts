import { describe, expect, it } from 'vitest';
import { chain, lowered, matmul, padded, refusal, scheduled, stencil } from './support.ts';

const total = 'tensor @sum(A: i32[n, 10], out S: i32[n]) { for i in 0..n, k in 0..10 { block sum(v: spatial = i, r: reduce = k) { init { S[v] = 0i32 } S[v] = S[v] + A[v, r] } } }';

describe('decompose_reduction', () => {
  it('sets the initial value in a nest of its own', () => {
    expect(scheduled(matmul, (s) => expect(s.decomposeReduction('mm', 'j')).toBe('mm_init'))).toMatchInlineSnapshot(`
      "
      tensor @matmul(A: i32[6, 8], B: i32[8, 4], out C: i32[6, 4]) {
        for i in 0..6 {
          for j_1 in 0..4 {
            block mm_init(vi_1: spatial = i, vj_1: spatial = j_1) {
              C[vi_1, vj_1] = 0i32
            }
          }
          for j in 0..4, k in 0..8 {
            block mm(vi: spatial = i, vj: spatial = j, vk: reduce = k) {
              C[vi, vj] = C[vi, vj] + A[vi, vk] * B[vk, vj]
            }
          }
        }
      }
      "
    `);
  });
  it('refuses below a loop that reduces', () => {
    expect(refusal(matmul, (s) => {
      s.reorder('k', 'j');
      s.decomposeReduction('mm', 'j');
    })).toMatchInlineSnapshot(`"schedule/dependence: decompose_reduction: loop k, around loop j, carries the reduction of block mm into C: it would begin anew in each of its iterations"`);
  });
});

describe('merge_reduction', () => {
  it('is the inverse', () => {
    const merged = scheduled(matmul, (s) => s.mergeReduction(s.decomposeReduction('mm', 'k'), 'mm'));
    expect(merged).toBe(scheduled(matmul, () => {}));
  });
  it('refuses where a block uses the buffer between', () => {
    const text = `tensor @m(A: i32[4, 3], out S: i32[4], out Z: i32[4]) {
      for i in 0..4 { block zero(v: spatial = i) { S[v] = 5i32 } }
      for j in 0..4 { block look(w: spatial = j) { Z[w] = S[w] } }
      for p in 0..4, q in 0..3 { block sum(x: spatial = p, r: reduce = q) { S[x] = S[x] + A[x, r] } }
    }`;
    expect(refusal(text, (s) => s.mergeReduction('zero', 'sum'))).toMatchInlineSnapshot(`"schedule/dependence: merge_reduction: block look uses S between blocks zero and sum"`);
  });
});

describe('unroll_init', () => {
  it('unrolls the loops of the initial value', () => {
    expect(scheduled(matmul, (s) => void s.unrollInit('mm', 'j'))).toMatchInlineSnapshot(`
      "
      tensor @matmul(A: i32[6, 8], B: i32[8, 4], out C: i32[6, 4]) {
        for i in 0..6 {
          for j_1: unrolled in 0..4 {
            block mm_init(vi_1: spatial = i, vj_1: spatial = j_1) {
              C[vi_1, vj_1] = 0i32
            }
          }
          for j in 0..4, k in 0..8 {
            block mm(vi: spatial = i, vj: spatial = j, vk: reduce = k) {
              C[vi, vj] = C[vi, vj] + A[vi, vk] * B[vk, vj]
            }
          }
        }
      }
      "
    `);
  });
  it('refuses symbolic extents', () => {
    expect(refusal(total, (s) => void s.unrollInit('sum', 'i'))).toMatchInlineSnapshot(`"schedule/extent: unroll_init: loop i_1 of the initial value has an extent that is no constant"`);
  });
});

describe('rfactor', () => {
  it('keeps partial results per iteration', () => {
    expect(scheduled(total, (s) => {
      const [, lane] = s.split('k', [null, 4]);
      expect(s.rfactor(lane!, 0)).toEqual({ block: 'sum_rf', buffer: 'S_rf' });
    })).toMatchInlineSnapshot(`
      "
      tensor @sum(A: i32[n, 10], out S: i32[n]) {
        for i in 0..n {
          alloc S_rf: i32[4, n]
          for k_0 in 0..3, k_1 in 0..4 {
            block sum_rf(v: spatial = i, k_1_f: spatial = k_1, k_0_r: reduce = k_0) {
              init {
                S_rf[k_1_f, v] = 0i32
              }
              S_rf[k_1_f, v] = S_rf[k_1_f, v] + select(k_0_r * 4 + k_1_f < 10, A[v, k_0_r * 4 + k_1_f], 0i32)
            }
          }
          for k_1_1 in 0..4 {
            block sum(v_1: spatial = i, k_1_r: reduce = k_1_1) {
              init {
                S[v_1] = 0i32
              }
              S[v_1] = S[v_1] + S_rf[k_1_r, v_1]
            }
          }
        }
      }
      "
    `);
  });
  it('allows what a reduction forbids', () => {
    expect(lowered('tensor @max(A: i32[32], out S: i32[]) { for k in 0..32 { block m(r: reduce = k) { init { S[] = -1000i32 } S[] = max(S[], A[r]) } } }', (s) => {
      const [outer, lane] = s.split('k', [null, 8]);
      s.rfactor(lane!, 0);
      s.reorder(outer!, lane!);
      s.vectorize(lane!);
    })).toMatchInlineSnapshot(`
      "
      tensor @max(A: i32[32], out S: i32[]) {
        alloc S_rf: i32[8]
        for i_2: vectorized in 0..8 {
          S_rf[i_2] = -2147483648i32
        }
        for k_0 in 0..4, k_1: vectorized in 0..8 {
          S_rf[k_1] = max(S_rf[k_1], A[k_0 * 8 + k_1])
        }
        S[] = -1000i32
        for k_1_1 in 0..8 {
          S[] = max(S[], S_rf[k_1_1])
        }
      }
      "
    `);
  });
  it('refuses combinations that depend on the order', () => {
    expect(refusal(total.replace('S[v] + A[v, r]', 'S[v] * 3i32 + A[v, r]'), (s) => void s.rfactor('k', 0))).toMatchInlineSnapshot(`"schedule/reduction-order: rfactor: block sum combines into S in a way that is not known to be commutative"`);
    expect(refusal(total, (s) => void s.rfactor('i', 0))).toMatchInlineSnapshot(`"schedule/not-reduction: rfactor: loop i carries no reduction"`);
  });
});

describe('pad_einsum', () => {
  it('runs over multiples', () => {
    expect(scheduled(matmul, (s) => void s.padEinsum('mm', [4, 4, 8]))).toMatchInlineSnapshot(`
      "
      tensor @matmul(A: i32[6, 8], B: i32[8, 4], out C: i32[6, 4]) {
        alloc A_pad: i32[8, 8]
        alloc C_pad: i32[8, 4]
        for v0_l in 0..8, v1_l in 0..8 {
          block A_pad_1(v0: spatial = v0_l, v1: spatial = v1_l) {
            A_pad[v0, v1] = select(v0 < 6, A[v0, v1], 0i32)
          }
        }
        for vi_l in 0..8, vj_l in 0..4, vk_l in 0..8 {
          block mm(vi: spatial = vi_l, vj: spatial = vj_l, vk: reduce = vk_l) {
            init {
              C_pad[vi, vj] = 0i32
            }
            C_pad[vi, vj] = C_pad[vi, vj] + A_pad[vi, vk] * B[vk, vj]
          }
        }
        for v0_1_l in 0..6, v1_1_l in 0..4 {
          block mm_unpad(v0_1: spatial = v0_1_l, v1_1: spatial = v1_1_l) {
            C[v0_1, v1_1] = C_pad[v0_1, v1_1]
          }
        }
      }
      "
    `);
  });
  it('refuses what is no sum of products', () => {
    expect(refusal(stencil, (s) => void s.padEinsum('blur', [4]))).toMatchInlineSnapshot(`"schedule/not-einsum: pad_einsum: block blur is no sum of products that begins at zero"`);
  });
});

describe('decompose_padding', () => {
  it('fills first, then writes the inside', () => {
    expect(scheduled(padded, (s) => expect(s.decomposePadding('pad')).toBe('pad_fill'))).toMatchInlineSnapshot(`
      "
      tensor @padded(A: i32[n], out B: i32[n + 3]) {
        for i_1 in 0..n + 3 {
          block pad_fill(v_1: spatial = i_1) {
            B[v_1] = 7i32
          }
        }
        for v_l in 0..n {
          block pad(v: spatial = v_l) {
            B[v + 1] = A[v]
          }
        }
      }
      "
    `);
  });
  it('refuses other blocks', () => {
    expect(refusal(chain, (s) => void s.decomposePadding('plus'))).toMatchInlineSnapshot(`"schedule/not-padding: decompose_padding: block plus is not of the form t[v…] = select(inside, value, constant)"`);
  });
});
