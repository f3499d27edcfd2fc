/** The routines, as one translation unit. How they are called: `LibraryUnit` of @tenon/plugin. */
export const source = `
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
