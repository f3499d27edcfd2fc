import { describe, expect, it } from 'vitest';
import { chain, lowered, matmul, refusal, scheduled, stencil } from './support.ts';

describe('compute_at', () => {
  it('computes what an iteration reads', () => {
    expect(scheduled(stencil, (s) => {
      const [outer] = s.split('j', [null, 7]);
      s.computeAt('double', outer!);
    })).toMatchInlineSnapshot(`
      "
      tensor @stencil(A: i32[16], out B: i32[14]) {
        for j_0 in 0..2 {
          alloc T: i32[16]
          for vi_l in 0..9 {
            block double(vi: spatial in 0..16 = j_0 * 7 + vi_l) {
              T[vi] = A[vi] * 2i32
            }
          }
          for j_1 in 0..7 {
            block blur(vj: spatial in 0..14 = j_0 * 7 + j_1) {
              B[vj] = T[vj] + T[vj + 1] + T[vj + 2]
            }
          }
        }
      }
      "
    `);
  });
  it('leaves a small buffer when lowered', () => {
    expect(lowered(stencil, (s) => {
      const [outer] = s.split('j', [null, 7]);
      s.computeAt('double', outer!);
      s.parallel(outer!);
    })).toMatchInlineSnapshot(`
      "
      tensor @stencil(A: i32[16], out B: i32[14]) {
        for j_0: parallel in 0..2 {
          alloc T: i32[9]
          for vi_l in 0..9 {
            T[vi_l] = A[j_0 * 7 + vi_l] * 2i32
          }
          for j_1 in 0..7 {
            B[j_0 * 7 + j_1] = T[j_1] + T[j_1 + 1] + T[j_1 + 2]
          }
        }
      }
      "
    `);
  });
  it('moves a chain, last producer first', () => {
    expect(scheduled(chain, (s) => {
      s.computeAt('plus', 'i2');
      s.computeAt('double', 'i2');
    })).toMatchInlineSnapshot(`
      "
      tensor @chain(A: i32[n, 8], out S: i32[n]) {
        for i2 in 0..n {
          alloc U: i32[n, 8]
          alloc T: i32[n, 8]
          for vj_l in 0..8 {
            block double(vi: spatial = i2, vj: spatial = vj_l) {
              T[vi, vj] = A[vi, vj] * 2i32
            }
          }
          for wj_l in 0..8 {
            block plus(wi: spatial = i2, wj: spatial = wj_l) {
              U[wi, wj] = T[wi, wj] + 1i32
            }
          }
          for k in 0..8 {
            block sum(xi: spatial = i2, xk: reduce = k) {
              init {
                S[xi] = 0i32
              }
              S[xi] = S[xi] + U[xi, xk]
            }
          }
        }
      }
      "
    `);
  });
  it('refuses while another block reads the buffer elsewhere', () => {
    expect(refusal(chain, (s) => s.computeAt('double', 'i2'))).toMatchInlineSnapshot(`"schedule/consumer-outside: compute_at: block plus reads T, which block double writes, and is not under loop i2"`);
  });
  it('refuses results of the function', () => {
    expect(refusal(chain, (s) => s.computeAt('sum', 'i'))).toMatchInlineSnapshot(`"schedule/output: compute_at: block sum writes S, which is a result of the function: all of it must be computed"`);
  });
  it('refuses where its input is overwritten', () => {
    const text = `tensor @w(A: i32[4], out B: i32[4]) {
      alloc T: i32[4]
      alloc U: i32[4]
      for i in 0..4 { block p(v: spatial = i) { T[v] = A[v] } }
      for j in 0..4 { block q(w: spatial = j) { U[w] = T[w] + 1i32 } }
      for k in 0..4 { block r(x: spatial = k) { T[x] = 3i32 } }
      for l in 0..4 { block s(y: spatial = l) { B[y] = U[y] + T[y] } }
    }`;
    expect(refusal(text, (s) => s.computeAt('q', 'l'))).toMatchInlineSnapshot(`"schedule/dependence: compute_at: block r writes T, which block q reads where it stands now"`);
  });
});

