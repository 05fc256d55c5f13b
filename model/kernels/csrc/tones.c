// Frames through the tone codec's decoder: what model/codec/decoder_runner.py does, in one call, by the caller's thread.
//
// All memory is the caller's. Frames are rows, a few at a time, so that a whole decode reads the weights seldom; a
// row's result does not depend on how many there are. Weights lie in tiles of 16 outputs, [inputs][16], fp32 or fp16.
#include "matmul.h"
#include "memory.h"

#define FRAMES GROUP       /* rows at once */

typedef struct {
    const uint8_t *weights;
    const float *bias;     /* [outs], padded to whole tiles as the weights are */
    int32_t ins, outs;     /* whole sixteens; the head's outs are as many as are wanted */
} Linear;

typedef struct {
    const float *depthwise; /* [reach + 1][width] */
    const float *norm_weight, *norm_bias, *scale; /* [width] */
    Linear up, down;
} Block;

typedef struct {
    const Block *block;
    const float *norm_weight, *norm_bias;
    Linear inlet, head;
    int32_t blocks, width, inner, reach, format;
    float eps;
} Tones;

/* y[r] = 16 outputs of a tile for each row of x. */
static void tile_of(int format, const Matrix *m, const uint8_t *tile, const Rows *a, int n, float (*out)[LANES]) {
    static const int rows[GROUP] = {0, 1, 2, 3};
    if (format == FP16) { BY_ROWS(tile_float_product, FP16) }
    else { BY_ROWS(tile_float_product, FP32) }
}

enum { AS_IT_IS, GELU };

/* y [n][outs] = what a layer makes of x [n][ins]. */
static void layer(const Tones *t, const Linear *l, int n, const float *x, int what, float *y) {
    const Matrix m = {.width = l->ins};
    const Rows a = {.x = (float *)x, .width = l->ins};
    const size_t tile_bytes = (size_t)l->ins * LANES * (t->format == FP16 ? 2 : 4);
    float out[GROUP][LANES];
    for (int o = 0; o < l->outs; o += LANES) {
        tile_of(t->format, &m, l->weights + (size_t)(o / LANES) * tile_bytes, &a, n, out);
        const int some = l->outs - o < LANES ? l->outs - o : LANES;
        for (int r = 0; r < n; r++) {
            for (int p = 0; p < PARTS; p++) {
                vf v = vf_load(out[r] + p * W) + vf_load(l->bias + o + p * W);
                vf_store(out[r] + p * W, what == GELU ? vf_gelu(v) : v);
            }
            memcpy(y + (size_t)r * l->outs + o, out[r], (size_t)some * 4);
        }
    }
}

/* A block, in place on x [n][width]; joined [reach + n][width]: its history, then room for x. */
static void run_block(const Tones *t, const Block *b, int n, float *x, float *joined, float *normed, float *inner) {
    const int width = t->width;
    float *line = joined + (size_t)t->reach * width;
    memcpy(line, x, (size_t)n * width * 4);
    for (int r = 0; r < n; r++) {
        float *y = normed + (size_t)r * width;
        for (int c = 0; c < width; c += W) {
            vf sum = vf_set(0.0f);
            for (int k = 0; k <= t->reach; k++)
                sum = vf_fma(vf_load(joined + (size_t)(r + k) * width + c), vf_load(b->depthwise + (size_t)k * width + c), sum);
            vf_store(y + c, sum);
        }
        layer_norm(y, b->norm_weight, b->norm_bias, width, t->eps, y);
    }
    layer(t, &b->up, n, normed, GELU, inner);
    layer(t, &b->down, n, inner, AS_IT_IS, normed);
    for (int r = 0; r < n; r++)
        for (int c = 0; c < width; c += W) {
            float *here = x + (size_t)r * width + c;
            vf_store(here, vf_fma(vf_load(b->scale + c), vf_load(normed + (size_t)r * width + c), vf_load(here)));
        }
}

/* Floats that `desk` must hold. */
EXPORT int64_t descant_tones_desk(const Tones *t) {
    return (int64_t)FRAMES * (2 * t->width + t->inner) + (int64_t)(t->reach + FRAMES) * t->width;
}

/* latent [frames][inlet.ins] -> out [frames][head.outs]. histories [blocks][reach][width]: of the frames before, and
 * then of these. */
EXPORT void descant_tones(const Tones *t, const float *latent, int32_t frames, float *histories, float *out, float *desk) {
    const size_t width = (size_t)t->width, before = (size_t)t->reach * width;
    float *x = desk, *normed = x + FRAMES * width, *inner = normed + FRAMES * width;
    float *joined = inner + (size_t)FRAMES * t->inner;
    for (int first = 0; first < frames; first += FRAMES) {
        const int n = frames - first < FRAMES ? frames - first : FRAMES;
        layer(t, &t->inlet, n, latent + (size_t)first * t->inlet.ins, AS_IT_IS, x);
        for (int b = 0; b < t->blocks; b++) {
            float *history = histories + (size_t)b * before;
            memcpy(joined, history, before * 4);
            run_block(t, t->block + b, n, x, joined, normed, inner);
            memcpy(history, joined + n * width, before * 4);
        }
        for (int r = 0; r < n; r++) layer_norm(x + r * width, t->norm_weight, t->norm_bias, t->width, t->eps, x + r * width);
        layer(t, &t->head, n, x, AS_IT_IS, out + (size_t)first * t->head.outs);
    }
}
