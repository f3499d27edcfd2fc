/* How routines are called: `LibraryUnit` of @tenon/plugin. Operands, then results; sizes; no workspace. */
#include <math.h>
#include <stdint.h>

/* y = softmax of each row of x: rows, columns */
int32_t acme_softmax(void *const *operands, const int64_t *sizes, void *workspace) {
  const float *x = operands[0];
  float *y = operands[1];
  (void)workspace;
  for (int64_t row = 0; row < sizes[0]; row++, x += sizes[1], y += sizes[1]) {
    float largest = -INFINITY;
    for (int64_t i = 0; i < sizes[1]; i++) largest = x[i] > largest ? x[i] : largest;
    double sum = 0;
    for (int64_t i = 0; i < sizes[1]; i++) sum += y[i] = expf(x[i] - largest);
    const float factor = (float)(1 / sum);
    for (int64_t i = 0; i < sizes[1]; i++) y[i] *= factor;
  }
  return 0;
}
