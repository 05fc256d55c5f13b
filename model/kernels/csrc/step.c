// A whole column of the decoder in one call: all layers, the last norm, the heads, for rows that do not meet.
//
//     x += Out attend(Norm x);  x += CrossOut attend(Norm x, text), if it has a text;  x += Down gelu(Up Norm x)
//
// Each row has its own place in its own cache, so rows may be streams of different people at different positions, or
// columns of one stream that follow each other: a layer's keys are all there before its first query looks. Work is
// cut into pieces whose results do not depend on who computes them: heads with their queries, keys and values, or
// some tiles of outputs. Nothing is allocated in a step.
#include "attention.h"
#include "memory.h"
#include "pool.h"

enum { QKV, OUT, CROSS_Q, CROSS_OUT, UP, DOWN, CROSS_KV, KINDS };

typedef struct {
    int32_t dim, layers, heads, inner, logits, crosses;
    int32_t format, head_format, block, cache_format, threads;
    float eps;
} Shape;

/* One row of a call; strides and offsets in bytes. Pointers that may be NULL: text, bias, rotation, logits. */
typedef struct {
    const float *x;        /* [dim], with its position if that is added */
    const float *rotation; /* [head width / 2][2], cosine and sine */
    float *logits;         /* [logits] */
    uint8_t *cache;        /* of this row: [layers at cache_stride][heads][keys, values] */
    const uint8_t *text;   /* the same, text_slots slots a head */
    const float *bias;     /* [text_slots] */
    int64_t cache_stride, text_stride;
    int32_t slots, slot, begin, visible; /* this column's slot; the first that it sees, and how many */
    int32_t text_slots, unused;
} Row;

typedef struct {
    Matrix matrix[KINDS];
    float *norms[3]; /* weight, then bias: self, cross, feed-forward */
} Layer;

typedef struct { /* what each thread has for itself */
    Rows normed;       /* inputs of width dim */
    float *line;       /* one row */
    float *qkv;        /* [MAX_ROWS][3 * head width] */
    float *scores;
    int room;          /* of scores */
} Desk;

typedef struct {
    Shape shape;
    int width, padded, narrow, deep; /* of a head, and padded; of dim and inner, padded to blocks */
    int text_format;
    Layer *layers;
    Matrix heads;
    float *norm;
    uint8_t *arena, *extra;
    size_t arena_bytes, step_bytes, extra_bytes, kept; /* kept: where in `extra` what was packed begins */
    Desk desks[MAX_THREADS];
    Rows hidden;                 /* the feed-forward part's inner numbers, filled by all */
    float *x, *found;            /* [MAX_ROWS][narrow] */
    Phase *phases;
    Pool *pool;
    Task column, text, read;
    /* the call: */
    const Row *rows;
    int n_rows;
    /* Which rows have a text, and which want logits. The caller's rows may change as soon as the call is over, while a
     * late thread still walks through it: what decides which phases there are is kept here, and changes only after
     * pool_prepare. */
    int reading[MAX_ROWS], n_reading, wanted[MAX_ROWS], n_wanted;
    const float *states;         /* of a text to remember */
    uint8_t *memory;
    int tokens, text_slots;
} Model;

/* ---- memory ---- */

static void cut_rows(Cut *c, Rows *r, int width, int block) { /* for matrices of any format */
    size_t n = (size_t)MAX_ROWS * (size_t)width;
    r->width = width;
    r->x = cut(c, n * 4);
    r->codes = cut(c, n * 2);
    r->scale = cut(c, n / block * 4);
    r->offset = cut(c, n / block * 4);
    r->exact = cut(c, (size_t)MAX_ROWS * EXACT * 4);
}

static void cut_inputs(Cut *c, Matrix *x) { /* what a matrix knows of its inputs */
    x->gain = cut(c, (size_t)x->width * 4);
    x->exact = cut(c, (size_t)x->exacts * 4);
}

static int phases_of(const Shape *s) { return 6 * s->layers + 1; }

