// What a head remembers, and one query's look at it.
//
// Slots in blocks of 16. As float32 or bfloat16: keys [blocks][head width][16], so that a block's 16 scores are sums of
// whole vectors, and values [slots][head width]. As bytes, number / scale + 128 with a scale a slot, for products by
// fours (see matmul.h): keys [blocks][head width / 4][16][4], values [slots / 4][head width][4]. All is read front to
// back; queries and chances are then quantised to 15 bits, chances in stretches of 64 slots. The visible slots are a
// stretch of a ring. Scores and chances are float32.
#ifndef DESCANT_ATTENTION_H
#define DESCANT_ATTENTION_H

#include "matmul.h"

#define MOST_WIDTH 512    /* of a head whose keys and values are bytes: sums of products fit into 32 bits */
#define KEYS_AHEAD 1024

/* Bytes of a head's keys and values: slots and head width whole sixteens. */
static size_t head_bytes(int format, int slots, int width) {
    size_t n = (size_t)2 * (size_t)slots * (size_t)width;
    return format == FP32 ? n * 4 : format == BF16 ? n * 2 : n + (size_t)slots * 8;
}

INLINE vf load_as(int format, const uint8_t *p, size_t at) {
    if (format == FP32) return vf_load((const float *)p + at);
    return vf_from_bf16((const uint16_t *)p + at);
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

/* Scores up to `to` become e^(score - most), whose sum is returned. */
INLINE float chances_of(float *scores, int to, float most) {
    vf sum = vf_set(0.0f);
    for (int i = 0; i < to; i += LANES) {
        vf chance = vf_exp(vf_load(scores + i) - vf_set(most));
        sum = sum + chance;
        vf_store(scores + i, chance);
    }
    return vf_sum(sum);
}

INLINE void look(int format, const uint8_t *head, int slots, int width, int begin, int visible, const float *bias,
                 const float *q, float *scores, float *out) {
    int first_block = begin / LANES, ring = slots / LANES, from = begin % LANES, to = from + visible;
    const size_t size = format == FP32 ? 4 : 2, half = (size_t)slots * (size_t)width * size;
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
        if (bias) score = score + vf_load(bias + i * LANES);
        vi index = lane + vi_set(i * LANES);
        score = vf_pick((index >= vi_set(from)) & (index < vi_set(to)), score, never);
        vf_store(scores + i * LANES, score);
        top = vf_max(score, top);
    }
    float share = 1.0f / chances_of(scores, to, vf_top(top));
    const uint8_t *values = head + half;
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

#define STRETCH 64 /* slots whose chances share a scale: 64 * 255 * 16256 < 2^31 */

/* n numbers (whole sixteens, n <= STRETCH or the sums of products must fit otherwise) to 15 bits, in two bytes; their
 * scale is returned, their sum is in *total. */
INLINE float to_bytes(const float *x, int n, int8_t *high, int8_t *low, int32_t *total) {
    vf top = vf_set(0.0f);
    vi sum = vi_set(0);
    for (int i = 0; i < n; i += LANES) top = vf_max(vf_abs(vf_load(x + i)), top);
    float most = vf_top(top), inverse = most > 1e-30f ? TOP / most : 0.0f;
    for (int i = 0; i < n; i += LANES) {
        vi q = vi_round(vf_load(x + i) * vf_set(inverse)), h = (q + vi_set(64)) >> 7;
        vb h8 = __builtin_convertvector(h, vb), l8 = __builtin_convertvector(q - (h << 7), vb);
        memcpy(high + i, &h8, LANES);
        memcpy(low + i, &l8, LANES);
        sum += q;
    }
    int32_t parts[LANES];
    memcpy(parts, &sum, 64);
    *total = 0;
    for (int i = 0; i < LANES; i++) *total += parts[i];
    return most / TOP;
}

INLINE vi load_bytes(const uint8_t *p) {
    vi v;
    memcpy(&v, p, 64);
    return v;
}

/* out[16 n] += the values of some four slots, n vectors of dimensions, times chances in two bytes. */
INLINE void gather_bytes(const uint8_t *values, int width, int n, const int8_t *high, const int8_t *low, int slots,
                         vi *h, vi *l) {
    for (int s = 0; s < slots; s += 4, values += (size_t)4 * width)
        for (int j = 0; j < n; j++) {
            vi v = load_bytes(values + 64 * j);
            h[j] = dot4(h[j], v, high + s);
            l[j] = dot4(l[j], v, low + s);
        }
}

/* As `look`, over bytes. */
static void look_at_bytes(const uint8_t *head, int slots, int width, int begin, int visible, const float *bias,
                          const float *q, float *scores, float *out) {
    const int first_block = begin / LANES, ring = slots / LANES, from = begin % LANES, to = from + visible;
    const size_t half = (size_t)slots * (size_t)width;
    const float *scales = (const float *)(head + 2 * half);
    const vi lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const vf never = vf_set(-INFINITY);
    int8_t high[MOST_WIDTH], low[MOST_WIDTH];
    int32_t total;
    float scale = to_bytes(q, width, high, low, &total);
    vf top = never;
    for (int i = 0; i * LANES < to; i++) {
        const int block = (first_block + i) % ring;
        const uint8_t *keys = head + (size_t)block * LANES * (size_t)width;
        vi h[2] = {vi_set(0), vi_set(0)}, l[2] = {vi_set(-128 * total), vi_set(0)};
        for (int d = 0; d < width; d += 8, keys += 128)
            for (int j = 0; j < 2; j++) {
                vi v = load_bytes(keys + 64 * j);
                __builtin_prefetch(keys + 64 * j + KEYS_AHEAD, 0, 3);
                h[j] = dot4(h[j], v, high + d + 4 * j);
                l[j] = dot4(l[j], v, low + d + 4 * j);
            }
        vf score = __builtin_convertvector(((h[0] + h[1]) << 7) + (l[0] + l[1]), vf) * vf_set(scale);
        score = score * vf_load(scales + block * LANES);
        if (bias) score = score + vf_load(bias + i * LANES);
        vi index = lane + vi_set(i * LANES);
        score = vf_pick((index >= vi_set(from)) & (index < vi_set(to)), score, never);
        vf_store(scores + i * LANES, score);
        top = vf_max(score, top);
    }
    const float share = 1.0f / chances_of(scores, to, vf_top(top));
    for (int i = 0; i * LANES < to; i++) {
        const float *scale_of = scales + slots + (first_block + i) % ring * LANES;
        vf_store(scores + i * LANES, vf_load(scores + i * LANES) * vf_load(scale_of));
    }
    for (int d = 0; d < width; d += LANES) vf_store(out + d, vf_set(0.0f));
    for (int i = 0; i < to; i += STRETCH) {
        const int end = to - i < STRETCH ? round_up(to - i, LANES) : STRETCH;
        scale = to_bytes(scores + i, end, high, low, &total);
        for (int first = 0; first < width; first += 4 * LANES) {
            const int n = width - first < 4 * LANES ? (width - first) / LANES : 4;
            vi h[4], l[4];
            for (int j = 0; j < 4; j++) h[j] = vi_set(0), l[j] = vi_set(-128 * total);
            for (int s = 0; s < end; s += LANES) {
                const int block = (first_block + (i + s) / LANES) % ring;
                const uint8_t *values = head + half + (size_t)block * LANES * width + (size_t)first * 4;
                if (n == 4) gather_bytes(values, width, 4, high + s, low + s, LANES, h, l);
                else gather_bytes(values, width, n, high + s, low + s, LANES, h, l);
            }
            for (int j = 0; j < n; j++) {
                float *to_sum = out + first + j * LANES;
                vf whole = __builtin_convertvector((h[j] << 7) + l[j], vf);
                vf_store(to_sum, vf_fma(whole, vf_set(scale), vf_load(to_sum)));
            }
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
    default: look_at_bytes(head, slots, width, begin, visible, bias, q, scores, out); break;
    }
}

#endif
