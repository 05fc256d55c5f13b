// What a head remembers, and one query's look at it.
//
// Slots in blocks of 16. Keys [blocks][head width][16], so that a block's 16 scores are sums of whole vectors, and
// values [slots][head width]: both are read front to back. As float32, bfloat16 or int8 with a scale a slot. The
// visible slots are a stretch of a ring. Scores and chances are float32.
#ifndef DESCANT_ATTENTION_H
#define DESCANT_ATTENTION_H

#include "matmul.h"

/* Bytes of a head's keys and values: slots and head width whole sixteens. */
static size_t head_bytes(int format, int slots, int width) {
    size_t n = (size_t)2 * (size_t)slots * (size_t)width;
    return format == FP32 ? n * 4 : format == BF16 ? n * 2 : n + (size_t)slots * 8;
}

INLINE vf load_as(int format, const uint8_t *p, size_t at) {
    if (format == FP32) return vf_load((const float *)p + at);
    if (format == BF16) return vf_from_bf16((const uint16_t *)p + at);
    vb b;
    memcpy(&b, p + at, LANES);
#if defined(__AVX512F__)
    return (vf)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32((__m128i)b));
#endif
    return __builtin_convertvector(__builtin_convertvector(b, vi), vf);
}

/* Remember a key and a value [width] in a slot. */
static void remember(int format, uint8_t *head, int slots, int width, int slot, const float *k, const float *v) {
    size_t half = (size_t)slots * (size_t)width, first = (size_t)(slot / LANES * LANES) * width + slot % LANES;
    if (format == FP32) {
        float *keys = (float *)head;
        for (int d = 0; d < width; d++) keys[first + (size_t)d * LANES] = k[d];
        memcpy(keys + half + (size_t)slot * width, v, (size_t)width * 4);
    } else if (format == BF16) {
        uint16_t *keys = (uint16_t *)head, *values = keys + half + (size_t)slot * width;
        for (int d = 0; d < width; d++) keys[first + (size_t)d * LANES] = bf16_of(k[d]), values[d] = bf16_of(v[d]);
    } else {
        int8_t *keys = (int8_t *)head, *values = keys + half + (size_t)slot * width;
        float *scales = (float *)(head + 2 * half), most_k = 1e-30f, most_v = 1e-30f;
        for (int d = 0; d < width; d++) {
            most_k = fabsf(k[d]) > most_k ? fabsf(k[d]) : most_k;
            most_v = fabsf(v[d]) > most_v ? fabsf(v[d]) : most_v;
        }
        for (int d = 0; d < width; d++) {
            keys[first + (size_t)d * LANES] = (int8_t)rintf(k[d] * (127.0f / most_k));
            values[d] = (int8_t)rintf(v[d] * (127.0f / most_v));
        }
        scales[slot] = most_k / 127.0f;
        scales[slots + slot] = most_v / 127.0f;
    }
}

/* out[16 n] += chance-weighted values of the slots; even and odd slots apart, so that sums do not wait. */
INLINE void gather(int format, const uint8_t *values, int width, int n, const float *chances, int first_block,
                   int blocks_in_ring, int from, int to, float *out) {
    vf even[4], odd[4];
    for (int j = 0; j < n; j++) even[j] = odd[j] = vf_set(0.0f);
    for (int i = from / LANES; i * LANES < to; i++) {
        int block = (first_block + i) % blocks_in_ring;
        int low = i * LANES < from ? from - i * LANES : 0, high = to - i * LANES < LANES ? to - i * LANES : LANES;
        size_t at = (size_t)block * LANES * (size_t)width;
        if (low == 0 && high == LANES) {
            for (int s = 0; s < LANES; s += 2)
                for (int j = 0; j < n; j++) {
                    size_t here = at + (size_t)s * width + (size_t)j * LANES;
                    even[j] = vf_fma(load_as(format, values, here), vf_set(chances[i * LANES + s]), even[j]);
                    odd[j] = vf_fma(load_as(format, values, here + width), vf_set(chances[i * LANES + s + 1]), odd[j]);
                }
            continue;
        }
        for (int s = low; s < high; s++)
            for (int j = 0; j < n; j++) {
                vf *sum = s % 2 ? odd : even;
                vf v = load_as(format, values, at + (size_t)s * width + (size_t)j * LANES);
                sum[j] = vf_fma(v, vf_set(chances[i * LANES + s]), sum[j]);
            }
    }
    for (int j = 0; j < n; j++) vf_store(out + j * LANES, even[j] + odd[j]);
}

