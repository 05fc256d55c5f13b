// Products of whole numbers by fours: bytes of weights, keys or values with activations in 15 bits.
//
// A code is a number / scale as a whole number of 15 bits. Four codes take eight bytes: their upper halves, then their
// lower ones (code = 128 * high + low, two products of bytes), or, where the machine multiplies pairs of 16 bits, the
// codes themselves, even ones first. Sums are whole numbers, and exact: 2^31 / (255 * TOP) = 518 products fit.
#ifndef DESCANT_FOURS_H
#define DESCANT_FOURS_H

#include "vec.h"

#define TOP 16256          /* 127 * 128 */
#if W == 8 && !defined(__AVXVNNI__)
#define PAIRS
#endif
#if defined(__ARM_FEATURE_DOTPROD)
#define SIGNED 128         /* the machine multiplies signed bytes: 128 is taken from each byte of w */
#else
#define SIGNED 0
#endif

/* W sums of products on the way. */
#if defined(PAIRS)
typedef struct { vi all; } Sum;
INLINE Sum sum_from(vi start) { return (Sum){start}; }
INLINE vi sum_of(Sum s) { return s.all; }
#else
typedef struct { vi high, low; } Sum;
INLINE Sum sum_from(vi start) { return (Sum){vi_set(0), start}; }
INLINE vi sum_of(Sum s) { return (s.high << 7) + s.low; }
#endif

/* What sums begin with, if `zero` was added to each byte of w and the codes' sum is `total`. */
INLINE int32_t offset_of(int zero, int32_t total) { return (SIGNED - zero) * total; }

INLINE int32_t four_bytes(const uint8_t *p) {
    int32_t four;
    memcpy(&four, p, 4);
    return four;
}

/* The products of W times four unsigned bytes of w with the same four codes. */
INLINE Sum dot4(Sum s, vi w, const uint8_t *codes) {
#if defined(PAIRS)
    __m256i even = _mm256_and_si256((__m256i)w, _mm256_set1_epi16(0xff)), odd = _mm256_srli_epi16((__m256i)w, 8);
    __m256i p = _mm256_madd_epi16(even, _mm256_set1_epi32(four_bytes(codes)));
    __m256i q = _mm256_madd_epi16(odd, _mm256_set1_epi32(four_bytes(codes + 4)));
    s.all += (vi)_mm256_add_epi32(p, q);
#elif W == 16
    s.high = (vi)_mm512_dpbusd_epi32((__m512i)s.high, (__m512i)w, _mm512_set1_epi32(four_bytes(codes)));
    s.low = (vi)_mm512_dpbusd_epi32((__m512i)s.low, (__m512i)w, _mm512_set1_epi32(four_bytes(codes + 4)));
#elif W == 8
    s.high = (vi)_mm256_dpbusd_avx_epi32((__m256i)s.high, (__m256i)w, _mm256_set1_epi32(four_bytes(codes)));
    s.low = (vi)_mm256_dpbusd_avx_epi32((__m256i)s.low, (__m256i)w, _mm256_set1_epi32(four_bytes(codes + 4)));
#elif defined(__ARM_FEATURE_DOTPROD)
    int8x16_t bytes = veorq_s8((int8x16_t)w, vdupq_n_s8(-128));
    s.high = (vi)vdotq_s32((int32x4_t)s.high, bytes, vreinterpretq_s8_s32(vdupq_n_s32(four_bytes(codes))));
    s.low = (vi)vdotq_s32((int32x4_t)s.low, bytes, vreinterpretq_s8_s32(vdupq_n_s32(four_bytes(codes + 4))));
#else
    const int8_t *x = (const int8_t *)codes;
    const vu u = (vu)w;
    const vi b0 = (vi)(u & 0xff), b1 = (vi)(u >> 8 & 0xff), b2 = (vi)(u >> 16 & 0xff), b3 = (vi)(u >> 24);
    s.high += b0 * x[0] + b1 * x[1] + b2 * x[2] + b3 * x[3];
    s.low += b0 * x[4] + b1 * x[5] + b2 * x[6] + b3 * x[7];
#endif
    return s;
}

/* W codes -> 2 W bytes, as dot4 reads them. */
INLINE void put_codes(vi q, uint8_t *to) {
#if defined(PAIRS)
    __m256i upper = _mm256_slli_epi32(_mm256_shuffle_epi32((__m256i)q, 0x0e), 16); /* x2 x3 over x0 x1 */
    __m256i pairs = _mm256_blend_epi16((__m256i)q, upper, 0xaa);
    pairs = _mm256_permute4x64_epi64(pairs, 0x08);
    _mm_storeu_si128((__m128i *)to, _mm256_castsi256_si128(pairs));
#else
    const vi h = (q + vi_set(64)) >> 7;
    const vb high = __builtin_convertvector(h, vb), low = __builtin_convertvector(q - (h << 7), vb);
#if W == 16
    _mm_storeu_si128((__m128i *)to, _mm_unpacklo_epi32((__m128i)high, (__m128i)low));
    _mm_storeu_si128((__m128i *)(to + 16), _mm_unpackhi_epi32((__m128i)high, (__m128i)low));
#else
    for (int i = 0; i < W; i += 4) {
        memcpy(to + 2 * i, (const int8_t *)&high + i, 4);
        memcpy(to + 2 * i + 4, (const int8_t *)&low + i, 4);
    }
#endif
#endif
}

/* n numbers (whole sixteens), each times its gain if there is one, to codes; returns their scale, *total their sum. */
INLINE float encode(const float *x, const float *gain, int n, uint8_t *codes, int32_t *total) {
    vf top = vf_set(0.0f);
    vi sum = vi_set(0);
    for (int i = 0; i < n; i += W) top = vf_max(vf_abs(gain ? vf_load(x + i) * vf_load(gain + i) : vf_load(x + i)), top);
    const float most = vf_top(top);
    const vf inverse = vf_set(most > 1e-30f ? TOP / most : 0.0f);
    for (int i = 0; i < n; i += W) {
        const vi q = vi_round((gain ? vf_load(x + i) * vf_load(gain + i) : vf_load(x + i)) * inverse);
        put_codes(q, codes + 2 * i);
        sum += q;
    }
    *total = vi_sum(sum);
    return most / TOP;
}

#endif
