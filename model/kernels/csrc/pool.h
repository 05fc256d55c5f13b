// A few threads that walk through a step together: phase after phase, each cut into pieces that anyone may take.
//
// A phase is over when its pieces are done, not when all threads have come: a thread that the system has put aside for
// another program holds nobody up unless it had taken a piece. It finds its phases over when it returns, or that the
// whole job is, and catches up. Who waits spins for some tens of microseconds and then sleeps: a phase is shorter than
// a system call, but a neighbour that wants the core must get it, and the scheduler moves a displaced thread to a core
// whose owner sleeps, not to one whose owner spins.
#ifndef DESCANT_POOL_H
#define DESCANT_POOL_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "memory.h"
#include "vec.h"

#define MAX_THREADS 64
#define SPIN_NS 60000

typedef struct { _Alignas(64) atomic_uint value; } Padded;
typedef struct { _Alignas(64) atomic_ullong next, done; } Phase; /* job number << 32 | pieces taken, and done */

typedef struct Pool Pool;
typedef struct { void (*job)(void *what, int thread, unsigned number); void *what; } Task;
typedef struct { Pool *pool; int thread; atomic_uint done; } Worker; /* done: the last job it has left */

struct Pool {
    Padded job_number;
    atomic_int sleepers;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    _Atomic(const Task *) task; /* in one piece: a late thread may not meet the next job with the last one's model */
    atomic_int stop;
    int n;
    pid_t owner;
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

/* Whether the pieces of a phase are all done, or its job is over altogether. */
INLINE int phase_over(Phase *phase, unsigned number, unsigned pieces) {
    unsigned long long done = atomic_load(&phase->done);
    return (unsigned)(done >> 32) != number || (unsigned)done >= pieces;
}

/* A piece that nobody has, or -1: there is none left, or the job is over. */
INLINE int take_piece(Phase *phase, unsigned number, unsigned pieces) {
    unsigned long long seen = atomic_load(&phase->next);
    do {
        if ((unsigned)(seen >> 32) != number || (unsigned)seen >= pieces) return -1;
    } while (!atomic_compare_exchange_weak(&phase->next, &seen, seen + 1));
    return (int)(unsigned)seen;
}

/* Either a sleeper sees the news before it sleeps, or it is counted and woken: both are ordered. */
static void pool_wake(Pool *pool) {
    if (atomic_load(&pool->sleepers) && getpid() == pool->owner) { /* a forked child has no workers */
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->mutex);
    }
}

/* A taken piece is done. */
INLINE void piece_done(Pool *pool, Phase *phase, unsigned pieces) {
    if ((unsigned)(atomic_fetch_add(&phase->done, 1) + 1) == pieces) pool_wake(pool);
}

/* Returns when a phase is over. Meanwhile [ahead, ahead + bytes) is drawn into the cache: the memory would idle. */
static inline void pool_wait(Pool *pool, Phase *phase, unsigned number, unsigned pieces, const char *ahead, size_t bytes) {
    if (phase_over(phase, number, pieces)) return;
    for (size_t at = 0; at < bytes; at += 256) {
        for (size_t line = at; line < at + 256; line += 64) __builtin_prefetch(ahead + line, 0, 2);
        if (phase_over(phase, number, pieces)) return;
    }
    int64_t end = now_ns() + SPIN_NS;
    for (unsigned i = 1; !phase_over(phase, number, pieces); i++) {
        relax();
        if (i % 32 == 0 && now_ns() > end) {
            pthread_mutex_lock(&pool->mutex);
            atomic_fetch_add(&pool->sleepers, 1);
            while (!phase_over(phase, number, pieces)) pthread_cond_wait(&pool->wake, &pool->mutex);
            atomic_fetch_sub(&pool->sleepers, 1);
            pthread_mutex_unlock(&pool->mutex);
            return;
        }
    }
}

/* The number of the next job. All its phases begin anew here: whoever still walks through the last job finds no piece
 * in them from now on, whatever it reads of what the caller now puts down for the new one. One job at a time. */
static inline unsigned pool_prepare(Pool *pool, Phase *phases, int n) {
    unsigned number = atomic_load(&pool->job_number.value) + 1;
    for (int i = 0; i < n; i++) {
        atomic_store(&phases[i].next, (unsigned long long)number << 32);
        atomic_store(&phases[i].done, (unsigned long long)number << 32);
    }
    return number;
}

/* Run a prepared job on all threads, this one included. It returns when its last phase is over. The task stays where
 * it is until the pool has settled. */
static inline void pool_run(Pool *pool, const Task *task, unsigned number) {
    atomic_store(&pool->task, task);
    atomic_store(&pool->job_number.value, number);
    pool_wake(pool);
    task->job(task->what, 0, number);
}

/* pool.c: */
EXPORT Pool *descant_pool_new(int32_t n);
EXPORT int32_t descant_pool_threads(const Pool *pool);
EXPORT void descant_pool_free(Pool *pool);

static inline void no_job(void *what, int thread, unsigned number) { (void)what, (void)thread, (void)number; }

/* Returns when no thread is inside a job any more, nor will enter one that was: what they used can be freed. */
static inline void pool_settle(Pool *pool) {
    static const Task nothing = {no_job, NULL};
    if (getpid() != pool->owner) return;
    unsigned number = atomic_load(&pool->job_number.value) + 1;
    pool_run(pool, &nothing, number);
    for (int i = 1; i < pool->n; i++)
        while (atomic_load(&pool->workers[i].done) != number) sched_yield();
}

#endif