INLINE void look(int format, const uint8_t *head, int slots, int width, int begin, int visible, const float *bias,
                 const float *q, float *scores, float *out) {
    int first_block = begin / LANES, ring = slots / LANES, from = begin % LANES, to = from + visible;
    size_t half = (size_t)slots * (size_t)width * (format == FP32 ? 4 : format == BF16 ? 2 : 1);
    const float *scales = (const float *)(head + 2 * half);
    const vi lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const vf never = vf_set(-INFINITY);
    vf top = never;
    for (int i = 0; i * LANES < to; i++) {
        int block = (first_block + i) % ring;
        size_t at = (size_t)block * LANES * (size_t)width;
        vf part[4] = {vf_set(0.0f), vf_set(0.0f), vf_set(0.0f), vf_set(0.0f)};
        for (int d = 0; d < width; d += 4)
            for (int j = 0; j < 4; j++)
                part[j] = vf_fma(load_as(format, head, at + (size_t)(d + j) * LANES), vf_set(q[d + j]), part[j]);
        vf score = (part[0] + part[1]) + (part[2] + part[3]);
        if (format == INT8) score = score * vf_load(scales + block * LANES);
        if (bias) score = score + vf_load(bias + i * LANES);
        vi index = lane + vi_set(i * LANES);
        score = vf_pick((index >= vi_set(from)) & (index < vi_set(to)), score, never);
        vf_store(scores + i * LANES, score);
        top = vf_max(score, top);
    }
    float most = vf_top(top);
    vf sum = vf_set(0.0f);
    for (int i = 0; i * LANES < to; i++) {
        vf chance = vf_exp(vf_load(scores + i * LANES) - vf_set(most));
        sum = sum + chance;
        if (format == INT8) chance = chance * vf_load(scales + slots + (first_block + i) % ring * LANES);
        vf_store(scores + i * LANES, chance);
    }
    float share = 1.0f / vf_sum(sum);
    const uint8_t *values = head + half;
    size_t size = format == FP32 ? 4 : format == BF16 ? 2 : 1;
    for (int j = 0; j < width / LANES; j += 4) {
        const uint8_t *v = values + (size_t)j * LANES * size;
        switch (width / LANES - j) {
        case 1: gather(format, v, width, 1, scores, first_block, ring, from, to, out + j * LANES); break;
        case 2: gather(format, v, width, 2, scores, first_block, ring, from, to, out + j * LANES); break;
        case 3: gather(format, v, width, 3, scores, first_block, ring, from, to, out + j * LANES); break;
        default: gather(format, v, width, 4, scores, first_block, ring, from, to, out + j * LANES); break;
        }
    }
    for (int d = 0; d < width; d += LANES) vf_store(out + d, vf_load(out + d) * vf_set(share));
}

/* out[width] = what a query [width], already scaled, finds in `visible` slots of a head from `begin` on.
 * bias: added to the scores from `begin` on, which is then a multiple of 16, or NULL. scores: room for slots + 16. */
static void attend(int format, const uint8_t *head, int slots, int width, int begin, int visible, const float *bias,
                   const float *q, float *scores, float *out) {
    switch (format) {
    case FP32: look(FP32, head, slots, width, begin, visible, bias, q, scores, out); break;
    case BF16: look(BF16, head, slots, width, begin, visible, bias, q, scores, out); break;
    default: look(INT8, head, slots, width, begin, visible, bias, q, scores, out); break;
    }
}

#endif