static void cut_extra(Model *m, Cut *c) {
    const Shape *s = &m->shape;
    for (int t = 0; t < s->threads; t++) {
        Desk *d = &m->desks[t];
        cut_rows(c, &d->normed, m->narrow, s->block);
        d->line = cut(c, (size_t)m->narrow * 4);
        d->qkv = cut(c, (size_t)MAX_ROWS * 4 * m->padded * 4);
    }
    cut_rows(c, &m->hidden, m->deep, s->block);
    m->x = cut(c, (size_t)MAX_ROWS * m->narrow * 4);
    m->found = cut(c, (size_t)MAX_ROWS * m->narrow * 4);
    m->phases = cut(c, (size_t)phases_of(s) * sizeof(Phase));
    m->kept = c->at;
    for (int l = 0; l < s->layers; l++)
        for (int k = 0; k < KINDS; k++) cut_inputs(c, &m->layers[l].matrix[k]);
    cut_inputs(c, &m->heads);
    for (int l = 0; l < s->layers; l++)
        for (int i = 0; i < 3; i++) m->layers[l].norms[i] = cut(c, (size_t)s->dim * 8);
    m->norm = cut(c, (size_t)s->dim * 8);
}

static void cut_arena(Model *m, Cut *c) {
    for (int l = 0; l < m->shape.layers; l++)
        for (int k = 0; k < CROSS_KV; k++) {
            Matrix *x = &m->layers[l].matrix[k];
            x->data = cut(c, x->tile_bytes * (size_t)x->tiles);
        }
    m->heads.data = cut(c, m->heads.tile_bytes * (size_t)m->heads.tiles);
    m->step_bytes = c->at;
    for (int l = 0; l < m->shape.layers; l++) { /* read once a text, not once a step */
        Matrix *x = &m->layers[l].matrix[CROSS_KV];
        x->data = cut(c, x->tile_bytes * (size_t)x->tiles);
    }
    cut(c, AHEAD); /* prefetches may run over the end */
}

EXPORT void descant_free(Model *m) {
    if (!m) return;
    pool_settle(m->pool);
    for (int t = 0; t < MAX_THREADS; t++) free(m->desks[t].scores);
    free_pages(m->arena, m->arena_bytes);
    free_pages(m->extra, m->extra_bytes);
    free(m->layers);
    free(m);
}

/* What the pool's threads do for a model: see below. */
static void column(void *what, int thread, unsigned number);
static void text_layers(void *what, int thread, unsigned number);
static void read_all(void *what, int thread, unsigned number);

/* A model without weights; NULL if the memory is not there. */
EXPORT Model *descant_new(Pool *pool, const Shape *shape) {
    Model *m = calloc(1, sizeof *m);
    if (!m) return NULL;
    m->pool = pool;
    m->shape = *shape;
    m->column = (Task){column, m}, m->text = (Task){text_layers, m}, m->read = (Task){read_all, m};
    Shape *s = &m->shape;
    s->threads = pool->n;
    m->width = s->dim / s->heads;
    m->padded = round_up(m->width, LANES);
    m->narrow = round_up(s->dim, s->block > LANES ? s->block : LANES);
    m->deep = round_up(s->inner, s->block > LANES ? s->block : LANES);
    m->text_format = of_bytes(s->cache_format) ? BF16 : s->cache_format;
    m->layers = calloc((size_t)s->layers, sizeof(Layer));
    if (!m->layers) return free(m), NULL;
    for (int l = 0; l < s->layers; l++) {
        Matrix *x = m->layers[l].matrix;
        int across = s->crosses ? s->heads * m->padded : 0;
        x[QKV] = matrix_of(3 * s->heads * m->padded, s->dim, s->format, s->block);
        x[OUT] = matrix_of(s->dim, s->dim, s->format, s->block);
        x[CROSS_Q] = matrix_of(across, s->dim, s->format, s->block);
        x[CROSS_OUT] = matrix_of(s->crosses ? s->dim : 0, s->dim, s->format, s->block);
        x[UP] = matrix_of(s->inner, s->dim, s->format, s->block);
        x[DOWN] = matrix_of(s->dim, s->inner, s->format, s->block);
        x[CROSS_KV] = matrix_of(2 * across, s->dim, s->format, s->block);
    }
    m->heads = matrix_of(s->logits, s->dim, s->head_format, s->block);
    Cut count = {NULL, 0};
    cut_arena(m, &count);
    m->arena_bytes = count.at;
    m->arena = pages(m->arena_bytes);
    count.at = 0;
    cut_extra(m, &count);
    m->extra_bytes = count.at;
    m->extra = pages(m->extra_bytes);
    if (!m->arena || !m->extra) return descant_free(m), NULL;
    cut_arena(m, &(Cut){m->arena, 0});
    cut_extra(m, &(Cut){m->extra, 0});
    return m;
}

