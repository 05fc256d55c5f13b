// Matrices as a step reads them, and their product with a few rows: 16 outputs at a time, one stream of bytes.
//
// A tile holds all weights of 16 outputs. fp32, fp16 and bf16: [inputs][16]. int8: the scales [blocks][16] (bf16, padded
// to 64 bytes), then [inputs / 4][16][4] bytes, each weight / scale + 128. int4: the same scales, then
// [inputs / 8][16][4] bytes, weight / scale + 8: inputs i .. i + 3 in the lower halves, i + 4 .. i + 7 in the upper.
// A scale belongs to an output and a block of inputs. Activations are quantised by row and block to 15 bits (see
// fours.h): a column's step waits for its weights, and the second product of bytes is free meanwhile.
//
// An input whose weights are large in all outputs would coarsen its block's scales: bytes hold weight / gain, a gain an
// input, and the activation, which has bits to spare, is multiplied by it. No output's error can grow by that.
//
// A few inputs carry most of what a trained layer says, and with it most of the error: of wide matrices the EXACT
// inputs that weigh most keep their weights as bf16, [EXACT][16] at the tile's end, and meet float32 activations.
//
// Sums of a block are whole numbers, and exact; only the sum over the blocks rounds, in their order.
#ifndef DESCANT_MATMUL_H
#define DESCANT_MATMUL_H

#include "fours.h"

enum { FP32, FP16, BF16, INT8, INT4 };
#define MAX_ROWS 16
#define GROUP 4            /* rows whose sums stay in registers */
#define MAX_BLOCK 128
#define EXACT 16
#define WIDE 128           /* narrower matrices have no exact inputs */

typedef struct {
    uint8_t *data;
    float *gain;           /* [width]: what inputs are multiplied by before they are quantised; 0: exact ones */
    int32_t *exact;        /* [exacts]: which inputs are exact */
    int outs, ins;         /* as given; padded to tiles of 16 and to whole blocks below */
    int tiles, width, block;
    int format, exacts;
    size_t tile_bytes;
} Matrix;

/* Rows as products read them; each has room for `width` inputs, of which those beyond the matrix's are zero. */
typedef struct {
    float *x;              /* [rows][width], formats of floats */
    uint8_t *codes;        /* [rows][width][2]: value = scale * code */
    float *scale;          /* [rows][width / block] */
    int32_t *offset;       /* what a block's sum of products begins with */
    float *exact;          /* [rows][EXACT] */
    int width;
} Rows;

INLINE int of_bytes(int format) { return format == INT8 || format == INT4; }
INLINE vf load_half(int format, const uint16_t *p) { return format == FP16 ? vf_from_fp16(p) : vf_from_bf16(p); }
INLINE uint16_t half_of(int format, float x) { return format == FP16 ? fp16_of(x) : bf16_of(x); }

static int round_up(int n, int unit) { return (n + unit - 1) / unit * unit; }

/* The shape of a packed matrix; its data is somewhere else. */
static Matrix matrix_of(int outs, int ins, int format, int block) {
    Matrix m = {.outs = outs, .ins = ins, .tiles = round_up(outs, LANES) / LANES, .block = block, .format = format};
    m.width = round_up(ins, block);
    m.exacts = of_bytes(format) && ins >= WIDE ? EXACT : 0;
    size_t weights = (size_t)m.width * LANES;
    size_t beside = (size_t)round_up(m.width / block * LANES * 2, 64) + (size_t)m.exacts * LANES * 2;
    m.tile_bytes = format == FP32 ? weights * 4 : !of_bytes(format) ? weights * 2
                   : format == INT8 ? beside + weights : beside + weights / 2;
    return m;
}

/* Ask for weights some way on: the next tiles follow, of this matrix or the next. */
#define AHEAD 4096
INLINE void ask_ahead(const uint8_t *w) { __builtin_prefetch(w + AHEAD, 0, 3); }

