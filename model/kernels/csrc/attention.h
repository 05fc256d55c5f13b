// What a head remembers, and one query's look at it.
//
// Slots in blocks of 16. As floats, whole or half: keys [blocks][head width][16], so that a block's 16 scores are sums of
// whole vectors, and values [slots][head width]. As bytes, number / scale + 128 with a scale a slot, for products by
// fours (see matmul.h): keys [blocks][head width / 4][16][4], values [slots / 4][head width][4]. All is read front to
// back; queries and chances are then quantised to 15 bits, chances in stretches of 64 slots. The visible slots are a
// stretch of a ring. Scores and chances are float32.
#ifndef DESCANT_ATTENTION_H
#define DESCANT_ATTENTION_H

#include "matmul.h"

#define MOST_WIDTH 512    /* of a head whose keys and values are bytes: sums of products fit into 32 bits */
#define KEYS_AHEAD 1024
#define VALUES_AHEAD 1024

/* Bytes of a head's keys and values: slots and head width whole sixteens. */
static size_t head_bytes(int format, int slots, int width) {
    size_t n = (size_t)2 * (size_t)slots * (size_t)width;
    return format == FP32 ? n * 4 : !of_bytes(format) ? n * 2 : n + (size_t)slots * 8;
}

INLINE vf load_as(int format, const uint8_t *p, size_t at) {
    if (format == FP32) return vf_load((const float *)p + at);
    return load_half(format, (const uint16_t *)p + at);
}

/* Remember a key and a value [width] in a slot. */
static void remember(int format, uint8_t *head, int slots, int width, int slot, const float *k, const float *v) {
    size_t half = (size_t)slots * (size_t)width, first = (size_t)(slot / LANES * LANES) * width + slot % LANES;
    if (format == FP32) {
        float *keys = (float *)head;
        for (int d = 0; d < width; d++) keys[first + (size_t)d * LANES] = k[d];
        memcpy(keys + half + (size_t)slot * width, v, (size_t)width * 4);
    } else if (!of_bytes(format)) {
        uint16_t *keys = (uint16_t *)head, *values = keys + half + (size_t)slot * width;
        for (int d = 0; d < width; d++)
            keys[first + (size_t)d * LANES] = half_of(format, k[d]), values[d] = half_of(format, v[d]);
    } else {
        uint8_t *keys = head + (size_t)(slot / LANES * LANES) * width + slot % LANES * 4;
        uint8_t *values = head + half + (size_t)(slot / 4 * 4) * width + slot % 4;
        float *scales = (float *)(head + 2 * half), most_k = 1e-30f, most_v = 1e-30f;
        for (int d = 0; d < width; d++) {
            most_k = fabsf(k[d]) > most_k ? fabsf(k[d]) : most_k;
            most_v = fabsf(v[d]) > most_v ? fabsf(v[d]) : most_v;
        }
        for (int d = 0; d < width; d++) {
            keys[(size_t)(d / 4) * 64 + d % 4] = (uint8_t)((int)rintf(k[d] * (127.0f / most_k)) + 128);
            values[(size_t)d * 4] = (uint8_t)((int)rintf(v[d] * (127.0f / most_v)) + 128);
        }
        scales[slot] = most_k / 127.0f;
        scales[slots + slot] = most_v / 127.0f;
    }
}

#define WIDEST (4 * LANES / W)         /* vectors of values that are summed in one go */
#define TURNS (W == LANES ? 2 : 1)    /* sums of each, so that enough of them do not wait */

/* out[W n] = chance-weighted values of the slots, n vectors of dimensions, a constant where this is inlined. */
INLINE void gather(int format, const uint8_t *values, int width, int n, const float *chances, int first_block,
                   int blocks_in_ring, int from, int to, float *out) {
    vf sum[TURNS][WIDEST];
    for (int t = 0; t < TURNS; t++)
        for (int j = 0; j < n; j++) sum[t][j] = vf_set(0.0f);
    const size_t size = format == FP32 ? 4 : 2;
    for (int i = from / LANES; i * LANES < to; i++) {
        int block = (first_block + i) % blocks_in_ring;
        int low = i * LANES < from ? from - i * LANES : 0, high = to - i * LANES < LANES ? to - i * LANES : LANES;
        size_t at = (size_t)block * LANES * (size_t)width;
        if (low == 0 && high == LANES) {
            for (int s = 0; s < LANES; s += TURNS)
                for (int t = 0; t < TURNS; t++) {
                    const size_t here = at + (size_t)(s + t) * width;
                    for (size_t line = 0; line < (size_t)n * W * size; line += 64)
                        __builtin_prefetch(values + here * size + line + VALUES_AHEAD, 0, 3);
                    const vf chance = vf_set(chances[i * LANES + s + t]);
                    for (int j = 0; j < n; j++)
                        sum[t][j] = vf_fma(load_as(format, values, here + (size_t)j * W), chance, sum[t][j]);
                }
            continue;
        }
        for (int s = low; s < high; s++) {
            const vf chance = vf_set(chances[i * LANES + s]);
            for (int j = 0; j < n; j++) {
                vf v = load_as(format, values, at + (size_t)s * width + (size_t)j * W);
                sum[s % TURNS][j] = vf_fma(v, chance, sum[s % TURNS][j]);
            }
        }
    }
    for (int t = 1; t < TURNS; t++)
        for (int j = 0; j < n; j++) sum[0][j] = sum[0][j] + sum[t][j];
    for (int j = 0; j < n; j++) vf_store(out + j * W, sum[0][j]);
}

