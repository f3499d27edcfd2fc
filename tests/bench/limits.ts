import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What the machine can do at best with a number of threads. */
export interface Limits {
  readonly threads: number;
  /** Float32 operations per second, a fused multiply-add counting two. */
  readonly gflops: number;
  /** Bytes per second of a sum over memory that no cache holds. */
  readonly gbytes: number;
}

/** Best of ten: independent chains of fused multiply-adds in registers, and reading 512 MB. */
const program = String.raw`
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif
typedef float v __attribute__((vector_size(BYTES)));
enum { LANES = BYTES / 4, CHAINS = 12, ROUNDS = 2000000 };
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
static float* memory; static size_t elements; static int threads; static volatile float sink;
/* Named variables: an array of accumulators may end up in memory. */
#define EACH(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11)
static void* compute(void* arg) {
  v x, y;
  for (int l = 0; l < LANES; l++) { x[l] = 0.999f; y[l] = 0.001f * (float)(size_t)arg; }
#define START(c) v a##c = y + (float)c;
#define STEP(c) a##c = a##c * x + y;
#define SUM(c) + a##c
  EACH(START)
  for (long r = 0; r < ROUNDS; r++) { EACH(STEP) }
  v s = y EACH(SUM);
  sink = s[0];
  return 0;
}
static void* readall(void* arg) {
  size_t part = elements / threads, from = part * (size_t)arg;
  v s[8]; memset(s, 0, sizeof s);
  for (size_t i = from; i + 8 * LANES <= from + part; i += 8 * LANES)
    for (int k = 0; k < 8; k++) s[k] += *(v*)(memory + i + k * LANES);
  v t = s[0]; for (int k = 1; k < 8; k++) t += s[k];
  sink = t[0];
  return 0;
}
static double run(void* (*f)(void*)) {
  double best = 1e9;
  for (int k = 0; k < 10; k++) {
    pthread_t id[64]; double begin = now();
    for (int t = 1; t < threads; t++) pthread_create(&id[t], 0, f, (void*)(size_t)t);
    f((void*)0);
    for (int t = 1; t < threads; t++) pthread_join(id[t], 0);
    double s = now() - begin; if (s < best) best = s;
  }
  return best;
}
int main(int argc, char** argv) {
  threads = atoi(argv[1]);
  elements = (size_t)128 << 20;
  memory = aligned_alloc(64, elements * 4); memset(memory, 0, elements * 4);
  double c = run(compute), m = run(readall);
  printf("%.6f %.6f\n", 2.0 * CHAINS * LANES * ROUNDS * threads / c / 1e9, elements * 4.0 / m / 1e9);
  return 0;
}
`;

/** Measures the machine's limits with a C program made for this machine. */
export function measureLimits(threads: readonly number[], cc = process.env['CC'] ?? 'cc'): Limits[] {
  const folder = mkdtempSync(join(tmpdir(), 'tenon-limits-'));
  try {
    writeFileSync(join(folder, 'limits.c'), program);
    execFileSync(cc, ['-O3', '-march=native', '-ffp-contract=fast', '-pthread', join(folder, 'limits.c'), '-o', join(folder, 'limits')]);
    return threads.map((n) => {
      const [gflops, gbytes] = execFileSync(join(folder, 'limits'), [String(n)], { encoding: 'utf8' }).trim().split(' ').map(Number);
      return { threads: n, gflops: gflops!, gbytes: gbytes! };
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