/* out[r] = 16 outputs of row r, for `n` rows (1 .. GROUP, a constant where this is inlined). */
INLINE void tile_bytes_product(const Matrix *m, const uint8_t *tile, const Rows *a, const int *rows, int n, int half,
                               float (*out)[LANES]) {
    const int blocks = m->width / m->block, step = half ? 8 : 4;
    const uint8_t *w = tile + round_up(blocks * LANES * 2, 64);
    const uint8_t *x[GROUP];
    vf sum[GROUP][PARTS];
    for (int r = 0; r < n; r++) {
        x[r] = a->codes + (size_t)rows[r] * a->width * 2;
        for (int p = 0; p < PARTS; p++) sum[r][p] = vf_set(0.0f);
    }
    for (int b = 0; b < blocks; b++) {
        Sum whole[GROUP][PARTS];
        for (int r = 0; r < n; r++)
            for (int p = 0; p < PARTS; p++)
                whole[r][p] = sum_from(vi_set(a->offset[rows[r] * (a->width / m->block) + b]));
        for (int i = b * m->block; i < (b + 1) * m->block; i += step, w += 64) {
            ask_ahead(w);
            for (int p = 0; p < PARTS; p++) {
                const vi v = vi_load(w + p * 4 * W);
                const vi first = half ? v & vi_set(0x0f0f0f0f) : v;
                for (int r = 0; r < n; r++) whole[r][p] = dot4(whole[r][p], first, x[r] + 2 * i);
                if (half) {
                    const vi second = (vi)((vu)v >> 4) & vi_set(0x0f0f0f0f);
                    for (int r = 0; r < n; r++) whole[r][p] = dot4(whole[r][p], second, x[r] + 2 * i + 8);
                }
            }
        }
        for (int p = 0; p < PARTS; p++) {
            const vf scale = vf_from_bf16((const uint16_t *)tile + b * LANES + p * W);
            for (int r = 0; r < n; r++) {
                vf number = __builtin_convertvector(sum_of(whole[r][p]), vf);
                sum[r][p] = vf_fma(number, scale * vf_set(a->scale[rows[r] * (a->width / m->block) + b]), sum[r][p]);
            }
        }
    }
    for (int e = 0; e < m->exacts; e++, w += 2 * LANES)
        for (int p = 0; p < PARTS; p++) {
            const vf v = vf_from_bf16((const uint16_t *)w + p * W);
            for (int r = 0; r < n; r++) sum[r][p] = vf_fma(v, vf_set(a->exact[rows[r] * EXACT + e]), sum[r][p]);
        }
    for (int r = 0; r < n; r++)
        for (int p = 0; p < PARTS; p++) vf_store(out[r] + p * W, sum[r][p]);
}

/* The same for floats: sums of even and odd inputs, then both. */
INLINE void tile_float_product(const Matrix *m, const uint8_t *tile, const Rows *a, const int *rows, int n, int format,
                               float (*out)[LANES]) {
    const float *x[GROUP];
    vf even[GROUP][PARTS], odd[GROUP][PARTS];
    for (int r = 0; r < n; r++) {
        x[r] = a->x + (size_t)rows[r] * a->width;
        for (int p = 0; p < PARTS; p++) even[r][p] = odd[r][p] = vf_set(0.0f);
    }
    const int size = format == FP32 ? 64 : 32;
    for (int i = 0; i < m->width; i += 2, tile += 2 * size) {
        ask_ahead(tile);
        if (format == FP32) ask_ahead(tile + 64);
        for (int p = 0; p < PARTS; p++) {
            const uint16_t *short_of = (const uint16_t *)tile + p * W;
            const float *whole_of = (const float *)tile + p * W;
            const vf v = format == FP32 ? vf_load(whole_of) : load_half(format, short_of);
            const vf w = format == FP32 ? vf_load(whole_of + LANES) : load_half(format, short_of + LANES);
            for (int r = 0; r < n; r++) {
                even[r][p] = vf_fma(v, vf_set(x[r][i]), even[r][p]);
                odd[r][p] = vf_fma(w, vf_set(x[r][i + 1]), odd[r][p]);
            }
        }
    }
    for (int r = 0; r < n; r++)
        for (int p = 0; p < PARTS; p++) vf_store(out[r] + p * W, even[r][p] + odd[r][p]);
}

