/** A vendor's routines for the C target: one precompiled from C text each, in place of what would be generated. Imports the contract alone. */
import {
  accept, any, constraint, definePlugin, op, reject, typeOf,
  type Attrs, type Constraint, type Expr, type Library, type LibraryEntry, type Match, type Pattern, type Plugin, type Verdict,
} from '@tenon/plugin';

const source = `
#include <math.h>
#include <stdint.h>
#include <string.h>

static float greatest(const float *x, int64_t n) {
  float m = -INFINITY;
  for (int64_t i = 0; i < n; i++) m = x[i] > m ? x[i] : m;
  return m;
}

/* x, y; rows, columns */
int32_t acme_softmax_rows(void *const *p, const int64_t *n, void *workspace) {
  const float *x = p[0];
  float *y = p[1];
  for (int64_t r = 0; r < n[0]; r++, x += n[1], y += n[1]) {
    const float m = greatest(x, n[1]);
    double sum = 0;
    for (int64_t i = 0; i < n[1]; i++) sum += y[i] = expf(x[i] - m);
    for (int64_t i = 0; i < n[1]; i++) y[i] = (float)(y[i] / sum);
  }
  return 0;
}

/* a, b, y; m, k, n. The workspace holds one row in double precision. */
int32_t acme_matmul(void *const *p, const int64_t *s, void *workspace) {
  const float *a = p[0], *b = p[1];
  float *y = p[2];
  double *row = workspace;
  for (int64_t i = 0; i < s[0]; i++) {
    memset(row, 0, sizeof(double) * s[2]);
    for (int64_t k = 0; k < s[1]; k++)
      for (int64_t j = 0; j < s[2]; j++) row[j] += (double)a[i * s[1] + k] * b[k * s[2] + j];
    for (int64_t j = 0; j < s[2]; j++) y[i * s[2] + j] = (float)row[j];
  }
  return 0;
}

/* x [N, C, L], w [O, C, K], y [N, O, L + before + after - K + 1]; N, C, L, O, K, before, after. The workspace holds one padded sample. */
int32_t acme_conv1d(void *const *p, const int64_t *s, void *workspace) {
  const float *x = p[0], *w = p[1];
  float *y = p[2], *padded = workspace;
  const int64_t C = s[1], L = s[2], O = s[3], K = s[4], P = L + s[5] + s[6], M = P - K + 1;
  for (int64_t i = 0; i < s[0]; i++, x += C * L) {
    memset(padded, 0, sizeof(float) * C * P);
    for (int64_t c = 0; c < C; c++) memcpy(padded + c * P + s[5], x + c * L, sizeof(float) * L);
    for (int64_t o = 0; o < O; o++)
      for (int64_t m = 0; m < M; m++) {
        double sum = 0;
        for (int64_t c = 0; c < C; c++)
          for (int64_t k = 0; k < K; k++) sum += (double)padded[c * P + m + k] * w[(o * C + c) * K + k];
        *y++ = (float)sum;
      }
  }
  return 0;
}
`;

const f32 = (...names: readonly string[]): Constraint[] => names.map((name) => constraint.dtype(name, 'f32'));
const rank = (n: number, ...names: readonly string[]): Constraint[] => names.map((name) => constraint.rank(name, n));
const shape = (match: Match, name: string): readonly Expr[] => typeOf(match, name)!.shape;
const attrsOf = (match: Match): Attrs => match.bindings[0]!.attrs;

const softmax: LibraryEntry = {
  id: 'softmax-rows', doc: 'softmax along the last of two axes', pattern: op('nn.softmax', [any('x')]), require: [...f32('x'), ...rank(2, 'x')], benefit: 1000,
  check: (match): Verdict => {
    const axis = attrsOf(match)['axis'] ?? -1;
    return axis === -1 || axis === 1 ? accept() : reject('acme-rows/axis', `it works along axis ${String(axis)}`, 'Transpose before the softmax.');
  },
  call: (match) => ({ symbol: 'acme_softmax_rows', operands: ['x'], scalars: shape(match, 'x'), workspace: null, attrs: {} }),
};

const matmul: LibraryEntry = {
  id: 'matmul', doc: 'product of two matrices', pattern: op('nn.matmul', [any('a'), any('b')]), require: [...f32('a', 'b'), ...rank(2, 'a', 'b')], benefit: 1000,
  call: (match, { exprs }) => {
    const [m, k] = shape(match, 'a');
    const n = shape(match, 'b')[1]!;
    return { symbol: 'acme_matmul', operands: ['a', 'b'], scalars: [m!, k!, n], workspace: exprs.mul(n, 8), attrs: {} };
  },
};

const conv: Pattern = op('nn.conv', [any('x'), any('w')], { name: 'y', attrs: { groups: 1, kernel_layout: 'OI', strides: null, dilations: null } });
const conv1d: LibraryEntry = {
  id: 'conv1d', doc: 'convolution along one axis, without strides and bias', pattern: conv, require: [...f32('x', 'w'), ...rank(3, 'x')], benefit: 1000,
  call: (match, { exprs }) => {
    const [n, c, l] = shape(match, 'x');
    const [o, , k] = shape(match, 'w');
    const [before, after] = (attrsOf(match)['pads'] ?? [exprs.int(0), exprs.int(0)]) as readonly (Expr | number)[];
    const padded = exprs.add(exprs.add(l!, before!), after!);
    const dim = (e: Expr | number): Expr => (typeof e === 'number' ? exprs.int(e) : e);
    return {
      symbol: 'acme_conv1d', operands: ['x', 'w'], scalars: [n!, c!, l!, o!, k!, dim(before!), dim(after!)],
      workspace: exprs.mul(exprs.mul(c!, padded), 4), attrs: {},
    };
  },
};

export const acmeRows: Library = {
  name: 'acme-rows', target: 'cpu-c', doc: 'Row-wise routines in C, with sums in double precision.', entries: [softmax, matmul, conv1d],
  provides: [{ format: 'c-source', symbols: ['acme_softmax_rows', 'acme_matmul', 'acme_conv1d'], text: source }],
};

export const acmeLibrary: (options?: { readonly library?: Library }) => Plugin = definePlugin(
  { name: '@acme/tenon-library-rows', namespace: 'acme', version: '1' }, ({ library = acmeRows }: { readonly library?: Library }) => ({ libraries: [library] }),
);
