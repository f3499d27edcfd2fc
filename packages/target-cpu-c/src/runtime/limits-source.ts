/**
 * C11 source of what every shared object carries to measure the machine: `tenon_limits` finds the peak rate of float32
 * multiply-adds in vectors as wide as those of the object, and the bandwidth of reading memory, both with so many threads, the best
 * of several turns, every thread on a core of its own and memory on large pages, where the system lets it. It takes some tenths of a second and is
 * called for profiles only.
 */
export const limitsSource = `#if defined(__linux__)
#define _GNU_SOURCE
#include <sched.h>
#include <sys/mman.h>
#else
#define _POSIX_C_SOURCE 200112L
#endif
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__AVX512F__)
enum { BYTES = 64 };
#elif defined(__AVX__)
enum { BYTES = 32 };
#else
enum { BYTES = 16 };
#endif
enum { LANES = BYTES / 4, ROUNDS = 2000000, TURNS = 10 };
typedef float vec __attribute__((vector_size(BYTES)));
typedef struct { const float* from; size_t count; float seed, sink; } job;

/* Independent chains, more than the latency of a multiply-add needs where there are registers for them; named variables, since an
   array of sums may end up in memory. They converge to 1: denormal numbers would be slow. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define MORE(F) F(12) F(13) F(14) F(15) F(16) F(17) F(18) F(19)
enum { CHAINS = 20 };
#else
#define MORE(F)
enum { CHAINS = 12 };
#endif
#define EACH(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11) MORE(F)
#define START(c) vec s##c = y + (float)c;
#define STEP(c) s##c = s##c * x + y;
#define SUM(c) + s##c

static void* compute(void* argument) {
  job* j = argument;
  const vec x = (vec){0} + 0.999f, y = (vec){0} + 0.001f * j->seed;
  EACH(START)
  for (long r = 0; r < ROUNDS; r++) { EACH(STEP) }
  const vec s = y EACH(SUM);
  j->sink = s[0];
  return 0;
}

static void* read_all(void* argument) {
  job* j = argument;
  vec s[8];
  memset(s, 0, sizeof s);
  for (size_t i = 0; i + 8 * LANES <= j->count; i += 8 * LANES)
    for (int k = 0; k < 8; k++) s[k] += *(const vec*)(j->from + i + k * LANES);
  for (int k = 1; k < 8; k++) s[0] += s[k];
  j->sink = s[0][0];
  return 0;
}

static void* touch(void* argument) {
  job* j = argument;
  memset((void*)j->from, 0, j->count * sizeof(float));
  return 0;
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A thread that runs on the core with its number alone, among those that its maker may use: systems leave threads that are soon over on the
   core that made them, all of them. */
static int make(pthread_t* id, int thread, void* (*run)(void*), job* j) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
#if defined(__linux__)
  cpu_set_t allowed, one;
  if (!sched_getaffinity(0, sizeof allowed, &allowed)) {
    int left = thread % CPU_COUNT(&allowed), core = 0;
    while (!CPU_ISSET(core, &allowed) || left-- > 0) core++;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    pthread_attr_setaffinity_np(&attributes, sizeof one, &one);
  }
#else
  (void)thread;
#endif
  const int made = !pthread_create(id, &attributes, run, j);
  pthread_attr_destroy(&attributes);
  return made;
}

/* Seconds of the fastest turn of all threads together; a thread that cannot be made is done by the caller. */
static double fastest(void* (*run)(void*), job* jobs, pthread_t* ids, int threads, int turns) {
  double best = 1e30;
  for (int turn = 0; turn < turns; turn++) {
    const double begin = seconds();
    int made = 0;
    while (made < threads && make(&ids[made], made, run, &jobs[made])) made++;
    for (int t = made; t < threads; t++) run(&jobs[t]);
    for (int t = 0; t < made; t++) pthread_join(ids[t], 0);
    const double took = seconds() - begin;
    if (took < best) best = took;
  }
  return best;
}

/* Writes operations per second, a multiply-add counting two, and bytes per second. 0: done; 1: memory ran out. */
__attribute__((visibility("default"))) int tenon_limits(int threads, double* rates) {
  job* jobs = calloc((size_t)threads, sizeof *jobs);
  pthread_t* ids = calloc((size_t)threads, sizeof *ids);
  /* More than caches hold, where there is room. */
  size_t bytes = (size_t)512 << 20;
  void* memory = 0;
  while (jobs && ids && bytes >= ((size_t)1 << 20) && posix_memalign(&memory, (size_t)2 << 20, bytes)) { memory = 0; bytes /= 2; }
  if (!memory) {
    free(jobs);
    free(ids);
    return 1;
  }
#if defined(__linux__)
  madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  const size_t share = bytes / sizeof(float) / (size_t)threads / (8 * LANES) * (8 * LANES);
  for (int t = 0; t < threads; t++) {
    jobs[t].from = (const float*)memory + share * (size_t)t;
    jobs[t].count = share;
    jobs[t].seed = (float)(t + 1);
  }
  rates[0] = 2.0 * CHAINS * LANES * ROUNDS * threads / fastest(compute, jobs, ids, threads, TURNS);
  fastest(touch, jobs, ids, threads, 1);
  rates[1] = (double)share * sizeof(float) * threads / fastest(read_all, jobs, ids, threads, TURNS);
  free(memory);
  free(jobs);
  free(ids);
  return 0;
}
`;