EXPORT int64_t descant_bytes(const Model *m) { return (int64_t)(m->arena_bytes + m->extra_bytes); }
EXPORT int64_t descant_head_bytes(const Model *m, int32_t slots, int32_t text) {
    return (int64_t)head_bytes(text ? m->text_format : m->shape.cache_format, slots, m->padded);
}

/* All that was packed, in two stretches (0: matrices; 1: what is known of their inputs, and norms): the same bytes in
 * another model of this shape, on any number of threads, are the same weights. Bytes; *at is where. */
EXPORT int64_t descant_packed(Model *m, int32_t which, uint8_t **at) {
    *at = which ? m->extra + m->kept : m->arena;
    return (int64_t)(which ? m->extra_bytes - m->kept : m->arena_bytes);
}

/* Weights [rows, inputs] float32 of one matrix; order, usual: see pack_matrix. kind KINDS: the heads. */
EXPORT void descant_pack(Model *m, int32_t layer, int32_t kind, const float *weights, int32_t rows,
                         const int32_t *order, const float *usual) {
    pack_matrix(kind == KINDS ? &m->heads : &m->layers[layer].matrix[kind], weights, rows, order, usual);
}

/* which: 0 self, 1 cross, 2 feed-forward, 3 the last norm. */
EXPORT void descant_norm(Model *m, int32_t layer, int32_t which, const float *weight, const float *bias) {
    float *to = which == 3 ? m->norm : m->layers[layer].norms[which];
    memcpy(to, weight, (size_t)m->shape.dim * 4);
    memcpy(to + m->shape.dim, bias, (size_t)m->shape.dim * 4);
}

/* ---- a column ---- */

typedef struct {
    Model *m;
    Desk *desk;
    int thread;
    unsigned number;      /* of the job */
    int phase, pieces;    /* the one that is walked through, and how many it has */
    int list[MAX_ROWS];   /* the rows of this phase */
    int count;
} Walk;

/* Some 64 kB of tiles, so that a thread that is late costs little; whole blocks of the next product's input. */
static int tiles_a_piece(const Matrix *x, int whole) {
    int tiles = (int)(65536 / x->tile_bytes);
    tiles = tiles < 1 ? 1 : tiles;
    return round_up(tiles, whole);
}

static int next_of(Walk *w) { return take_piece(&w->m->phases[w->phase], w->number, (unsigned)w->pieces); }

static void done_with(Walk *w) { piece_done(w->m->pool, &w->m->phases[w->phase], (unsigned)w->pieces); }

/* The phase before is over; the first piece of the next one, or -1. `next` is read in it. */
static int begin_phase(Walk *w, int pieces, const Matrix *next, size_t first_bytes) {
    if (w->phase >= 0) {
        size_t bytes = first_bytes < 131072 ? first_bytes : 131072;
        pool_wait(w->m->pool, &w->m->phases[w->phase], w->number, (unsigned)w->pieces,
                  (const char *)next->data + first_bytes * (size_t)w->thread, w->m->pool->n > 1 ? bytes : 0);
    }
    w->phase++;
    w->pieces = pieces;
    return next_of(w);
}

/* Returns when the last phase of the job is over. */
static void end_job(Walk *w) {
    pool_wait(w->m->pool, &w->m->phases[w->phase], w->number, (unsigned)w->pieces, NULL, 0);
}

static int pieces_of(int all, int a_piece) { return (all + a_piece - 1) / a_piece; }

