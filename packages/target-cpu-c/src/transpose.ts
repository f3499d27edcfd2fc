import type { TensorIntrinsic } from '@tenon/plugin';

/** A square of floats as wide as a vector. */
export interface Square {
  readonly intrinsic: string;
  readonly size: number;
}

const name = (size: number): string => `cpu-c.transpose${size}`;

export const transposedSquare = (size: number): Square => ({ intrinsic: name(size), size });

/**
 * Transposes a square of floats in registers, one vector for each row: in step s = 1, 2, 4 … rows i and i + s exchange the elements whose number has
 * the bit s set and not set (J. O. Eklundh, A Fast Computer Method for Matrix Transposing, 1972). Without contiguous rows, or without
 * the builtin, element by element.
 */
function transpose(size: number): TensorIntrinsic {
  const lanes = Array.from({ length: size }, (_, i) => i);
  const steps = lanes.filter((s) => s > 0 && (s & (s - 1)) === 0);
  const exchange = (s: number): string => lanes.filter((i) => (i & s) === 0).map((i) => {
    // Elements of the second row are numbered from `size` on.
    const upper = lanes.map((l) => ((l & s) === 0 ? l : size + l - s)).join(', ');
    const lower = lanes.map((l) => ((l & s) === 0 ? l + s : size + l)).join(', ');
    return `{ const tn_row a = r${i}, b = r${i + s}; r${i} = __builtin_shufflevector(a, b, ${upper}); r${i + s} = __builtin_shufflevector(a, b, ${lower}); }`;
  }).join('\n');
  return {
    name: name(size), target: 'cpu-c', doc: `B ← Aᵀ for ${size} × ${size} floats, in registers.`, requires: { vectorBytes: 4 * size },
    description: `tensor ${`@transpose${size}`}(A: f32[${size}, ${size}], out B: f32[${size}, ${size}]) {
      for i in 0..${size}, k in 0..${size} {
        block copy(r: spatial = i, c: spatial = k) {
          B[r, c] = A[c, r]
        }
      }
    }`,
    implementation: {
      kind: 'text',
      text: `{
const f32* const a = {A};
f32* const b = {B};
#if defined(__clang__) || __GNUC__ >= 12
if ({A.stride1} == 1 && {B.stride1} == 1) {
typedef f32 tn_row __attribute__((vector_size(${4 * size})));
typedef f32 tn_row_u __attribute__((vector_size(${4 * size}), aligned(4)));
${lanes.map((i) => `tn_row r${i} = *(const tn_row_u*)(a + ${i} * {A.stride0});`).join('\n')}
${steps.map(exchange).join('\n')}
${lanes.map((i) => `*(tn_row_u*)(b + ${i} * {B.stride0}) = r${i};`).join('\n')}
} else
#endif
for (int i = 0; i < ${size}; i++) for (int k = 0; k < ${size}; k++) b[i * {B.stride0} + k * {B.stride1}] = a[k * {A.stride0} + i * {A.stride1}];
}`,
    },
  };
}

/** For vectors of 16, 32 and 64 bytes. */
export const transposes: readonly TensorIntrinsic[] = [4, 8, 16].map(transpose);
