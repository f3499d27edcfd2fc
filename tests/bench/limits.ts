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

/**
 * Best of ten: independent chains of fused multiply-adds in registers, and reading 512 MB. Every thread has a core of its own, and rounds take
 * some tens of milliseconds: systems leave threads that are soon over on the core that started them. Rounds of all numbers of threads take
 * turns, with pauses, over some seconds: those of a virtual machine at times do half of what they can, together. Memory has large pages, where the
 * system gives them: on small ones what is read waits for translations.
 */
const program = String.raw`
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif
typedef float v __attribute__((vector_size(BYTES)));
enum { LANES = BYTES / 4, ROUNDS = 5000000, TURNS = 10, PAUSE = 200000000 };
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
static float* memory; static size_t elements; static int threads; static volatile float sink;
/* More chains than the latency of an addition needs, where there are registers for them. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define MORE(F) F(12) F(13) F(14) F(15) F(16) F(17) F(18) F(19)
enum { CHAINS = 20 };
#else
#define MORE(F)
enum { CHAINS = 12 };
#endif
/* Named variables: an array of accumulators may end up in memory. */
#define EACH(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11) MORE(F)
/* Lets a new thread run on the core with its number alone, among those that this process may use: from its beginning, since it would have
   to wait for the core of the thread that makes it else. */
static void place(pthread_attr_t* attributes, int thread) {
#if defined(__linux__)
  cpu_set_t allowed, one;
  if (sched_getaffinity(0, sizeof allowed, &allowed)) return;
  int left = thread % CPU_COUNT(&allowed);
  for (int core = 0; core < CPU_SETSIZE; core++) {
    if (!CPU_ISSET(core, &allowed) || left-- > 0) continue;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    pthread_attr_setaffinity_np(attributes, sizeof one, &one);
    return;
  }
#endif
}
static void* compute(void* arg) {
  const v x = (v){0} + 0.999f, y = (v){0} + 0.001f * (float)((size_t)arg + 1);
/* The chains converge to 1: denormal numbers would be slow. */
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
  pthread_t id[64]; pthread_attr_t attributes; double begin = now();
  for (int t = 0; t < threads; t++) {
    pthread_attr_init(&attributes);
    place(&attributes, t);
    pthread_create(&id[t], &attributes, f, (void*)(size_t)t);
    pthread_attr_destroy(&attributes);
  }
  for (int t = 0; t < threads; t++) pthread_join(id[t], 0);
  return now() - begin;
}
int main(int argc, char** argv) {
  elements = (size_t)128 << 20;
  memory = aligned_alloc(2 << 20, elements * 4);
#if defined(__linux__)
  madvise(memory, elements * 4, MADV_HUGEPAGE);
#endif
  memset(memory, 0, elements * 4);
  double c[64] = {0}, m[64] = {0};
  for (int k = 0; k < TURNS; k++) {
    for (int i = 1; i < argc && i < 64; i++) {
      threads = atoi(argv[i]);
      double rate = 2.0 * CHAINS * LANES * ROUNDS * threads / run(compute), bytes = elements * 4.0 / run(readall);
      if (rate > c[i]) c[i] = rate;
      if (bytes > m[i]) m[i] = bytes;
    }
    nanosleep(&(struct timespec){0, PAUSE}, 0);
  }
  for (int i = 1; i < argc && i < 64; i++) printf("%.6f %.6f\n", c[i] / 1e9, m[i] / 1e9);
  return 0;
}
`;

/** Measures the machine's limits with a C program made for this machine. */
export function measureLimits(threads: readonly number[], cc = process.env['CC'] ?? 'cc'): Limits[] {
  const folder = mkdtempSync(join(tmpdir(), 'tenon-limits-'));
  try {
    writeFileSync(join(folder, 'limits.c'), program);
    execFileSync(cc, ['-O3', '-march=native', '-ffp-contract=fast', '-pthread', join(folder, 'limits.c'), '-o', join(folder, 'limits')]);
    const lines = execFileSync(join(folder, 'limits'), threads.map(String), { encoding: 'utf8' }).trim().split('\n');
    return threads.map((n, i) => {
      const [gflops, gbytes] = lines[i]!.split(' ').map(Number);
      return { threads: n, gflops: gflops!, gbytes: gbytes! };
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