/* Norm of the listed rows into this thread's own copy: cheaper than another barrier. */
static void norm_rows(Walk *w, const float *norm, const Matrix *next) {
    Model *m = w->m;
    for (int j = 0; j < w->count; j++) {
        int r = w->list[j];
        layer_norm(m->x + (size_t)r * m->narrow, norm, norm + m->shape.dim, m->shape.dim, m->shape.eps, w->desk->line);
        memset(w->desk->line + m->shape.dim, 0, (size_t)(m->narrow - m->shape.dim) * 4);
        put_row(next, &w->desk->normed, r, 0, m->narrow, w->desk->line);
    }
}

/* x += matrix * a, for the listed rows. */
static void add_product(Walk *w, const Matrix *x, const Rows *a, int from_found) {
    Model *m = w->m;
    int some = tiles_a_piece(x, 1);
    int piece = begin_phase(w, pieces_of(x->tiles, some), x, x->tile_bytes * (size_t)some);
    if (piece >= 0 && from_found) {
        for (int j = 0; j < w->count; j++)
            put_row(x, &w->desk->normed, w->list[j], 0, m->narrow, m->found + (size_t)w->list[j] * m->narrow);
    }
    float out[MAX_ROWS][LANES];
    for (; piece >= 0; piece = next_of(w)) {
        int end = (piece + 1) * some < x->tiles ? (piece + 1) * some : x->tiles;
        for (int t = piece * some; t < end; t++) {
            tile_product(x, t, a, w->list, w->count, out);
            for (int j = 0; j < w->count; j++) {
                float *to = m->x + (size_t)w->list[j] * m->narrow + t * LANES;
                for (int p = 0; p < LANES; p += W) /* outputs beyond dim are zeros: so are the weights */
                    vf_store(to + p, vf_load(to + p) + vf_load(out[j] + p));
            }
        }
        done_with(w);
    }
}

static void rotate(float *x, const float *rotation, int width) {
    for (int d = 0; d < width; d += 2) {
        float even = x[d], odd = x[d + 1], c = rotation[d], s = rotation[d + 1];
        x[d] = even * c - odd * s;
        x[d + 1] = even * s + odd * c;
    }
}

static void self_attention(Walk *w, int l) {
    Model *m = w->m;
    const Shape *s = &m->shape;
    const Matrix *x = &m->layers[l].matrix[QKV];
    int tiles = 3 * m->padded / LANES, line = 3 * m->padded;
    int head = begin_phase(w, s->heads, x, x->tile_bytes * (size_t)tiles);
    if (head >= 0) norm_rows(w, m->layers[l].norms[0], x);
    size_t bytes = head_bytes(s->cache_format, 1, m->padded);
    float scale = 1.0f / sqrtf((float)m->width);
    float out[MAX_ROWS][LANES];
    for (; head >= 0; head = next_of(w)) {
        for (int t = 0; t < tiles; t++) {
            tile_product(x, head * tiles + t, &w->desk->normed, w->list, w->count, out);
            for (int j = 0; j < w->count; j++) memcpy(w->desk->qkv + (size_t)j * line + t * LANES, out[j], sizeof *out);
        }
        for (int j = 0; j < w->count; j++) {
            const Row *row = &m->rows[w->list[j]];
            float *q = w->desk->qkv + (size_t)j * line, *k = q + m->padded, *v = k + m->padded;
            if (row->rotation) rotate(q, row->rotation, m->width), rotate(k, row->rotation, m->width);
            uint8_t *cache = row->cache + (size_t)row->cache_stride * l + bytes * (size_t)row->slots * (size_t)head;
            remember(s->cache_format, cache, row->slots, m->padded, row->slot, k, v);
        }
        for (int j = 0; j < w->count; j++) {
            const Row *row = &m->rows[w->list[j]];
            float *q = w->desk->qkv + (size_t)j * line, *y = w->desk->qkv + (size_t)MAX_ROWS * line;
            for (int d = 0; d < m->padded; d++) q[d] *= scale;
            const uint8_t *cache = row->cache + (size_t)row->cache_stride * l + bytes * (size_t)row->slots * (size_t)head;
            attend(s->cache_format, cache, row->slots, m->padded, row->begin, row->visible, NULL, q, w->desk->scores, y);
            memcpy(m->found + (size_t)w->list[j] * m->narrow + head * m->width, y, (size_t)m->width * 4);
        }
        done_with(w);
    }
}