#define BY_ROWS(product, flag)                                                 \
    switch (n) {                                                               \
    case 1: product(m, tile, a, rows, 1, flag, out); break;                    \
    case 2: product(m, tile, a, rows, 2, flag, out); break;                    \
    case 3: product(m, tile, a, rows, 3, flag, out); break;                    \
    default: product(m, tile, a, rows, 4, flag, out); break;                   \
    }

static __attribute__((noinline)) void tile_fp32(const Matrix *m, const uint8_t *tile, const Rows *a, const int *rows,
                                                int n, float (*out)[LANES]) { BY_ROWS(tile_float_product, FP32) }
static __attribute__((noinline)) void tile_fp16(const Matrix *m, const uint8_t *tile, const Rows *a, const int *rows,
                                                int n, float (*out)[LANES]) { BY_ROWS(tile_float_product, FP16) }
static __attribute__((noinline)) void tile_bf16(const Matrix *m, const uint8_t *tile, const Rows *a, const int *rows,
                                                int n, float (*out)[LANES]) { BY_ROWS(tile_float_product, BF16) }
static __attribute__((noinline)) void tile_int8(const Matrix *m, const uint8_t *tile, const Rows *a, const int *rows,
                                                int n, float (*out)[LANES]) { BY_ROWS(tile_bytes_product, 0) }
static __attribute__((noinline)) void tile_int4(const Matrix *m, const uint8_t *tile, const Rows *a, const int *rows,
                                                int n, float (*out)[LANES]) { BY_ROWS(tile_bytes_product, 1) }

/* The 16 outputs of a tile for the listed rows: out[j] is that of rows[j]. A tile is read from memory once. */
static void tile_product(const Matrix *m, int tile, const Rows *a, const int *rows, int n, float (*out)[LANES]) {
    const uint8_t *data = m->data + (size_t)tile * m->tile_bytes;
    for (int r = 0; r < n; r += GROUP) {
        int some = n - r < GROUP ? n - r : GROUP;
        switch (m->format) {
        case FP32: tile_fp32(m, data, a, rows + r, some, out + r); break;
        case FP16: tile_fp16(m, data, a, rows + r, some, out + r); break;
        case BF16: tile_bf16(m, data, a, rows + r, some, out + r); break;
        case INT8: tile_int8(m, data, a, rows + r, some, out + r); break;
        default: tile_int4(m, data, a, rows + r, some, out + r); break;
        }
    }
}

/* Make n numbers (whole blocks, from input `from` on) of row `row` ready for products with matrices as m. */
static void put_row(const Matrix *m, Rows *a, int row, int from, int n, const float *x) {
    if (!of_bytes(m->format)) {
        memcpy(a->x + (size_t)row * a->width + from, x, (size_t)n * 4);
        return;
    }
    for (int p = 0; p < m->exacts; p++)
        if (m->exact[p] >= from && m->exact[p] < from + n) a->exact[row * EXACT + p] = x[m->exact[p] - from];
    uint8_t *codes = a->codes + ((size_t)row * a->width + from) * 2;
    float *scale = a->scale + row * (a->width / m->block) + from / m->block;
    int32_t *offset = a->offset + row * (a->width / m->block) + from / m->block;
    for (int b = 0; b < n; b += m->block, scale++, offset++) {
        int32_t total;
        *scale = encode(x + b, m->gain + from + b, m->block, codes + 2 * b, &total);
        *offset = offset_of(m->format == INT8 ? 128 : 8, total);
    }
}

/* One output's block as bytes, [n]; returns its scale. Symmetric for int8; int4 gives its 16th level to the sign of
 * the largest. The scale is rounded away from zero, so that the largest fits. */
static float quantise_block(const float *w, int n, int format, uint8_t *out) {
    float most = 0.0f, peak = 0.0f;
    for (int i = 0; i < n; i++)
        if (fabsf(w[i]) > most) most = fabsf(w[i]), peak = w[i];
    float wanted = format == INT8 ? most / 127.0f : peak / -8.0f;
    uint16_t h = bf16_of(wanted);
    if (fabsf(float_of_bf16(h)) < fabsf(wanted)) h++;
    float scale = float_of_bf16(h), inverse = most > 1e-30f ? 1.0f / scale : 0.0f;
    int low = format == INT8 ? -127 : -8, top = format == INT8 ? 127 : 7, middle = format == INT8 ? 128 : 8;
    for (int i = 0; i < n; i++) {
        float q = rintf(w[i] * inverse);
        out[i] = (uint8_t)((q < low ? low : q > top ? top : (int)q) + middle);
    }
    return scale;
}

