// A frame of EnCodec's decoder in one call: what its stages do between a stream's start and its end.
//
// A stage is an operation on buffers. Time goes down, channels go across: [rows of before][rows of this frame][width],
// so that a convolution's window is one stretch of memory, and a stage a product of windows and weights. A transposed
// convolution whose kernel is twice its stride is a convolution over two inputs that gives `stride` outputs at once.
// What a buffer holds of before, and an LSTM's cell, is the stream's state: it comes in and goes out with each call.
//
// A frame's first stages read weights, megabytes, for one row each; the last ones compute, hundreds of rows with a
// few weights. Both are cut into pieces of some outputs of some rows. An output is summed over its window from front
// to back, whoever computes it and whatever else is in the batch.
#include "memory.h"
#include "pool.h"

enum { CONVOLVE, LSTM, SOUND };
enum { WHOLE, HALF };      /* weights as float32, as binary16 */
#define ROWS_AT_ONCE 4     /* whose sums stay in registers */
#define ROWS_A_PIECE 40
#define MOST_COLUMNS 64
#define INPUTS_AT_ONCE 64
#define MOST_CHANNELS 16   /* of sound */
#define WEIGHTS_AHEAD 2048

typedef struct {
    int32_t before, rows, width, batch;
    int64_t at;      /* in the state of a row of the batch: [before][width] */
    float *data;     /* [batch][before + rows][width], placed here */
} Buffer;

/* weights: CONVOLVE and LSTM: [outs / columns][inputs][columns], columns the largest of 64, 32 and 16 that goes into
 * outs; LSTM: inputs are the stage's own, then its last outputs; its outs are gates, [units / 16][4][16], input,
 * forget, candidate, output. SOUND: [channels][inputs] float32. bias: [outs]. Buffers by number, -1: none. */
typedef struct {
    const void *weights;
    const float *bias;
    int32_t kind, format, inputs, outs;
    int32_t from, rows;    /* windows begin at each of so many rows */
    int32_t to, bent;      /* where outputs go, and their ELU */
    int32_t skip, cell;    /* what is added to them; an LSTM's cell */
} Stage;

typedef struct {
    int stages, buffers, batch, hop, channels;
    int64_t state;         /* numbers of a row of the batch */
    Stage *stage;
    Buffer *buffer;
    Phase *phases;
    float *memory;
    size_t bytes;
    Pool *pool;
    Task task;
    float *wave;           /* of the call: [batch][channels][hop] */
} Codec;

static int columns_of(const Stage *s) { return s->outs % 64 == 0 ? 64 : s->outs % 32 == 0 ? 32 : 16; }

static int row_blocks(const Codec *c, const Stage *s) {
    return (s->rows * c->batch + ROWS_A_PIECE - 1) / ROWS_A_PIECE;
}

static int pieces_in(const Codec *c, const Stage *s) {
    return row_blocks(c, s) * (s->kind == SOUND ? 1 : s->outs / columns_of(s));
}

static size_t tile_size(const Stage *s) {
    return s->kind == SOUND ? 0 : (size_t)s->inputs * columns_of(s) * (s->format == HALF ? 2 : 4);
}

INLINE float *row_of(const Buffer *b, int in_batch, int row) {
    return b->data + ((size_t)in_batch * (b->before + b->rows) + row) * b->width;
}

/* Vectors of sums that stay in registers, for so many rows. */
#if W == 16 || defined(__aarch64__)
#define REGISTERS 16
#else
#define REGISTERS 8
#endif
INLINE int vectors_at_once(int rows, int columns) {
    const int most = REGISTERS / (rows == 3 ? 4 : rows);
    return most < columns / W ? most : columns / W;
}

/* sum[r][columns] += weights[n][columns] * x[r][n]; all but n and x constant where this is inlined. Inputs go in
 * stretches: a stretch's weights stay in the nearest cache while their columns are gone through. */