static void cross_attention(Walk *w, int l) {
    Model *m = w->m;
    const Matrix *x = &m->layers[l].matrix[CROSS_Q];
    int tiles = m->padded / LANES;
    int head = begin_phase(w, m->shape.heads, x, x->tile_bytes * (size_t)tiles);
    if (head >= 0) norm_rows(w, m->layers[l].norms[1], x);
    float scale = 1.0f / sqrtf((float)m->width);
    float out[MAX_ROWS][LANES];
    for (; head >= 0; head = next_of(w)) {
        for (int t = 0; t < tiles; t++) {
            tile_product(x, head * tiles + t, &w->desk->normed, w->list, w->count, out);
            for (int j = 0; j < w->count; j++)
                for (int p = 0; p < LANES; p += W)
                    vf_store(w->desk->qkv + (size_t)j * m->padded + t * LANES + p, vf_load(out[j] + p) * vf_set(scale));
        }
        for (int j = 0; j < w->count; j++) {
            const Row *row = &m->rows[w->list[j]];
            float *y = w->desk->qkv + (size_t)MAX_ROWS * 3 * m->padded;
            const uint8_t *text = row->text + (size_t)row->text_stride * l
                                  + head_bytes(m->text_format, row->text_slots, m->padded) * (size_t)head;
            attend(m->text_format, text, row->text_slots, m->padded, 0, row->text_slots, row->bias,
                   w->desk->qkv + (size_t)j * m->padded, w->desk->scores, y);
            memcpy(m->found + (size_t)w->list[j] * m->narrow + head * m->width, y, (size_t)m->width * 4);
        }
        done_with(w);
    }
}

/* The inner numbers, ready for the next product: a piece is whole blocks of them. */
static void feed_forward(Walk *w, int l) {
    Model *m = w->m;
    const Matrix *x = &m->layers[l].matrix[UP], *down = &m->layers[l].matrix[DOWN];
    int block = m->shape.block > LANES ? m->shape.block : LANES;
    int some = tiles_a_piece(x, block / LANES);
    int piece = begin_phase(w, pieces_of(m->deep, some * LANES), x, x->tile_bytes * (size_t)some);
    if (piece >= 0) norm_rows(w, m->layers[l].norms[2], x);
    float out[MAX_ROWS][LANES];
    float numbers[MAX_ROWS][MAX_BLOCK];
    for (; piece >= 0; piece = next_of(w)) {
        for (int from = piece * some * LANES; from < (piece + 1) * some * LANES && from < m->deep; from += block) {
            for (int t = 0; t < block / LANES; t++) {
                int tile = from / LANES + t;
                if (tile < x->tiles) tile_product(x, tile, &w->desk->normed, w->list, w->count, out);
                for (int j = 0; j < w->count; j++)
                    for (int p = 0; p < LANES; p += W)
                        vf_store(numbers[j] + t * LANES + p, tile < x->tiles ? vf_gelu(vf_load(out[j] + p)) : vf_set(0.0f));
            }
            for (int j = 0; j < w->count; j++) put_row(down, &m->hidden, w->list[j], from, block, numbers[j]);
        }
        done_with(w);
    }
}

static void all_rows(Walk *w) {
    w->count = w->m->n_rows;
    for (int r = 0; r < w->count; r++) w->list[r] = r;
}

static void some_rows(Walk *w, const int *list, int count) {
    w->count = count;
    memcpy(w->list, list, sizeof w->list);
}

static Walk walk_of(Model *m, int thread, unsigned number) {
    return (Walk){.m = m, .desk = &m->desks[thread], .thread = thread, .number = number, .phase = -1};
}

