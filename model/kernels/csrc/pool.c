// The threads of a pool: how they come, what they do between jobs, how they go.
#include "memory.h"
#include "pool.h"

static void *pool_worker(void *arg) {
    Worker *me = arg;
    Pool *pool = me->pool;
    unsigned seen = 0;
    for (;;) {
        int64_t end = now_ns() + SPIN_NS;
        for (unsigned i = 1; atomic_load(&pool->job_number.value) == seen; i++) {
            relax();
            if (i % 32 == 0 && now_ns() > end) {
                pthread_mutex_lock(&pool->mutex);
                atomic_fetch_add(&pool->sleepers, 1);
                while (atomic_load(&pool->job_number.value) == seen) pthread_cond_wait(&pool->wake, &pool->mutex);
                atomic_fetch_sub(&pool->sleepers, 1);
                pthread_mutex_unlock(&pool->mutex);
            }
        }
        seen = atomic_load(&pool->job_number.value);
        if (atomic_load(&pool->stop)) return NULL;
        const Task *task = atomic_load(&pool->task);
        task->job(task->what, me->thread, seen);
        atomic_store(&me->done, seen);
    }
}

EXPORT void descant_pool_free(Pool *pool) {
    if (!pool) return;
    if (getpid() == pool->owner) {
        atomic_store(&pool->stop, 1);
        atomic_fetch_add(&pool->job_number.value, 1);
        pool_wake(pool);
        for (int i = 1; i < pool->n; i++) pthread_join(pool->threads[i], NULL);
    }
    free(pool);
}

/* n threads in all, the caller counted; fewer if the system gives no more; NULL without memory. Models of a process
 * share one and take turns: two would be in each other's way. */
EXPORT Pool *descant_pool_new(int32_t n) {
    Pool *pool = aligned_alloc(64, (sizeof(Pool) + 63) / 64 * 64);
    if (!pool) return NULL;
    memset(pool, 0, sizeof *pool);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pool->owner = getpid();
    int want = n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : n;
    pool->n = want; /* workers read it only in a job */
    for (int i = 1; i < want; i++) {
        pool->workers[i].pool = pool;
        pool->workers[i].thread = i;
        if (pthread_create(&pool->threads[i], NULL, pool_worker, &pool->workers[i])) {
            pool->n = i;
            break;
        }
    }
    return pool;
}

EXPORT int32_t descant_pool_threads(const Pool *pool) { return pool->n; }
