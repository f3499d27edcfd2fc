import { describe, expect, it } from 'vitest';
import type { TensorIntrinsic } from '@tenon/plugin';
import { chain, lowered, matmul, refusal, schedule, scheduled, stencil } from './support.ts';

const dot: TensorIntrinsic = {
  name: 'acme.dot4', target: 'acme', doc: 'C += A · B over four elements.', requires: { dot: true },
  description: `tensor @dot4(A: i32[4], B: i32[4], out C: i32[]) {
    for k in 0..4 { block dot(r: reduce = k) { C[] = C[] + A[r] * B[r] } }
  }`,
  implementation: { kind: 'text', text: 'acme_dot4({C}, {A}, {A.stride0}, {B}, {B.stride0});' },
};

describe('blockize', () => {
  it('makes a block of a tile', () => {
    expect(scheduled(matmul, (s) => {
      const [, ji] = s.split('j', [null, 2]);
      const [ko, ki] = s.split('k', [null, 4]);
      s.reorder(ko!, ji!, ki!);
      expect(s.blockize(ji!)).toBe('mm_o');
    })).toMatchInlineSnapshot(`
      "
      tensor @matmul(A: i32[6, 8], B: i32[8, 4], out C: i32[6, 4]) {
        for i in 0..6, j_0 in 0..2, k_0 in 0..2 {
          block mm_o(vi_o: spatial = i, vj_o: spatial = j_0, vk_o: reduce = k_0)
              reads(C[vi_o, vj_o * 2 +: 2], A[vi_o, vk_o * 4 +: 4], B[vk_o * 4 +: 4, vj_o * 2 +: 2])
              writes(C[vi_o, vj_o * 2 +: 2]) {
            init {
              for j_1_1 in 0..2 {
                block mm_init(vj_i_1: spatial = j_1_1) {
                  C[vi_o, vj_i_1 + vj_o * 2] = 0i32
                }
              }
            }
            for j_1 in 0..2, k_1 in 0..4 {
              block mm(vj_i: spatial = j_1, vk_i: reduce = k_1) {
                C[vi_o, vj_i + vj_o * 2] = C[vi_o, vj_i + vj_o * 2] + A[vi_o, vk_i + vk_o * 4] * B[vk_i + vk_o * 4, vj_i + vj_o * 2]
              }
            }
          }
        }
      }
      "
    `);
  });
  it('refuses tiles that are not whole', () => {
    expect(refusal(matmul, (s) => {
      s.split('k', [null, 3]);
      s.blockize('k_1');
    })).toMatchInlineSnapshot(`"schedule/predicate: blockize: the predicate of block mm depends on loops under k_1: tiles at the edge are not whole"`);
  });
});