INLINE void multiply(int format, int columns, int rows, const uint8_t *weights, int n, const float *const *x,
                     float (*sum)[MOST_COLUMNS]) {
    const int size = format == HALF ? 2 : 4, vectors = vectors_at_once(rows, columns);
    for (int begin = 0; begin < n; begin += INPUTS_AT_ONCE) {
        const int end = begin + INPUTS_AT_ONCE < n ? begin + INPUTS_AT_ONCE : n;
        for (int at = 0; at < columns; at += vectors * W) {
            const uint8_t *w = weights + ((size_t)begin * columns + at) * size;
            vf kept[ROWS_AT_ONCE][REGISTERS];
            for (int r = 0; r < rows; r++)
                for (int v = 0; v < vectors; v++) kept[r][v] = vf_load(sum[r] + at + v * W);
            for (int i = begin; i < end; i++, w += columns * size) {
                if (at == 0)
                    for (int line = 0; line < columns * size; line += 64)
                        __builtin_prefetch(w + WEIGHTS_AHEAD + line, 0, 3);
                for (int v = 0; v < vectors; v++) {
                    const vf weight = format == HALF ? vf_from_fp16((const uint16_t *)w + v * W)
                                                     : vf_load((const float *)w + v * W);
                    for (int r = 0; r < rows; r++) kept[r][v] = vf_fma(weight, vf_set(x[r][i]), kept[r][v]);
                }
            }
            for (int r = 0; r < rows; r++)
                for (int v = 0; v < vectors; v++) vf_store(sum[r] + at + v * W, kept[r][v]);
        }
    }
}

#define BY_ROWS(format, columns)                                                           \
    switch (rows) {                                                                        \
    case 1: multiply(format, columns, 1, weights, n, x, sum); break;                       \
    case 2: multiply(format, columns, 2, weights, n, x, sum); break;                       \
    case 3: multiply(format, columns, 3, weights, n, x, sum); break;                       \
    default: multiply(format, columns, 4, weights, n, x, sum); break;                      \
    }
#define BY_COLUMNS(format)                                                                 \
    switch (columns) {                                                                     \
    case 16: BY_ROWS(format, 16) break;                                                    \
    case 32: BY_ROWS(format, 32) break;                                                    \
    default: BY_ROWS(format, 64) break;                                                    \
    }

static __attribute__((noinline)) void multiply_half(int columns, int rows, const uint8_t *weights, int n,
                                                    const float *const *x, float (*sum)[MOST_COLUMNS]) { BY_COLUMNS(HALF) }
static __attribute__((noinline)) void multiply_whole(int columns, int rows, const uint8_t *weights, int n,
                                                     const float *const *x, float (*sum)[MOST_COLUMNS]) { BY_COLUMNS(WHOLE) }

static void multiply_tile(int format, int columns, int rows, const uint8_t *weights, int n, const float *const *x,
                          float (*sum)[MOST_COLUMNS]) {
    if (format == HALF) multiply_half(columns, rows, weights, n, x, sum);
    else multiply_whole(columns, rows, weights, n, x, sum);
}

/* Some columns of rows `first` .. `last` - 1 of the batch, counted through. */
static void convolve(const Codec *c, const Stage *s, int tile, int first, int last) {
    const int columns = columns_of(s), at = tile * columns;
    const Buffer *from = &c->buffer[s->from];
    const uint8_t *weights = (const uint8_t *)s->weights + tile_size(s) * (size_t)tile;
    for (int row = first; row < last; row += ROWS_AT_ONCE) {
        int some = last - row < ROWS_AT_ONCE ? last - row : ROWS_AT_ONCE;
        const float *x[ROWS_AT_ONCE];
        float sum[ROWS_AT_ONCE][MOST_COLUMNS];
        for (int r = 0; r < some; r++) {
            x[r] = row_of(from, (row + r) / s->rows, (row + r) % s->rows);
            memcpy(sum[r], s->bias + at, sizeof(float) * (size_t)columns);
        }
        multiply_tile(s->format, columns, some, weights, s->inputs, x, sum);
        for (int r = 0; r < some; r++) {
            int b = (row + r) / s->rows;
            size_t here = (size_t)((row + r) % s->rows) * s->outs + at;
            const float *skip = s->skip < 0 ? NULL : row_of(&c->buffer[s->skip], b, 0) + here;
            float *to = s->to < 0 ? NULL : row_of(&c->buffer[s->to], b, c->buffer[s->to].before) + here;
            float *bent = s->bent < 0 ? NULL : row_of(&c->buffer[s->bent], b, c->buffer[s->bent].before) + here;
            for (int i = 0; i < columns; i += W) {
                vf y = skip ? vf_load(sum[r] + i) + vf_load(skip + i) : vf_load(sum[r] + i);
                if (to) vf_store(to + i, y);
                if (bent) vf_store(bent + i, vf_elu(y));
            }
        }
    }
}

