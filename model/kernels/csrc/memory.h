// Memory in huge pages, and how one stretch of it is handed out in pieces.
#ifndef DESCANT_MEMORY_H
#define DESCANT_MEMORY_H

#include <stdint.h>
#include <stdlib.h>
#if defined(__linux__) || defined(__APPLE__)
#include <sys/mman.h>
#endif

#define EXPORT __attribute__((visibility("default")))

static inline void *pages(size_t bytes) {
#if defined(__linux__) || defined(__APPLE__)
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
#if defined(MADV_HUGEPAGE)
    madvise(p, bytes, MADV_HUGEPAGE); /* a tenth of the time goes into finding pages of 4 kB */
#endif
    return p;
#else
    return calloc(bytes, 1);
#endif
}

static inline void free_pages(void *p, size_t bytes) {
    if (!p) return;
#if defined(__linux__) || defined(__APPLE__)
    munmap(p, bytes);
#else
    free(p);
#endif
}

/* Hand out pieces of one stretch of memory: first to count (base NULL), then to place. */
typedef struct { uint8_t *base; size_t at; } Cut;
static inline void *cut(Cut *c, size_t bytes) {
    void *p = c->base ? c->base + c->at : NULL;
    c->at += (bytes + 63) / 64 * 64;
    return p;
}

#endif
