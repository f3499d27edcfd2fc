/**
 * C11 source of what every shared object carries: a thread pool, a clock, aligned memory.
 *
 * The pool: the caller of `tenon_parallel` takes part; workers join a job while it is open and take chunks of
 * their own part of it, then of others'. The caller never waits for a worker that has not joined, so a core that the system takes away delays
 * nothing but the chunk it was computing. Waiting spins, then sleeps: for two milliseconds or so while a region runs, whose
 * next launch will come soon (waking takes long where other processes want the core, or the core rests), half as long otherwise: the
 * next run may come soon, too. Who spins yields from time to time, and workers are kept from the caller's core.
 * One job runs at a time: a second caller of the same pool computes its job alone.
 */
export const supportSource = `#if defined(__linux__)
#define _GNU_SOURCE
#else
#define _POSIX_C_SOURCE 200112L
#endif
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HIDDEN __attribute__((visibility("hidden")))
#define EXPORT __attribute__((visibility("default")))

typedef void (*tenon_kernel)(void* const* p, const long long* n, long long begin, long long end, char* scratch);

/* In thirds of nanoseconds, as kernels estimate their work. */
enum { MIN_PARALLEL = 36000, MIN_CHUNK = 9000 };
/* The share of what is left of a part that is taken at once. */
enum { LEFT_PER_CHUNK = 4 };
/* Spinning: rounds of one pause each, between regions and within them. */
enum { SPIN_IDLE = 30000, SPIN_BUSY = 60000, SPIN_YIELD = 512 };

/* Low bits of the state: workers in the job. Then: open for joining, shut down. Above: number of the job. */
#define ACTIVE UINT64_C(0xffff)
#define OPEN UINT64_C(0x10000)
#define STOP UINT64_C(0x20000)
#define JOB UINT64_C(0x40000)

typedef struct tenon_pool tenon_pool;
/* The part of a job that is a thread's own. */
struct tenon_part { _Alignas(64) _Atomic int64_t next; int64_t end; };
struct tenon_worker { tenon_pool* pool; pthread_t thread; char* scratch; int64_t scratch_bytes; };
struct tenon_pool {
  _Alignas(64) _Atomic uint64_t state;
  _Alignas(64) _Atomic int busy;
  _Atomic int sleepers;
  _Atomic int waiting;
  /* Regions that run. */
  _Atomic int regions;
  int threads;
  int spin;
  int started;
  struct tenon_worker* workers;
  struct tenon_part* parts;
  pthread_mutex_t lock;
  pthread_cond_t wake;
  pthread_cond_t finished;
#if defined(__linux__)
  cpu_set_t cores;
  /* Of the last caller; -1: there was none. */
  int core;
#endif
  tenon_kernel kernel;
  void* const* p;
  const long long* n;
  int64_t extent, grain, scratch_bytes;
};

HIDDEN unsigned long long tenon_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (unsigned long long)t.tv_sec * 1000000000ull + (unsigned long long)t.tv_nsec;
}

HIDDEN char* tenon_allocate(long long bytes) {
  void* memory = 0;
  return posix_memalign(&memory, 64, bytes > 0 ? (size_t)bytes : 64) ? 0 : memory;
}

HIDDEN void tenon_release(char* memory) { free(memory); }

/*
 * One round of waiting. Systems like to start a woken thread on the core of the thread that woke it, and leave that one waiting there even
 * where another core rests: so who spins on its core lets it go on from time to time.
 */
static inline void pause_briefly(int round) {
  if (round % SPIN_YIELD == SPIN_YIELD - 1) {
    sched_yield();
    return;
  }
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
  __asm__ __volatile__("yield");
#endif
}

/* How long to spin for something that has not happened in so many rounds. */
static inline int patient(tenon_pool* pool, int rounds) {
  return pool->spin && (rounds < SPIN_IDLE || (rounds < SPIN_BUSY && atomic_load_explicit(&pool->regions, memory_order_relaxed) > 0));
}

HIDDEN void tenon_begin(tenon_pool* pool) {
  if (pool) atomic_fetch_add_explicit(&pool->regions, 1, memory_order_relaxed);
}

HIDDEN void tenon_end(tenon_pool* pool) {
  if (pool) atomic_fetch_sub_explicit(&pool->regions, 1, memory_order_relaxed);
}

/*
 * Chunks of the thread's own part, one after the other, so that what they share stays in its cache and what it fetches ahead
 * is its own; then those that other threads have not come to. Chunks become smaller towards the end of a part: parts take different
 * times (a narrow last tile, a core that was taken away), and what is left of the longer one is shared.
 */
static void run_chunks(tenon_pool* pool, int self, char* scratch) {
  const int64_t grain = pool->grain;
  for (int i = 0; i < pool->threads; i++) {
    struct tenon_part* part = &pool->parts[(self + i) % pool->threads];
    const int64_t end = part->end;
    int64_t begin = atomic_load_explicit(&part->next, memory_order_relaxed);
    while (begin < end) {
      const int64_t share = (end - begin) / LEFT_PER_CHUNK, chunk = share > grain ? share : grain, next = end - begin < chunk ? end : begin + chunk;
      if (!atomic_compare_exchange_weak_explicit(&part->next, &begin, next, memory_order_relaxed, memory_order_relaxed)) continue;
      pool->kernel(pool->p, pool->n, begin, next, scratch);
      begin = atomic_load_explicit(&part->next, memory_order_relaxed);
    }
  }
}

/*
 * Bars workers from the core of the caller, which is busy, whatever the system thinks when it places them: else it may start one
 * behind the caller because the other core is about to rest, and leave it there for milliseconds. Where the caller comes to the core that a worker
 * is on, as callers on other threads may, the worker moves. By the one caller whose job it is.
 */
static void place_workers(tenon_pool* pool) {
#if defined(__linux__)
  const int core = sched_getcpu();
  if (core == pool->core) return;
  pool->core = core;
  if (core < 0 || core >= CPU_SETSIZE || CPU_COUNT(&pool->cores) < 2 || !CPU_ISSET(core, &pool->cores)) return;
  cpu_set_t others = pool->cores;
  CPU_CLR(core, &others);
  for (int i = 0; i < pool->started; i++) pthread_setaffinity_np(pool->workers[i].thread, sizeof others, &others);
#else
  (void)pool;
#endif
}

static void leave(tenon_pool* pool) {
  const uint64_t before = atomic_fetch_sub(&pool->state, 1);
  if ((before & ACTIVE) == 1 && !(before & OPEN) && atomic_load(&pool->waiting)) {
    pthread_mutex_lock(&pool->lock);
    pthread_cond_broadcast(&pool->finished);
    pthread_mutex_unlock(&pool->lock);
  }
}

static void* work(void* argument) {
  struct tenon_worker* self = argument;
  tenon_pool* pool = self->pool;
  uint64_t last = 0;
  for (;;) {
    uint64_t state = atomic_load(&pool->state);
    for (int i = 0; patient(pool, i) && !(state & STOP) && (!(state & OPEN) || state / JOB == last); i++) {
      pause_briefly(i);
      state = atomic_load(&pool->state);
    }
    if (!(state & STOP) && (!(state & OPEN) || state / JOB == last)) {
      pthread_mutex_lock(&pool->lock);
      atomic_fetch_add(&pool->sleepers, 1);
      for (;;) {
        state = atomic_load(&pool->state);
        if ((state & STOP) || ((state & OPEN) && state / JOB != last)) break;
        pthread_cond_wait(&pool->wake, &pool->lock);
      }
      atomic_fetch_sub(&pool->sleepers, 1);
      pthread_mutex_unlock(&pool->lock);
    }
    if (state & STOP) return 0;
    if (!atomic_compare_exchange_strong(&pool->state, &state, state + 1)) continue;
    last = state / JOB;
    int ready = 1;
    if (self->scratch_bytes < pool->scratch_bytes) {
      tenon_release(self->scratch);
      self->scratch = tenon_allocate(pool->scratch_bytes);
      self->scratch_bytes = self->scratch ? pool->scratch_bytes : 0;
      ready = self->scratch != 0;
    }
    if (ready) run_chunks(pool, (int)(self - pool->workers) + 1, self->scratch);
    leave(pool);
  }
}

EXPORT void tenon_pool_destroy(tenon_pool* pool) {
  if (!pool) return;
  pthread_mutex_lock(&pool->lock);
  atomic_fetch_or(&pool->state, STOP);
  pthread_cond_broadcast(&pool->wake);
  pthread_mutex_unlock(&pool->lock);
  for (int i = 0; i < pool->started; i++) {
    pthread_join(pool->workers[i].thread, 0);
    tenon_release(pool->workers[i].scratch);
  }
  pthread_cond_destroy(&pool->wake);
  pthread_cond_destroy(&pool->finished);
  pthread_mutex_destroy(&pool->lock);
  free(pool->workers);
  free(pool->parts);
  free(pool);
}

/* A pool of so many threads, the caller's included; null where memory or threads ran out. */
EXPORT tenon_pool* tenon_pool_create(int threads, int cores) {
  void* memory = 0;
  if (posix_memalign(&memory, 64, sizeof(tenon_pool))) return 0;
  tenon_pool* pool = memory;
  memset(pool, 0, sizeof *pool);
  pool->threads = threads < 1 ? 1 : threads;
  pool->spin = pool->threads <= cores;
#if defined(__linux__)
  if (sched_getaffinity(0, sizeof pool->cores, &pool->cores)) CPU_ZERO(&pool->cores);
  pool->core = -1;
#endif
  pthread_mutex_init(&pool->lock, 0);
  pthread_cond_init(&pool->wake, 0);
  pthread_cond_init(&pool->finished, 0);
  pool->workers = calloc((size_t)pool->threads, sizeof *pool->workers);
  void* parts = 0;
  if (!posix_memalign(&parts, 64, (size_t)pool->threads * sizeof *pool->parts)) pool->parts = parts;
  for (int i = 0; pool->workers && pool->parts && i < pool->threads - 1; i++) {
    pool->workers[i].pool = pool;
    if (pthread_create(&pool->workers[i].thread, 0, work, &pool->workers[i])) break;
    pool->started++;
  }
  if (!pool->workers || !pool->parts || pool->started < pool->threads - 1) {
    tenon_pool_destroy(pool);
    return 0;
  }
  return pool;
}

HIDDEN void tenon_parallel(tenon_pool* pool, tenon_kernel kernel, void* const* p, const long long* n, long long extent,
                           long long cost, char* scratch, long long scratch_bytes) {
  if (extent <= 0) return;
  if (cost < 1) cost = 1;
  const int large = cost >= MIN_PARALLEL || extent >= (MIN_PARALLEL + cost - 1) / cost;
  if (!pool || pool->threads < 2 || extent < 2 || !large || atomic_exchange(&pool->busy, 1)) {
    kernel(p, n, 0, extent, scratch);
    return;
  }
  pool->kernel = kernel;
  pool->p = p;
  pool->n = n;
  pool->extent = extent;
  pool->grain = (MIN_CHUNK + cost - 1) / cost;
  pool->scratch_bytes = scratch_bytes;
  for (int i = 0; i < pool->threads; i++) {
    atomic_store_explicit(&pool->parts[i].next, extent * i / pool->threads, memory_order_relaxed);
    pool->parts[i].end = extent * (i + 1) / pool->threads;
  }
  place_workers(pool);
  /* Nobody is in a job now: the last one was closed and left by all. */
  atomic_fetch_add(&pool->state, JOB | OPEN);
  int sleepers = atomic_load(&pool->sleepers);
  if (sleepers > 0) {
    const int64_t wanted = (extent + pool->grain - 1) / pool->grain - 1;
    pthread_mutex_lock(&pool->lock);
    if (wanted >= sleepers) pthread_cond_broadcast(&pool->wake);
    else for (int64_t i = 0; i < wanted; i++) pthread_cond_signal(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
  }
  run_chunks(pool, 0, scratch);
  uint64_t state = atomic_fetch_and(&pool->state, ~OPEN) & ~OPEN;
  for (int i = 0; patient(pool, i) && (state & ACTIVE); i++) {
    pause_briefly(i);
    state = atomic_load(&pool->state);
  }
  if (state & ACTIVE) {
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->waiting, 1);
    while (atomic_load(&pool->state) & ACTIVE) pthread_cond_wait(&pool->finished, &pool->lock);
    atomic_store(&pool->waiting, 0);
    pthread_mutex_unlock(&pool->lock);
  }
  atomic_store(&pool->busy, 0);
}
`;