static void column(void *what, int thread, unsigned number) {
    Model *m = what;
    Walk walk = walk_of(m, thread, number), *w = &walk;
    for (int l = 0; l < m->shape.layers; l++) {
        Layer *layer = &m->layers[l];
        all_rows(w);
        self_attention(w, l);
        add_product(w, &layer->matrix[OUT], &w->desk->normed, 1);
        if (m->shape.crosses) {
            some_rows(w, m->reading, m->n_reading);
            if (w->count) {
                cross_attention(w, l);
                add_product(w, &layer->matrix[CROSS_OUT], &w->desk->normed, 1);
            }
        }
        all_rows(w);
        feed_forward(w, l);
        add_product(w, &layer->matrix[DOWN], &m->hidden, 0);
    }
    some_rows(w, m->wanted, m->n_wanted);
    if (!w->count) {
        end_job(w);
        return;
    }
    const Matrix *x = &m->heads;
    int some = tiles_a_piece(x, 1);
    int piece = begin_phase(w, pieces_of(x->tiles, some), x, x->tile_bytes * (size_t)some);
    if (piece >= 0) norm_rows(w, m->norm, x);
    float out[MAX_ROWS][LANES];
    for (; piece >= 0; piece = next_of(w)) {
        int end = (piece + 1) * some < x->tiles ? (piece + 1) * some : x->tiles;
        for (int t = piece * some; t < end; t++) {
            tile_product(x, t, &w->desk->normed, w->list, w->count, out);
            int kept = x->outs - t * LANES < LANES ? x->outs - t * LANES : LANES;
            for (int j = 0; j < w->count; j++)
                memcpy(m->rows[w->list[j]].logits + t * LANES, out[j], (size_t)kept * 4);
        }
        done_with(w);
    }
    end_job(w);
}

/* Room for scores: it grows with the longest stream seen, not in every step. No thread uses the old one: those that
 * are late take no more pieces after pool_prepare. */
static int make_room(Model *m, int slots) {
    for (int t = 0; t < m->shape.threads; t++) {
        Desk *d = &m->desks[t];
        if (d->room >= slots + LANES) continue;
        free(d->scores);
        d->scores = aligned_alloc(64, (size_t)(slots + LANES) * 4);
        d->room = d->scores ? slots + LANES : 0;
        if (!d->scores) return -1;
    }
    return 0;
}

/* One column of each of 1 .. MAX_ROWS rows. 0, or -1: no memory. One call at a time. */
EXPORT int32_t descant_step(Model *m, const Row *rows, int32_t n_rows) {
    unsigned number = pool_prepare(m->pool, m->phases, phases_of(&m->shape));
    int slots = 0;
    for (int r = 0; r < n_rows; r++) {
        slots = rows[r].slots > slots ? rows[r].slots : slots;
        slots = rows[r].text_slots > slots ? rows[r].text_slots : slots;
        float *x = m->x + (size_t)r * m->narrow;
        memcpy(x, rows[r].x, (size_t)m->shape.dim * 4);
        memset(x + m->shape.dim, 0, (size_t)(m->narrow - m->shape.dim) * 4);
    }
    if (make_room(m, slots)) return -1;
    m->rows = rows;
    m->n_rows = n_rows;
    m->n_reading = m->n_wanted = 0;
    for (int r = 0; r < n_rows; r++) {
        if (rows[r].text) m->reading[m->n_reading++] = r;
        if (rows[r].logits) m->wanted[m->n_wanted++] = r;
    }
    pool_run(m->pool, &m->column, number);
    return 0;
}

/* ---- a text ---- */