describe('tensorize', () => {
  const tile = (s: Parameters<Parameters<typeof schedule>[1]>[0]): void => {
    s.decomposeReduction('mm', 'k');
    s.split('k', [null, 4]);
    s.tensorize({ loop: 'k_1' }, 'acme.dot4');
  };
  it('keeps the meaning in the block', () => {
    expect(scheduled(matmul, tile, { intrinsics: [dot] })).toMatchInlineSnapshot(`
      "
      tensor @matmul(A: i32[6, 8], B: i32[8, 4], out C: i32[6, 4]) {
        for i in 0..6, j in 0..4 {
          block mm_init(vi_1: spatial = i, vj_1: spatial = j) {
            C[vi_1, vj_1] = 0i32
          }
          for k_0 in 0..2 {
            block mm_o(vi_o: spatial = i, vj_o: spatial = j, vk_o: reduce = k_0)
                reads(C[vi_o, vj_o], A[vi_o, vk_o * 4 +: 4], B[vk_o * 4 +: 4, vj_o])
                attrs {tensorize = "acme.dot4"} {
              for k_1 in 0..4 {
                block mm(vk_i: reduce = k_1) {
                  C[vi_o, vj_o] = C[vi_o, vj_o] + A[vi_o, vk_i + vk_o * 4] * B[vk_i + vk_o * 4, vj_o]
                }
              }
            }
          }
        }
      }
      "
    `);
  });
  it('becomes a call with addresses and strides', () => {
    expect(lowered(matmul, tile, { intrinsics: [dot] })).toMatchInlineSnapshot(`
      "
      tensor @matmul(A: i32[6, 8], B: i32[8, 4], out C: i32[6, 4]) {
        for i in 0..6, j in 0..4 {
          C[i, j] = 0i32
          for k_0 in 0..2 {
            evaluate (acme.dot4(A[i, k_0 * 4], B[k_0 * 4, j], C[i, j], 1, 4): i64)
          }
        }
      }
      "
    `);
  });
  it('takes the strides of a packed tile', () => {
    expect(lowered(matmul, (s) => {
      const { block, buffer } = s.cacheRead('mm', 'B', 'local');
      s.transformLayout(buffer, (k, j) => [j!, k!]);
      s.computeAt(block, 'j');
      tile(s);
    }, { intrinsics: [dot] })).toMatchInlineSnapshot(`
      "
      tensor @matmul(A: i32[6, 8], B: i32[8, 4], out C: i32[6, 4]) {
        for i in 0..6, j in 0..4 {
          alloc B_local: i32[1, 8] in local
          for v0_l_1 in 0..8 {
            B_local[0, v0_l_1] = B[v0_l_1, j]
          }
          C[i, j] = 0i32
          for k_0 in 0..2 {
            evaluate (acme.dot4(A[i, k_0 * 4], B_local[0, k_0 * 4], C[i, j], 1, 1): i64)
          }
        }
      }
      "
    `);
  });
  it('refuses what the intrinsic does not do', () => {
    expect(refusal(matmul, (s) => {
      s.split('k', [null, 4]);
      s.tensorize({ loop: 'k_1' }, 'acme.dot4');
    }, { intrinsics: [dot] })).toMatchInlineSnapshot(`"schedule/undecomposed-reduction: tensorize: block mm_o sets the initial value of its reduction, which acme.dot4 does not"`);
    expect(refusal(stencil, (s) => {
      s.split('i', [4, 4]);
      s.tensorize({ loop: 'i_1' }, 'acme.dot4');
    }, { intrinsics: [dot] })).toMatchInlineSnapshot(`"schedule/no-match: tensorize: block double_o is not what acme.dot4 does: no axes of T run as those of C do"`);
    expect(refusal(matmul, (s) => void s.tensorize({ loop: 'k' }, 'acme.none'))).toMatchInlineSnapshot(`"schedule/no-intrinsic: tensorize: no intrinsic acme.none is declared"`);
  });
});

describe('questions', () => {
  it('get_block, get_loops, get_child_blocks, get_producers, get_consumers, work_on', () => {
    schedule(chain, (s) => {
      expect(s.getBlock('plus')).toBe('plus');
      expect(s.getLoops('sum')).toEqual(['i2', 'k']);
      expect(s.getChildBlocks()).toEqual(['double', 'plus', 'sum']);
      expect(s.getChildBlocks({ loop: 'i1' })).toEqual(['plus']);
      expect(s.getProducers('plus')).toEqual(['double']);
      expect(s.getConsumers('plus')).toEqual(['sum']);
      const outer = s.blockize('k');
      expect(s.getChildBlocks({ block: outer })).toEqual(['sum']);
      expect(s.getLoops('sum')).toEqual(['k']);
      s.workOn(outer);
      expect(s.getChildBlocks()).toEqual(['sum']);
    });
  });
  it('refuse what is not there', () => {
    expect(refusal(chain, (s) => void s.getBlock('nope'))).toMatchInlineSnapshot(`"schedule/no-block: get_block: @chain has no block nope"`);
    expect(refusal(chain, (s) => {
      s.workOn(s.blockize('k'));
      s.getBlock('plus');
    })).toMatchInlineSnapshot(`"schedule/no-block: get_block: block plus is not inside block sum_o"`);
    expect(refusal(chain, (s) => void s.getLoops('nope'))).toMatchInlineSnapshot(`"schedule/no-block: get_loops: @chain has no block nope"`);
    expect(refusal(chain, (s) => s.setScope('nope', 'local'))).toMatchInlineSnapshot(`"schedule/no-buffer: set_scope: @chain has no buffer nope"`);
    expect(refusal(chain, (s) => s.parallel('nope'))).toMatchInlineSnapshot(`"schedule/no-loop: parallel: @chain has no loop nope"`);
  });
});