describe('reverse_compute_at', () => {
  it('uses what an iteration made', () => {
    expect(scheduled(chain, (s) => {
      s.split('i', [null, 2]);
      s.reverseComputeAt('plus', 'i_0');
    })).toMatchInlineSnapshot(`
      "
      tensor @chain(A: i32[n, 8], out S: i32[n]) {
        alloc U: i32[n, 8]
        for i_0 in 0..floordiv(n + 1, 2) {
          alloc T: i32[n, 8]
          for i_1 in 0..2, j in 0..8 {
            block double(vi: spatial in 0..n = i_0 * 2 + i_1, vj: spatial = j) where i_0 * 2 + i_1 < n {
              T[vi, vj] = A[vi, vj] * 2i32
            }
          }
          for wi_l in 0..2, wj_l in 0..8 {
            block plus(wi: spatial in 0..n = i_0 * 2 + wi_l, wj: spatial = wj_l) where i_0 * 2 + wi_l < n {
              U[wi, wj] = T[wi, wj] + 1i32
            }
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
  it('refuses a reduction that is not complete', () => {
    const text = matmul.replace('out C', 'out D').replace('{\n', '{\n  alloc C: i32[6, 4]\n').replace(/\}$/, '  for p in 0..6, q in 0..4 { block relu(x: spatial = p, y: spatial = q) { D[x, y] = max(C[x, y], 0i32) } }\n}');
    expect(scheduled(text, (s) => s.reverseComputeAt('relu', 'j'))).toMatchInlineSnapshot(`
      "
      tensor @matmul(A: i32[6, 8], B: i32[8, 4], out D: i32[6, 4]) {
        for i in 0..6, j in 0..4 {
          alloc C: i32[6, 4]
          for k in 0..8 {
            block mm(vi: spatial = i, vj: spatial = j, vk: reduce = k) {
              init {
                C[vi, vj] = 0i32
              }
              C[vi, vj] = C[vi, vj] + A[vi, vk] * B[vk, vj]
            }
          }
          block relu(x: spatial = i, y: spatial = j) {
            D[x, y] = max(C[x, y], 0i32)
          }
        }
      }
      "
    `);
    expect(refusal(text, (s) => s.reverseComputeAt('relu', 'k'))).toMatchInlineSnapshot(`"schedule/dependence: reverse_compute_at: block relu reads C, which is not complete within an iteration of loop k: block mm reduces over it"`);
  });
  it('refuses where an iteration does not make all that is read', () => {
    expect(refusal(stencil, (s) => s.reverseComputeAt('blur', 'i'))).toMatchInlineSnapshot(`"schedule/dependence: reverse_compute_at: block blur reads several parts of T on axis 0, which different iterations of loop i make in block double"`);
  });
});

describe('compute_inline', () => {
  it('puts a value where it is read', () => {
    expect(scheduled(stencil, (s) => s.computeInline('double'))).toMatchInlineSnapshot(`
      "
      tensor @stencil(A: i32[16], out B: i32[14]) {
        for j in 0..14 {
          block blur(vj: spatial = j) {
            B[vj] = A[vj] * 2i32 + A[vj + 1] * 2i32 + A[vj + 2] * 2i32
          }
        }
      }
      "
    `);
  });
  it('refuses reductions', () => {
    expect(refusal(matmul, (s) => s.computeInline('mm'))).toMatchInlineSnapshot(`"schedule/not-elementwise: compute_inline: block mm is a reduction"`);
  });
});

describe('reverse_compute_inline', () => {
  it('finishes a value where it is made', () => {
    expect(scheduled(chain, (s) => s.reverseComputeInline('plus'))).toMatchInlineSnapshot(`
      "
      tensor @chain(A: i32[n, 8], out S: i32[n]) {
        alloc U: i32[n, 8]
        for i in 0..n, j in 0..8 {
          block double(vi: spatial = i, vj: spatial = j) {
            U[vi, vj] = A[vi, vj] * 2i32 + 1i32
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
  it('refuses consumers that read elements again', () => {
    expect(refusal(stencil, (s) => s.reverseComputeInline('blur'))).toMatchInlineSnapshot(`"schedule/not-elementwise: reverse_compute_inline: block blur reads several elements of T"`);
  });
});

describe('cache_read', () => {
  it('copies what a block reads', () => {
    expect(scheduled(matmul, (s) => expect(s.cacheRead('mm', 'B', 'shared')).toEqual({ block: 'B_shared_copy', buffer: 'B_shared' }))).toMatchInlineSnapshot(`
      "
      tensor @matmul(A: i32[6, 8], B: i32[8, 4], out C: i32[6, 4]) {
        alloc B_shared: i32[8, 4] in shared
        for v0_l in 0..8, v1_l in 0..4 {
          block B_shared_copy(v0: spatial = v0_l, v1: spatial = v1_l) {
            B_shared[v0, v1] = B[v0, v1]
          }
        }
        for i in 0..6, j in 0..4, k in 0..8 {
          block mm(vi: spatial = i, vj: spatial = j, vk: reduce = k) {
            init {
              C[vi, vj] = 0i32
            }
            C[vi, vj] = C[vi, vj] + A[vi, vk] * B_shared[vk, vj]
          }
        }
      }
      "
    `);
  });
  it('copies a tile where compute_at puts it', () => {
    expect(lowered(matmul, (s) => {
      const { block } = s.cacheRead('mm', 'B', 'local');
      const [outer, inner] = s.split('j', [null, 2]);
      s.reorder(outer!, 'i', inner!);
      s.computeAt(block, outer!);
    })).toMatchInlineSnapshot(`
      "
      tensor @matmul(A: i32[6, 8], B: i32[8, 4], out C: i32[6, 4]) {
        for j_0 in 0..2 {
          alloc B_local: i32[8, 2] in local
          for v0_l_1 in 0..8, v1_l_1 in 0..2 {
            B_local[v0_l_1, v1_l_1] = B[v0_l_1, j_0 * 2 + v1_l_1]
          }
          for i in 0..6, j_1 in 0..2 {
            C[i, j_0 * 2 + j_1] = 0i32
            for k in 0..8 {
              C[i, j_0 * 2 + j_1] = C[i, j_0 * 2 + j_1] + A[i, k] * B_local[k, j_1]
            }
          }
        }
      }
      "
    `);
  });
  it('refuses buffers that the block does not read', () => {
    expect(refusal(matmul, (s) => void s.cacheRead('mm', 'C', 'local'))).toMatchInlineSnapshot(`"schedule/dependence: cache_read: block mm reads and writes C"`);
  });
});

describe('cache_write', () => {
  it('writes through a copy', () => {
    expect(scheduled(matmul, (s) => {
      const { block } = s.cacheWrite('mm', 'C', 'local');
      s.reverseComputeAt(block, 'j');
    })).toMatchInlineSnapshot(`
      "
      tensor @matmul(A: i32[6, 8], B: i32[8, 4], out C: i32[6, 4]) {
        for i in 0..6, j in 0..4 {
          alloc C_local: i32[6, 4] in local
          for k in 0..8 {
            block mm(vi: spatial = i, vj: spatial = j, vk: reduce = k) {
              init {
                C_local[vi, vj] = 0i32
              }
              C_local[vi, vj] = C_local[vi, vj] + A[vi, vk] * B[vk, vj]
            }
          }
          block mm_copy(v0: spatial = i, v1: spatial = j) {
            C[v0, v1] = C_local[v0, v1]
          }
        }
      }
      "
    `);
  });
  it('refuses buffers that several blocks write', () => {
    expect(refusal(matmul, (s) => {
      s.decomposeReduction('mm', 'k');
      s.cacheWrite('mm_init', 'C', 'local');
    })).toMatchInlineSnapshot(`"schedule/several-writers: cache_write: block mm writes C too"`);
  });
});

describe('reindex', () => {
  const strided = 'tensor @c(A: i32[2, 20], out B: i32[8]) { for i in 0..8, k in 0..3 { block conv(v: spatial = i, r: reduce = k) { init { B[v] = 0i32 } B[v] = B[v] + A[1, v * 2 + r] } } }';
  it('reads a copy that iteration variables index', () => {
    expect(scheduled(strided, (s) => expect(s.reindex('conv', 'A', 'read').buffer).toBe('A_reindex'))).toMatchInlineSnapshot(`
      "
      tensor @c(A: i32[2, 20], out B: i32[8]) {
        alloc A_reindex: i32[8, 3]
        for v0_l in 0..8, v1_l in 0..3 {
          block A_reindex_copy(v0: spatial = v0_l, v1: spatial = v1_l) {
            A_reindex[v0, v1] = A[1, v0 * 2 + v1]
          }
        }
        for i in 0..8, k in 0..3 {
          block conv(v: spatial = i, r: reduce = k) {
            init {
              B[v] = 0i32
            }
            B[v] = B[v] + A_reindex[v, r]
          }
        }
      }
      "
    `);
  });
  it('writes a copy that iteration variables index', () => {
    expect(scheduled('tensor @t(A: i32[4, 3], out B: i32[12]) { for i in 0..4, j in 0..3 { block b(v: spatial = i, w: spatial = j) { B[w * 4 + v] = A[v, w] } } }', (s) => void s.reindex('b', 'B', 'write'))).toMatchInlineSnapshot(`
      "
      tensor @t(A: i32[4, 3], out B: i32[12]) {
        alloc B_reindex: i32[4, 3]
        for i in 0..4, j in 0..3 {
          block b(v: spatial = i, w: spatial = j) {
            B_reindex[v, w] = A[v, w]
          }
        }
        for v0_l in 0..4, v1_l in 0..3 {
          block B_reindex_copy(v0: spatial = v0_l, v1: spatial = v1_l) {
            B[v0 + v1 * 4] = B_reindex[v0, v1]
          }
        }
      }
      "
    `);
  });
  it('refuses reads under a condition', () => {
    expect(refusal(strided.replace('A[1, v * 2 + r]', 'select(v < 4, A[1, v * 2 + r + 4], 0i32)').replace('i32[2, 20]', 'i32[2, 16]'), (s) => void s.reindex('conv', 'A', 'read'))).toMatchInlineSnapshot(`"schedule/domain: reindex: block conv may read A outside of its axis 1, under a condition"`);
  });
});