/* Sixteen units of rows `first` .. `last` - 1 of the batch; the last outputs are row 0 of `to`, the cell's are of `cell`. */
static void remember_more(const Codec *c, const Stage *s, int tile, int first, int last) {
    const Buffer *from = &c->buffer[s->from], *to = &c->buffer[s->to], *cell = &c->buffer[s->cell];
    const uint8_t *weights = (const uint8_t *)s->weights + tile_size(s) * (size_t)tile;
    const int own = from->width, at = tile * LANES;
    for (int row = first; row < last; row += ROWS_AT_ONCE) {
        int some = last - row < ROWS_AT_ONCE ? last - row : ROWS_AT_ONCE;
        const float *x[ROWS_AT_ONCE], *h[ROWS_AT_ONCE];
        float gates[ROWS_AT_ONCE][MOST_COLUMNS];
        for (int r = 0; r < some; r++) {
            x[r] = row_of(from, row + r, from->before);
            h[r] = row_of(to, row + r, 0);
            memcpy(gates[r], s->bias + tile * MOST_COLUMNS, sizeof gates[r]);
        }
        multiply_tile(s->format, MOST_COLUMNS, some, weights, own, x, gates);
        multiply_tile(s->format, MOST_COLUMNS, some, weights + (size_t)own * MOST_COLUMNS * (s->format == HALF ? 2 : 4),
                      s->inputs - own, h, gates);
        for (int r = 0; r < some; r++) {
            const float *skip = s->skip < 0 ? NULL : row_of(&c->buffer[s->skip], row + r, 0) + at;
            const Buffer *bent = s->bent < 0 ? NULL : &c->buffer[s->bent];
            for (int i = 0; i < LANES; i += W) {
                const float *gate = gates[r] + i;
                vf kept = vf_sigmoid(vf_load(gate + LANES)) * vf_load(row_of(cell, row + r, 0) + at + i);
                vf now = kept + vf_sigmoid(vf_load(gate)) * vf_tanh(vf_load(gate + 2 * LANES));
                vf_store(row_of(cell, row + r, 1) + at + i, now);
                vf y = vf_sigmoid(vf_load(gate + 3 * LANES)) * vf_tanh(now);
                vf_store(row_of(to, row + r, 1) + at + i, y);
                if (skip) y = y + vf_load(skip + i);
                if (bent) vf_store(row_of(bent, row + r, bent->before) + at + i, vf_elu(y));
            }
        }
    }
}

/* Samples: a window's weighted sum each. */
static void sound(const Codec *c, const Stage *s, int first, int last) {
    const Buffer *from = &c->buffer[s->from];
    for (int row = first; row < last; row++) {
        int b = row / s->rows, t = row % s->rows;
        const float *x = row_of(from, b, t);
        for (int ch = 0; ch < s->outs; ch++) {
            const float *w = (const float *)s->weights + (size_t)ch * s->inputs;
            vf sum[4] = {vf_set(0.0f), vf_set(0.0f), vf_set(0.0f), vf_set(0.0f)};
            int i = 0;
            for (; i + 4 * W <= s->inputs; i += 4 * W)
                for (int j = 0; j < 4; j++) sum[j] = vf_fma(vf_load(x + i + j * W), vf_load(w + i + j * W), sum[j]);
            for (; i < s->inputs; i += W) sum[0] = vf_fma(vf_load(x + i), vf_load(w + i), sum[0]);
            float y = vf_sum((sum[0] + sum[1]) + (sum[2] + sum[3])) + s->bias[ch];
            c->wave[((size_t)b * c->channels + ch) * c->hop + t] = y;
        }
    }
}