static void text_layers(void *what, int thread, unsigned number) {
    Model *m = what;
    Walk walk = walk_of(m, thread, number), *w = &walk;
    size_t bytes = head_bytes(m->text_format, m->text_slots, m->padded);
    int tiles = 2 * m->padded / LANES, line = 2 * m->padded;
    float out[MAX_ROWS][LANES];
    for (int l = begin_phase(w, m->shape.layers, NULL, 0); l >= 0; l = next_of(w)) {
        const Matrix *x = &m->layers[l].matrix[CROSS_KV];
        for (int first = 0; first < m->tokens; first += MAX_ROWS) {
            w->count = m->tokens - first < MAX_ROWS ? m->tokens - first : MAX_ROWS;
            for (int j = 0; j < w->count; j++) {
                w->list[j] = j;
                memset(w->desk->line, 0, (size_t)m->narrow * 4);
                memcpy(w->desk->line, m->states + (size_t)(first + j) * m->shape.dim, (size_t)m->shape.dim * 4);
                put_row(x, &w->desk->normed, j, 0, m->narrow, w->desk->line);
            }
            for (int head = 0; head < m->shape.heads; head++) {
                uint8_t *to = m->memory + bytes * (size_t)(l * m->shape.heads + head);
                for (int t = 0; t < tiles; t++) {
                    tile_product(x, head * tiles + t, &w->desk->normed, w->list, w->count, out);
                    for (int j = 0; j < w->count; j++) memcpy(w->desk->qkv + (size_t)j * line + t * LANES, out[j], sizeof *out);
                }
                for (int j = 0; j < w->count; j++) {
                    const float *k = w->desk->qkv + (size_t)j * line;
                    remember(m->text_format, to, m->text_slots, m->padded, first + j, k, k + m->padded);
                }
            }
        }
        done_with(w);
    }
    end_job(w);
}

/* Keys and values of a text: states [tokens][dim] -> memory [layers][heads][keys, values], zero at first. */
EXPORT int32_t descant_text(Model *m, const float *states, int32_t tokens, int32_t text_slots, uint8_t *memory) {
    unsigned number = pool_prepare(m->pool, m->phases, phases_of(&m->shape));
    if (make_room(m, text_slots)) return -1;
    m->states = states;
    m->tokens = tokens;
    m->text_slots = text_slots;
    m->memory = memory;
    pool_run(m->pool, &m->text, number);
    return 0;
}

/* ---- measuring ---- */

/* Pieces of a megabyte; what is read is summed, so that it is read. */
static void read_all(void *what, int thread, unsigned number) {
    Model *m = what;
    Walk walk = walk_of(m, thread, number), *w = &walk;
    const size_t piece_bytes = 1 << 20;
    int pieces = (int)(m->step_bytes / piece_bytes);
    vi sum[4][PARTS];
    memset(sum, 0, sizeof sum);
    for (int piece = begin_phase(w, pieces, NULL, 0); piece >= 0; piece = next_of(w)) {
        const uint8_t *p = m->arena + piece_bytes * (size_t)piece;
        for (const uint8_t *end = p + piece_bytes; p < end; p += 256)
            for (int i = 0; i < 4; i++) {
                ask_ahead(p + 64 * i);
                for (int k = 0; k < PARTS; k++) sum[i][k] += vi_load(p + 64 * i + 4 * W * k);
            }
        done_with(w);
    }
    for (int i = 1; i < 4; i++)
        for (int k = 0; k < PARTS; k++) sum[0][k] += sum[i][k];
    memcpy(m->desks[thread].line, sum[0], sizeof sum[0]);
    end_job(w);
}

/* Read a step's weights once with all threads and do nothing else; seconds. What a step is measured against. */
EXPORT double descant_read(Model *m) {
    int64_t begin = now_ns();
    pool_run(m->pool, &m->read, pool_prepare(m->pool, m->phases, phases_of(&m->shape)));
    return (double)(now_ns() - begin) * 1e-9;
}

EXPORT double descant_read_bytes(const Model *m) { return (double)(m->step_bytes >> 20 << 20); }

/* For tests: gelu and exp of n numbers, n a multiple of 16. */
EXPORT void descant_functions(const float *x, int32_t n, float *gelu, float *power) {
    for (int i = 0; i < n; i += W) vf_store(gelu + i, vf_gelu(vf_load(x + i))), vf_store(power + i, vf_exp(vf_load(x + i)));
}

EXPORT const char *descant_machine(void) {
#if W == 16
    return "avx512-vnni";
#elif W == 8 && defined(__AVXVNNI__)
    return "avx-vnni";
#elif W == 8
    return "avx2";
#elif defined(__ARM_FEATURE_DOTPROD)
    return "neon-dotprod";
#else
    return "portable";
#endif
}