/* Gains: the root mean square of each input's weights, over that of all: equal inputs have gain 1. Exact are the
 * inputs whose activations (`usual`: their root mean squares, NULL: all alike) make the most of such weights. */
static void find_gains(const Matrix *m, const float *weights, int rows, const float *usual) {
    double all = 0.0;
    for (int i = 0; i < m->width; i++) m->gain[i] = 0.0f;
    for (int o = 0; o < rows; o++)
        for (int i = 0; i < m->ins; i++) m->gain[i] += weights[(size_t)o * m->ins + i] * weights[(size_t)o * m->ins + i];
    for (int i = 0; i < m->ins; i++) all += m->gain[i];
    float middle = sqrtf((float)(all / m->ins));
    for (int i = 0; i < m->width; i++) {
        float gain = sqrtf(m->gain[i]) / middle;
        m->gain[i] = gain > 1e-3f && gain < 1e3f ? gain : 1.0f; /* also where all are zero */
    }
    for (int p = 0; p < m->exacts; p++) {
        int best = -1;
        float most = -1.0f;
        for (int i = 0; i < m->ins; i++) {
            float weight = m->gain[i] * (usual ? usual[i] : 1.0f);
            if (weight > most && m->gain[i] > 0.0f) most = weight, best = i;
        }
        m->exact[p] = best;
        m->gain[best] = 0.0f;
    }
}

/* Pack weights [n, ins] float32; tile output o is row order[o] of them, or zero where that is -1. */
static void pack_matrix(const Matrix *m, const float *weights, int rows, const int32_t *order, const float *usual) {
    float block[MAX_BLOCK];
    uint8_t coded[MAX_BLOCK];
    memset(m->data, 0, m->tile_bytes * (size_t)m->tiles);
    if (of_bytes(m->format)) find_gains(m, weights, rows, usual);
    for (int o = 0; o < m->tiles * LANES; o++) {
        uint8_t *tile = m->data + (size_t)(o / LANES) * m->tile_bytes, *w = tile;
        int lane = o % LANES, source = order[o];
        if (of_bytes(m->format)) w += round_up(m->width / m->block * LANES * 2, 64);
        for (int b = 0; b < m->width; b += m->block) {
            for (int i = 0; i < m->block; i++)
                block[i] = source >= 0 && b + i < m->ins ? weights[(size_t)source * m->ins + b + i] : 0.0f;
            if (!of_bytes(m->format)) {
                for (int i = 0; i < m->block; i++) {
                    size_t at = (size_t)(b + i) * LANES + lane;
                    if (m->format == FP32) ((float *)w)[at] = block[i];
                    else ((uint16_t *)w)[at] = half_of(m->format, block[i]);
                }
                continue;
            }
            for (int i = 0; i < m->block; i++) block[i] = m->gain[b + i] > 0.0f ? block[i] / m->gain[b + i] : 0.0f;
            ((uint16_t *)tile)[b / m->block * LANES + lane] = bf16_of(quantise_block(block, m->block, m->format, coded));
            for (int i = 0; i < m->block; i++) {
                int at = b + i;
                if (m->format == INT8) w[(size_t)(at / 4) * 64 + lane * 4 + at % 4] = coded[i];
                else w[(size_t)(at / 8) * 64 + lane * 4 + at % 4] |= (uint8_t)(coded[i] << (at % 8 < 4 ? 0 : 4));
            }
        }
        uint16_t *exact = (uint16_t *)(tile + m->tile_bytes - (size_t)m->exacts * LANES * 2);
        for (int p = 0; p < m->exacts; p++)
            exact[p * LANES + lane] = bf16_of(source >= 0 ? weights[(size_t)source * m->ins + m->exact[p]] : 0.0f);
    }
}

#endif
