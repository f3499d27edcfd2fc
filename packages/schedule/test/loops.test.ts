import { describe, expect, it } from 'vitest';
import { chain, matmul, padded, refusal, scheduled, stencil } from './support.ts';

const vector = 'tensor @v(A: i32[n], out B: i32[n]) { for i in 0..n { block b(v: spatial = i) { B[v] = A[v] + 1i32 } } }';

describe('split', () => {
  it('makes a nest of loops', () => {
    expect(scheduled(matmul, (s) => expect(s.split('i', [2, 3])).toEqual(['i_0', 'i_1']))).toMatchInlineSnapshot(`
      "
      tensor @matmul(A: i32[6, 8], B: i32[8, 4], out C: i32[6, 4]) {
        for i_0 in 0..2, i_1 in 0..3, j in 0..4, k in 0..8 {
          block mm(vi: spatial in 0..6 = i_0 * 3 + i_1, vj: spatial = j, vk: reduce = k) {
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
  it('guards what does not come out even', () => {
    expect(scheduled(vector, (s) => void s.split('i', [null, 4]), { dims: { n: 7 } })).toMatchInlineSnapshot(`
      "
      tensor @v(A: i32[n], out B: i32[n]) {
        for i_0 in 0..floordiv(n + 3, 4), i_1 in 0..4 {
          block b(v: spatial in 0..n = i_0 * 4 + i_1) where i_0 * 4 + i_1 < n {
            B[v] = A[v] + 1i32
          }
        }
      }
      "
    `);
  });
  it('gives a remainder a loop of its own', () => {
    expect(scheduled(vector, (s) => expect(s.split('i', [null, 4], { tail: 'partition' })).toEqual(['i_0', 'i_1', 'i_tail']), { dims: { n: 7 } })).toMatchInlineSnapshot(`
      "
      tensor @v(A: i32[n], out B: i32[n]) {
        for i_0 in 0..floordiv(n, 4), i_1 in 0..4 {
          block b(v: spatial in 0..n = i_0 * 4 + i_1) {
            B[v] = A[v] + 1i32
          }
        }
        for i_tail in 0..n % 4 {
          block b_1(v_1: spatial in 0..n = i_tail + floordiv(n, 4) * 4) {
            B[v_1] = A[v_1] + 1i32
          }
        }
      }
      "
    `);
  });
  it('refuses factors that do not cover the loop', () => {
    expect(refusal(matmul, (s) => void s.split('i', [2, 2]))).toMatchInlineSnapshot(`"schedule/factors: split: the factors of loop i do not cover its extent"`);
  });
  it('refuses to cut a reduction that sets its initial value', () => {
    expect(refusal(matmul, (s) => void s.split('k', [null, 3], { tail: 'partition' }))).toMatchInlineSnapshot(`"schedule/undecomposed-reduction: split: loop k carries the reduction of block mm into C, whose initial value would be set in both parts"`);
  });
});

describe('fuse', () => {
  it('makes one loop of several', () => {
    expect(scheduled(matmul, (s) => expect(s.fuse('i', 'j')).toBe('i_j_fused'))).toMatchInlineSnapshot(`
      "
      tensor @matmul(A: i32[6, 8], B: i32[8, 4], out C: i32[6, 4]) {
        for i_j_fused in 0..24, k in 0..8 {
          block mm(vi: spatial in 0..6 = floordiv(i_j_fused, 4), vj: spatial in 0..4 = i_j_fused % 4, vk: reduce = k) {
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
  it('refuses loops with something between them', () => {
    expect(refusal(chain, (s) => {
      s.computeAt('plus', 'i2');
      s.fuse('i2', 'k');
    })).toMatchInlineSnapshot(`"schedule/not-perfect: fuse: between loops i2 and k stands a seq"`);
  });
});

describe('reorder', () => {
  it('changes the order of loops', () => {
    expect(scheduled(matmul, (s) => s.reorder('k', 'i'))).toMatchInlineSnapshot(`
      "
      tensor @matmul(A: i32[6, 8], B: i32[8, 4], out C: i32[6, 4]) {
        for k in 0..8, j in 0..4, i in 0..6 {
          block mm(vi: spatial = i, vj: spatial = j, vk: reduce = k) {
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
  it('refuses to change the order of a reduction that depends on it', () => {
    const text = `tensor @h(A: i32[3, 4], out H: i32[]) { for i in 0..3, j in 0..4 { block hash(a: reduce = i, b: reduce = j) { init { H[] = 0i32 } H[] = H[] * 3i32 + A[a, b] } } }`;
    expect(refusal(text, (s) => s.reorder('j', 'i'))).toMatchInlineSnapshot(`"schedule/reduction-order: reorder: block hash reduces into H over loops i, j in this order: its combination is not known to be commutative"`);
  });
  it('refuses to separate a producer from what reads it in another iteration', () => {
    const text = `tensor @p(A: i32[4, 5], out B: i32[4, 5]) {
      alloc T: i32[5]
      for i in 0..4, j in 0..5 {
        block put(a: spatial = i, b: spatial = j) writes(T[0 +: 5]) { T[b] = A[a, b] }
        block get(c: spatial = i, d: spatial = j) { B[c, d] = T[d] }
      }
    }`;
    expect(refusal(text, (s) => s.reorder('j', 'i'))).toMatchInlineSnapshot(`"schedule/dependence: reorder: block get reads T, which block put writes before it, in another iteration of loops i, j"`);
  });
});

describe('merge', () => {
  it('makes one loop of two neighbours', () => {
    expect(scheduled(chain, (s) => {
      s.merge('i', 'i1');
      s.merge('j', 'j1');
    })).toMatchInlineSnapshot(`
      "
      tensor @chain(A: i32[n, 8], out S: i32[n]) {
        alloc T: i32[n, 8]
        alloc U: i32[n, 8]
        for i in 0..n, j in 0..8 {
          block double(vi: spatial = i, vj: spatial = j) {
            T[vi, vj] = A[vi, vj] * 2i32
          }
          block plus(wi: spatial = i, wj: spatial = j) {
            U[wi, wj] = T[wi, wj] + 1i32
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
  it('refuses where an iteration reads what a later one writes', () => {
    const text = stencil.replace('j in 0..14', 'j in 0..16').replace('out B: i32[14]', 'out B: i32[16]').replace('T[vj + 1] + T[vj + 2]', 'T[min(vj + 1, 15)]');
    expect(refusal(text, (s) => s.merge('i', 'j'))).toMatchInlineSnapshot(`"schedule/dependence: merge: block blur reads T, which block double writes before it, in another iteration of loop i"`);
  });
});

describe('fission', () => {
  it('gives every nest a loop of its own', () => {
    expect(scheduled(chain, (s) => {
      s.merge('i', 'i1');
      expect(s.fission('i')).toEqual(['i', 'i_1']);
    })).toMatchInlineSnapshot(`
      "
      tensor @chain(A: i32[n, 8], out S: i32[n]) {
        alloc T: i32[n, 8]
        alloc U: i32[n, 8]
        for i in 0..n, j in 0..8 {
          block double(vi: spatial = i, vj: spatial = j) {
            T[vi, vj] = A[vi, vj] * 2i32
          }
        }
        for i_1 in 0..n, j1 in 0..8 {
          block plus(wi: spatial = i_1, wj: spatial = j1) {
            U[wi, wj] = T[wi, wj] + 1i32
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
  it('refuses where iterations pass memory on', () => {
    expect(refusal(chain, (s) => {
      s.computeAt('plus', 'i2');
      s.fission('i2');
    })).toMatchInlineSnapshot(`"schedule/dependence: fission: U holds what one iteration of loop i2 passes between its nests"`);
  });
});

describe('add_unit_loop', () => {
  it('puts a loop around', () => {
    expect(scheduled(vector, (s) => expect(s.addUnitLoop({ block: 'b' })).toBe('u'))).toMatchInlineSnapshot(`
      "
      tensor @v(A: i32[n], out B: i32[n]) {
        for i in 0..n, u in 0..1 {
          block b(v: spatial = i) {
            B[v] = A[v] + 1i32
          }
        }
      }
      "
    `);
  });
  it('refuses blocks that are not there', () => {
    expect(refusal(vector, (s) => void s.addUnitLoop({ block: 'nope' }))).toMatchInlineSnapshot(`"schedule/no-block: add_unit_loop: @v has no block nope"`);
  });
});

describe('loop_partition', () => {
  it('decides guards in the main part', () => {
    expect(scheduled(padded, (s) => expect(s.loopPartition('i')).toEqual(['i_p0', 'i_p1', 'i_p2']))).toMatchInlineSnapshot(`
      "
      tensor @padded(A: i32[n], out B: i32[n + 3]) {
        for i_p0 in 0..1 {
          block pad(v: spatial in 0..n + 3 = i_p0) {
            B[v] = 7i32
          }
        }
        for i_p1 in 0..n {
          block pad_1(v_1: spatial in 0..n + 3 = i_p1 + 1) {
            B[v_1] = A[v_1 - 1]
          }
        }
        for i_p2 in 0..2 {
          block pad_2(v_2: spatial in 0..n + 3 = i_p2 + n + 1) {
            B[v_2] = 7i32
          }
        }
      }
      "
    `);
  });
  it('takes away the predicate of a split', () => {
    expect(scheduled(vector, (s) => {
      s.split('i', [null, 4]);
      s.loopPartition('i_0');
    }, { dims: { n: 11 } })).toMatchInlineSnapshot(`
      "
      tensor @v(A: i32[n], out B: i32[n]) {
        for i_0_p0 in 0..floordiv(n, 4), i_1 in 0..4 {
          block b(v: spatial in 0..n = i_0_p0 * 4 + i_1) {
            B[v] = A[v] + 1i32
          }
        }
        for i_0_p1 in 0..floordiv(n + 3, 4) - floordiv(n, 4), i_1_1 in 0..4 {
          block b_1(v_1: spatial in 0..n = i_0_p1 * 4 + i_1_1 + floordiv(n, 4) * 4)
              where i_0_p1 * 4 + i_1_1 + floordiv(n, 4) * 4 < n {
            B[v_1] = A[v_1] + 1i32
          }
        }
      }
      "
    `);
  });
  it('refuses where nothing is decided', () => {
    expect(refusal(vector, (s) => void s.loopPartition('i'))).toMatchInlineSnapshot(`"schedule/no-guard: loop_partition: no condition under loop i is decided in part of its range"`);
  });
});

describe('hoist_guards', () => {
  it('asks once around a loop', () => {
    expect(scheduled(chain, (s) => {
      s.split('i', [null, 4]);
      s.hoistGuards('j');
    })).toMatchInlineSnapshot(`
      "
      tensor @chain(A: i32[n, 8], out S: i32[n]) {
        alloc T: i32[n, 8]
        alloc U: i32[n, 8]
        for i_0 in 0..floordiv(n + 3, 4), i_1 in 0..4 {
          if i_0 * 4 + i_1 < n {
            for j in 0..8 {
              block double(vi: spatial in 0..n = i_0 * 4 + i_1, vj: spatial = j) {
                T[vi, vj] = A[vi, vj] * 2i32
              }
            }
          }
        }
        for i1 in 0..n, j1 in 0..8 {
          block plus(wi: spatial = i1, wj: spatial = j1) {
            U[wi, wj] = T[wi, wj] + 1i32
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
  it('refuses guards that the loop changes', () => {
    expect(refusal(vector, (s) => {
      s.split('i', [null, 4]);
      s.hoistGuards('i_1');
    })).toMatchInlineSnapshot(`"schedule/no-guard: hoist_guards: the predicates under loop i_1 depend on it, or on loops inside it"`);
  });
});

describe('kinds', () => {
  it('parallel, vectorize, unroll, bind, serial', () => {
    expect(scheduled(matmul, (s) => {
      s.reorder('k', 'j');
      s.parallel('i');
      s.unroll('k');
      s.serial('k');
      s.vectorize('j');
    })).toMatchInlineSnapshot(`
      "
      tensor @matmul(A: i32[6, 8], B: i32[8, 4], out C: i32[6, 4]) {
        for i: parallel in 0..6, k in 0..8, j: vectorized in 0..4 {
          block mm(vi: spatial = i, vj: spatial = j, vk: reduce = k) {
            init {
              C[vi, vj] = 0i32
            }
            C[vi, vj] = C[vi, vj] + A[vi, vk] * B[vk, vj]
          }
        }
      }
      "
    `);
    expect(scheduled(vector, (s) => {
      const [block, thread] = s.split('i', [null, 64]);
      s.bind(block!, 'blockIdx.x');
      s.bind(thread!, 'threadIdx.x');
    })).toMatchInlineSnapshot(`
      "
      tensor @v(A: i32[n], out B: i32[n]) {
        for i_0: thread("blockIdx.x") in 0..floordiv(n + 63, 64), i_1: thread("threadIdx.x") in 0..64 {
          block b(v: spatial in 0..n = i_0 * 64 + i_1) where i_0 * 64 + i_1 < n {
            B[v] = A[v] + 1i32
          }
        }
      }
      "
    `);
  });
  it('parallel refuses a reduction', () => {
    expect(refusal(matmul, (s) => s.parallel('k'))).toMatchInlineSnapshot(`"schedule/dependence: parallel: loop k carries the reduction vk of block mm into C"`);
  });
  it('parallel refuses iterations that write the same memory', () => {
    expect(refusal(stencil.replace('B[vj] = T[vj] + T[vj + 1] + T[vj + 2]', 'B[floordiv(vj, 2)] = T[vj]').replace('vj: spatial = j', 'vj: spatial = floordiv(j, 2) in 0..14').replace('= floordiv(j, 2) in 0..14', 'in 0..14 = floordiv(j, 2)'), (s) => s.parallel('j'))).toMatchInlineSnapshot(`"schedule/dependence: parallel: iterations of loop j may write the same elements of B in block blur"`);
  });
  it('parallel refuses a loop inside another', () => {
    expect(refusal(matmul, (s) => {
      s.parallel('i');
      s.parallel('j');
    })).toMatchInlineSnapshot(`"schedule/nested-parallel: parallel: loop j is inside the parallel loop i"`);
  });
  it('vectorize refuses a reduction, unroll a symbolic extent', () => {
    expect(refusal(matmul, (s) => s.vectorize('k'))).toMatchInlineSnapshot(`"schedule/dependence: vectorize: loop k carries the reduction vk of block mm into C"`);
    expect(refusal(vector, (s) => s.unroll('i'))).toMatchInlineSnapshot(`"schedule/extent: unroll: loop i has an extent that is no constant"`);
  });
  it('bind refuses one thread axis twice', () => {
    expect(refusal(matmul, (s) => {
      s.bind('i', 'threadIdx.x');
      s.bind('j', 'threadIdx.x');
    })).toMatchInlineSnapshot(`"schedule/nested-thread: bind: loops i and j are both bound to threadIdx.x"`);
  });
});

describe('annotate', () => {
  it('adds and takes away data', () => {
    expect(scheduled(vector, (s) => {
      s.annotate({ loop: 'i' }, 'pragma', 'nontemporal');
      s.annotate({ block: 'b' }, 'cost', [1, { a: true }]);
      s.annotate({ block: 'b' }, 'other', null);
      s.unannotate({ block: 'b' }, 'other');
    })).toMatchInlineSnapshot(`
      "
      tensor @v(A: i32[n], out B: i32[n]) {
        for i in 0..n attrs {pragma = "nontemporal"} {
          block b(v: spatial = i) attrs {cost = [1, {a = true}]} {
            B[v] = A[v] + 1i32
          }
        }
      }
      "
    `);
  });
  it('refuses to take away what is not there', () => {
    expect(refusal(vector, (s) => s.unannotate({ block: 'b' }, 'other'))).toMatchInlineSnapshot(`"schedule/no-annotation: unannotate: block b has no annotation other"`);
  });
});