/* Scores up to `to` become e^(score - most), whose sum is returned. */
INLINE float chances_of(float *scores, int to, float most) {
    vf sum = vf_set(0.0f);
    for (int i = 0; i < round_up(to, LANES); i += W) {
        vf chance = vf_exp(vf_load(scores + i) - vf_set(most));
        sum = sum + chance;
        vf_store(scores + i, chance);
    }
    return vf_sum(sum);
}

/* W scores from slot `at` on, those outside [from, to) never; `top` is the largest so far. */
INLINE vf keep_scores(vf score, int at, int from, int to, const float *bias, float *scores, vf top) {
    static const int32_t count[LANES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    if (bias) score = score + vf_load(bias + at);
    const vi index = vi_load(count) + vi_set(at);
    score = vf_pick((index >= vi_set(from)) & (index < vi_set(to)), score, vf_set(-INFINITY));
    vf_store(scores + at, score);
    return vf_max(score, top);
}

#define CHAINS (4 / PARTS ? 4 / PARTS : 1) /* sums of a score that do not wait for each other */

INLINE void look(int format, const uint8_t *head, int slots, int width, int begin, int visible, const float *bias,
                 const float *q, float *scores, float *out) {
    int first_block = begin / LANES, ring = slots / LANES, from = begin % LANES, to = from + visible;
    const size_t size = format == FP32 ? 4 : 2, half = (size_t)slots * (size_t)width * size;
    vf top = vf_set(-INFINITY);
    for (int i = 0; i * LANES < to; i++) {
        int block = (first_block + i) % ring;
        size_t at = (size_t)block * LANES * (size_t)width;
        vf part[CHAINS][PARTS];
        for (int j = 0; j < CHAINS; j++)
            for (int p = 0; p < PARTS; p++) part[j][p] = vf_set(0.0f);
        for (int d = 0; d < width; d += CHAINS)
            for (int j = 0; j < CHAINS; j++)
                for (int p = 0; p < PARTS; p++) {
                    if (p == 0 && (format == FP32 || j % 2 == 0))
                        __builtin_prefetch(head + (at + (size_t)(d + j) * LANES) * size + KEYS_AHEAD, 0, 3);
                    vf key = load_as(format, head, at + (size_t)(d + j) * LANES + p * W);
                    part[j][p] = vf_fma(key, vf_set(q[d + j]), part[j][p]);
                }
        for (int p = 0; p < PARTS; p++) {
            for (int j = 1; j < CHAINS; j *= 2)
                for (int k = 0; k + j < CHAINS; k += 2 * j) part[k][p] = part[k][p] + part[k + j][p];
            top = keep_scores(part[0][p], i * LANES + p * W, from, to, bias, scores, top);
        }
    }
    float share = 1.0f / chances_of(scores, to, vf_top(top));
    const uint8_t *values = head + half;
    for (int j = 0; j < width / W; j += WIDEST) {
        const uint8_t *v = values + (size_t)j * W * size;
        const int n = width / W - j < WIDEST ? width / W - j : WIDEST;
        if (n == WIDEST) gather(format, v, width, WIDEST, scores, first_block, ring, from, to, out + j * W);
        else gather(format, v, width, n, scores, first_block, ring, from, to, out + j * W);
    }
    for (int d = 0; d < width; d += W) vf_store(out + d, vf_load(out + d) * vf_set(share));
}

#define STRETCH 64 /* slots whose chances share a scale: 64 * 255 * TOP < 2^31 */

/* sum[n] += the values of some slots, n vectors of dimensions, times chances as codes. */
INLINE void gather_bytes(const uint8_t *values, int width, int n, const uint8_t *codes, int slots, Sum *sum) {
    for (int s = 0; s < slots; s += 4, values += (size_t)4 * width)
        for (int j = 0; j < n; j++) sum[j] = dot4(sum[j], vi_load(values + 4 * W * j), codes + 2 * s);
}

/* As `look`, over bytes. */
static void look_at_bytes(const uint8_t *head, int slots, int width, int begin, int visible, const float *bias,
                          const float *q, float *scores, float *out) {
    const int first_block = begin / LANES, ring = slots / LANES, from = begin % LANES, to = from + visible;
    const size_t half = (size_t)slots * (size_t)width;
    const float *scales = (const float *)(head + 2 * half);
    uint8_t codes[2 * MOST_WIDTH];
    int32_t total;
    float scale = encode(q, NULL, width, codes, &total);
    vf top = vf_set(-INFINITY);
    for (int i = 0; i * LANES < to; i++) {
        const int block = (first_block + i) % ring;
        const uint8_t *keys = head + (size_t)block * LANES * (size_t)width;
        Sum sum[2][PARTS];
        for (int p = 0; p < PARTS; p++)
            sum[0][p] = sum_from(vi_set(offset_of(128, total))), sum[1][p] = sum_from(vi_set(0));
        for (int d = 0; d < width; d += 8, keys += 128)
            for (int j = 0; j < 2; j++) {
                __builtin_prefetch(keys + 64 * j + KEYS_AHEAD, 0, 3);
                for (int p = 0; p < PARTS; p++)
                    sum[j][p] = dot4(sum[j][p], vi_load(keys + 64 * j + 4 * W * p), codes + 2 * d + 8 * j);
            }
        for (int p = 0; p < PARTS; p++) {
            vf score = __builtin_convertvector(sum_of(sum[0][p]) + sum_of(sum[1][p]), vf) * vf_set(scale);
            score = score * vf_load(scales + block * LANES + p * W);
            top = keep_scores(score, i * LANES + p * W, from, to, bias, scores, top);
        }
    }
    const float share = 1.0f / chances_of(scores, to, vf_top(top));
    for (int i = 0; i * LANES < to; i++) {
        const float *scale_of = scales + slots + (first_block + i) % ring * LANES;
        for (int p = 0; p < LANES; p += W)
            vf_store(scores + i * LANES + p, vf_load(scores + i * LANES + p) * vf_load(scale_of + p));
    }
    for (int d = 0; d < width; d += W) vf_store(out + d, vf_set(0.0f));
    for (int i = 0; i < to; i += STRETCH) {
        const int end = to - i < STRETCH ? round_up(to - i, LANES) : STRETCH;
        scale = encode(scores + i, NULL, end, codes, &total);
        for (int first = 0; first < width; first += 4 * W) {
            const int n = width - first < 4 * W ? (width - first) / W : 4;
            Sum sum[4];
            for (int j = 0; j < 4; j++) sum[j] = sum_from(vi_set(offset_of(128, total)));
            for (int s = 0; s < end; s += LANES) {
                const int block = (first_block + (i + s) / LANES) % ring;
                const uint8_t *values = head + half + (size_t)block * LANES * width + (size_t)first * 4;
                if (n == 4) gather_bytes(values, width, 4, codes + 2 * s, LANES, sum);
                else gather_bytes(values, width, n, codes + 2 * s, LANES, sum);
            }
            for (int j = 0; j < n; j++) {
                float *to_sum = out + first + j * W;
                vf whole = __builtin_convertvector(sum_of(sum[j]), vf);
                vf_store(to_sum, vf_fma(whole, vf_set(scale), vf_load(to_sum)));
            }
        }
    }
    for (int d = 0; d < width; d += W) vf_store(out + d, vf_load(out + d) * vf_set(share));
}

/* out[width] = what a query [width], already scaled, finds in `visible` slots of a head from `begin` on.
 * bias: added to the scores from `begin` on, which is then a multiple of 16, or NULL. scores: room for slots + 16. */
static void attend(int format, const uint8_t *head, int slots, int width, int begin, int visible, const float *bias,
                   const float *q, float *scores, float *out) {
    switch (format) {
    case FP32: look(FP32, head, slots, width, begin, visible, bias, q, scores, out); break;
    case FP16: look(FP16, head, slots, width, begin, visible, bias, q, scores, out); break;
    case BF16: look(BF16, head, slots, width, begin, visible, bias, q, scores, out); break;
    default: look_at_bytes(head, slots, width, begin, visible, bias, q, scores, out); break;
    }
}

#endif
