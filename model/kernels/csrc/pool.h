// A few threads that walk through a step together, and meet at barriers.
//
// Who waits spins for some tens of microseconds and then sleeps: a step's phases are shorter than a system call,
// but a neighbour that wants the core must get it, and the scheduler moves a displaced thread to a core whose owner
// sleeps, not to one whose owner spins.
#ifndef DESCANT_POOL_H
#define DESCANT_POOL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "vec.h"

#define MAX_THREADS 64
#define SPIN_NS 60000

typedef struct { _Alignas(64) atomic_uint value; } Padded;

typedef struct Pool Pool;
typedef void (*Job)(void *what, int thread, int n_threads);
typedef struct { Pool *pool; int thread; } Worker;

struct Pool {
    Padded job_number, phase, arrived;
    atomic_int sleepers;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    Job job;
    void *what;
    int n, stop;
    pid_t owner; /* a forked child has no workers */
    Worker workers[MAX_THREADS];
    pthread_t threads[MAX_THREADS];
};

INLINE void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Returns when *event is no longer `old`. Meanwhile [ahead, ahead + bytes) is drawn into the cache: the memory
 * would idle otherwise. */
static void pool_wait(Pool *pool, atomic_uint *event, unsigned old, const char *ahead, size_t bytes) {
    for (size_t at = 0; at < bytes; at += 64) {
        if (!(at & 511) && atomic_load_explicit(event, memory_order_acquire) != old) return;
        __builtin_prefetch(ahead + at, 0, 2);
    }
    int64_t end = now_ns() + SPIN_NS;
    for (unsigned i = 1; atomic_load_explicit(event, memory_order_acquire) == old; i++) {
        relax();
        if (i % 32 == 0 && now_ns() > end) {
            pthread_mutex_lock(&pool->mutex);
            atomic_fetch_add(&pool->sleepers, 1);
            while (atomic_load(event) == old) pthread_cond_wait(&pool->wake, &pool->mutex);
            atomic_fetch_sub(&pool->sleepers, 1);
            pthread_mutex_unlock(&pool->mutex);
            return;
        }
    }
}

/* Either a sleeper sees the new value before it sleeps, or it is counted and woken: both are ordered. */
static void pool_signal(Pool *pool, atomic_uint *event, unsigned value) {
    atomic_store(event, value);
    if (atomic_load(&pool->sleepers)) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->mutex);
    }
}

/* All threads of a job meet; while waiting, the memory this one reads next is fetched. */
static void pool_meet(Pool *pool, int n, const void *ahead, size_t bytes) {
    if (n == 1) return;
    unsigned phase = atomic_load(&pool->phase.value);
    if (atomic_fetch_add(&pool->arrived.value, 1) + 1 == (unsigned)n) {
        atomic_store(&pool->arrived.value, 0);
        pool_signal(pool, &pool->phase.value, phase + 1);
    } else {
        pool_wait(pool, &pool->phase.value, phase, ahead, bytes);
    }
}

static void *pool_worker(void *arg) {
    Worker *me = arg;
    Pool *pool = me->pool;
    unsigned seen = 0;
    for (;;) {
        pool_wait(pool, &pool->job_number.value, seen, NULL, 0);
        seen = atomic_load(&pool->job_number.value);
        if (pool->stop) return NULL;
        pool->job(pool->what, me->thread, pool->n);
        pool_meet(pool, pool->n, NULL, 0);
    }
}

/* Run a job on all threads, this one included; one job at a time (the caller sees to it). */
static void pool_run(Pool *pool, Job job, void *what) {
    if (pool->n == 1 || getpid() != pool->owner) {
        job(what, 0, 1);
        return;
    }
    pool->job = job;
    pool->what = what;
    pool_signal(pool, &pool->job_number.value, atomic_load(&pool->job_number.value) + 1);
    job(what, 0, pool->n);
    pool_meet(pool, pool->n, NULL, 0);
}

static void pool_free(Pool *pool) {
    if (!pool) return;
    if (getpid() == pool->owner) {
        pool->stop = 1;
        pool_signal(pool, &pool->job_number.value, atomic_load(&pool->job_number.value) + 1);
        for (int i = 1; i < pool->n; i++) pthread_join(pool->threads[i], NULL);
    }
    free(pool);
}

/* n threads in all, the caller counted; fewer if the system gives no more; NULL without memory. */
static Pool *pool_new(int n) {
    Pool *pool = aligned_alloc(64, (sizeof(Pool) + 63) / 64 * 64);
    if (!pool) return NULL;
    memset(pool, 0, sizeof *pool);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pool->owner = getpid();
    int want = n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : n;
    pool->n = want; /* workers read it only in a job */
    for (int i = 1; i < want; i++) {
        pool->workers[i] = (Worker){pool, i};
        if (pthread_create(&pool->threads[i], NULL, pool_worker, &pool->workers[i])) {
            pool->n = i;
            break;
        }
    }
    return pool;
}

/* The next piece of work nobody has: pieces 0 .. n_threads - 1 are taken in advance, by thread. */
INLINE int next_piece(Padded *counter) { return (int)atomic_fetch_add_explicit(&counter->value, 1, memory_order_relaxed); }

#endif