static void frame(void *what, int thread, unsigned number) {
    Codec *c = what;
    for (int i = 0; i < c->stages; i++) {
        const Stage *s = &c->stage[i];
        const unsigned pieces = (unsigned)pieces_in(c, s);
        const int blocks = row_blocks(c, s), all = s->rows * c->batch;
        for (int piece; (piece = take_piece(&c->phases[i], number, pieces)) >= 0;) {
            int tile = piece / blocks, first = piece % blocks * ROWS_A_PIECE;
            int last = first + ROWS_A_PIECE < all ? first + ROWS_A_PIECE : all;
            if (s->kind == CONVOLVE) convolve(c, s, tile, first, last);
            else if (s->kind == LSTM) remember_more(c, s, tile, first, last);
            else sound(c, s, first, last);
            piece_done(c->pool, &c->phases[i], pieces);
        }
        const Stage *next = i + 1 < c->stages ? s + 1 : s;
        size_t ahead = c->pool->n > 1 ? tile_size(next) : 0;
        pool_wait(c->pool, &c->phases[i], number, pieces, (const char *)next->weights + ahead * (size_t)thread,
                  ahead < 65536 ? ahead : 65536);
    }
}

/* A decoder for `batch` rows whose stages and buffers are copied; weights stay the caller's. NULL without memory. */
EXPORT Codec *descant_codec_new(Pool *pool, const Stage *stages, int32_t n_stages, const Buffer *buffers,
                                int32_t n_buffers, int32_t batch, int32_t channels, int32_t hop, int64_t state) {
    Codec *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    *c = (Codec){.stages = n_stages, .buffers = n_buffers, .batch = batch, .hop = hop, .channels = channels,
                 .state = state, .pool = pool, .task = {frame, c}};
    for (int round = 0; round < 2; round++) { /* count, then place */
        Cut cutting = {(uint8_t *)c->memory, 0}, *p = &cutting;
        c->stage = cut(p, sizeof(Stage) * (size_t)n_stages);
        c->buffer = cut(p, sizeof(Buffer) * (size_t)n_buffers);
        c->phases = cut(p, sizeof(Phase) * (size_t)n_stages);
        if (round) memcpy(c->stage, stages, sizeof(Stage) * (size_t)n_stages);
        for (int i = 0; i < n_buffers; i++) {
            Buffer b = buffers[i];
            b.batch = batch;
            b.data = cut(p, sizeof(float) * (size_t)batch * (size_t)(b.before + b.rows) * (size_t)b.width);
            if (round) c->buffer[i] = b;
        }
        if (!round && !(c->memory = pages(c->bytes = p->at))) return free(c), NULL;
    }
    return c;
}

EXPORT void descant_codec_free(Codec *c) {
    if (!c) return;
    pool_settle(c->pool);
    free_pages(c->memory, c->bytes);
    free(c);
}

/* One frame of each row: latent [batch][width], state [batch][state], which it changes -> wave [batch][channels][hop].
 * One call at a time. */
EXPORT void descant_codec_frame(Codec *c, const float *latent, float *state, float *wave) {
    unsigned number = pool_prepare(c->pool, c->phases, c->stages);
    for (int i = 0; i < c->buffers; i++)
        for (int b = 0; b < c->batch; b++)
            memcpy(row_of(&c->buffer[i], b, 0), state + (size_t)b * c->state + c->buffer[i].at,
                   sizeof(float) * (size_t)c->buffer[i].before * c->buffer[i].width);
    const Buffer *in = &c->buffer[0];
    for (int b = 0; b < c->batch; b++)
        memcpy(row_of(in, b, in->before), latent + (size_t)b * in->width, sizeof(float) * (size_t)in->width);
    c->wave = wave;
    pool_run(c->pool, &c->task, number);
    for (int i = 0; i < c->buffers; i++)
        for (int b = 0; b < c->batch; b++)
            memcpy(state + (size_t)b * c->state + c->buffer[i].at, row_of(&c->buffer[i], b, c->buffer[i].rows),
                   sizeof(float) * (size_t)c->buffer[i].before * c->buffer[i].width);
}
