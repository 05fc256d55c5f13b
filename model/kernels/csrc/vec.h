// A machine's vectors, W numbers wide, the same on every machine: exp, gelu, elu, tanh, layer norm.
//
// Written with the compiler's vector extensions, at the width of the machine's registers: wider ones would live in
// memory. What is laid out in memory goes by LANES, which every W divides. Only products of bytes, conversions and
// fused multiply-adds name instructions. The order of every sum is fixed here and nowhere else, so that a row's
// result never depends on how many rows or threads there are; contraction is off (see build.py) for the same reason.
#ifndef DESCANT_VEC_H
#define DESCANT_VEC_H

#include <math.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#if defined(__AVX512F__) && defined(__AVX512VNNI__) /* without products of bytes the halves are as quick */
#define W 16
#define EACH(x) {x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}
#elif defined(__AVX2__)
#define W 8
#define EACH(x) {x, x, x, x, x, x, x, x}
#else
#define W 4
#define EACH(x) {x, x, x, x}
#endif

#define LANES 16
#define PARTS (LANES / W)
#define INLINE static inline __attribute__((always_inline))

typedef float vf __attribute__((vector_size(4 * W)));
typedef int32_t vi __attribute__((vector_size(4 * W)));
typedef uint32_t vu __attribute__((vector_size(4 * W)));
typedef uint16_t vh __attribute__((vector_size(2 * W)));
typedef int8_t vb __attribute__((vector_size(W)));

INLINE vf vf_set(float x) { return (vf)EACH(x); }
INLINE vi vi_set(int32_t x) { return (vi)EACH(x); }
INLINE vf vf_load(const float *p) { vf v; memcpy(&v, p, sizeof v); return v; }
INLINE vi vi_load(const void *p) { vi v; memcpy(&v, p, sizeof v); return v; }
INLINE void vf_store(float *p, vf v) { memcpy(p, &v, sizeof v); }
INLINE vf vf_pick(vi mask, vf yes, vf no) { return (vf)((mask & (vi)yes) | (~mask & (vi)no)); }
INLINE vf vf_max(vf a, vf b) {
#if W == 16
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif W == 8
    return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return vf_pick(a > b, a, b);
#endif
}
INLINE vf vf_abs(vf a) { return (vf)((vi)a & vi_set(0x7fffffff)); }

/* a * b + c: one rounding where the machine has it. */
INLINE vf vf_fma(vf a, vf b, vf c) {
#if W == 16
    return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif W == 8 && defined(__FMA__)
    return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
    return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

/* Sum and largest of the lanes, halves first. */
INLINE float vf_sum(vf v) {
    float x[W];
    vf_store(x, v);
    for (int n = W / 2; n; n /= 2)
        for (int i = 0; i < n; i++) x[i] += x[i + n];
    return x[0];
}
INLINE float vf_top(vf v) {
    float x[W];
    vf_store(x, v);
    for (int n = W / 2; n; n /= 2)
        for (int i = 0; i < n; i++) x[i] = x[i] > x[i + n] ? x[i] : x[i + n];
    return x[0];
}

INLINE int32_t vi_sum(vi v) {
    int32_t x[W], sum = 0;
    memcpy(x, &v, sizeof v);
    for (int i = 0; i < W; i++) sum += x[i];
    return sum;
}

/* bfloat16: the upper half of a float. */
INLINE vf vf_from_bf16(const uint16_t *p) {
    vh h;
    memcpy(&h, p, sizeof h);
#if W == 16
    return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)h), 16);
#elif W == 8
    return (vf)_mm256_slli_epi32(_mm256_cvtepu16_epi32((__m128i)h), 16);
#elif defined(__aarch64__)
    return (vf)vshlq_n_u32(vmovl_u16((uint16x4_t)h), 16);
#else
    return (vf)(__builtin_convertvector(h, vu) << 16);
#endif
}
INLINE uint16_t bf16_of(float x) { /* to nearest, ties to even; what is not a number stays so */
    uint32_t u;
    memcpy(&u, &x, 4);
    if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
INLINE float float_of_bf16(uint16_t h) {
    uint32_t u = (uint32_t)h << 16;
    float x;
    memcpy(&x, &u, 4);
    return x;
}

/* binary16, of finite numbers. */
INLINE vf vf_from_fp16(const uint16_t *p) {
    vh h;
    memcpy(&h, p, sizeof h);
#if W == 16
    return (vf)_mm512_cvtph_ps((__m256i)h);
#elif W == 8 && defined(__F16C__)
    return (vf)_mm256_cvtph_ps((__m128i)h);
#elif defined(__aarch64__)
    return (vf)vcvt_f32_f16((float16x4_t)h);
#else /* the same bits further down, then up again by 2^112: subnormal numbers come out right, too */
    vu u = __builtin_convertvector(h, vu);
    vf size = (vf)((u & 0x7fff) << 13) * vf_set(0x1p112f);
    return (vf)((vu)size | (u & 0x8000) << 16);
#endif
}

INLINE uint16_t fp16_of(float x) { /* to nearest, ties to even; beyond 65504: 65504 */
    uint32_t u;
    memcpy(&u, &x, 4);
    const uint16_t sign = (uint16_t)(u >> 16 & 0x8000);
    u &= 0x7fffffff;
    if (u > 0x7f800000) return (uint16_t)(sign | 0x7e00);
    if (u < 0x38800000) return (uint16_t)(sign | (uint16_t)rintf(fabsf(x) * 0x1p24f)); /* subnormal */
    if (u > 0x477fe000) u = 0x477fe000;
    return (uint16_t)(sign | (u + 0xfff + (u >> 13 & 1) - (112u << 23)) >> 13);
}

/* To the nearest whole number, for |x| < 2^22: the magic number pushes the fraction out of the mantissa. */
#define MAGIC 12582912.0f
INLINE vi vi_round(vf x) { return (vi)(x + vf_set(MAGIC)) - (vi)vf_set(MAGIC); }

/* e^x for x <= 88, relative error below 2e-7; 0 below -87. (Cephes' expf.) */
INLINE vf vf_exp(vf x) {
    vi none = x < vf_set(-87.0f);
    x = vf_max(x, vf_set(-87.0f));
    vf n = vf_fma(x, vf_set(1.44269504f), vf_set(MAGIC));
    vi k = (vi)n - (vi)vf_set(MAGIC);
    n = n - vf_set(MAGIC);
    vf r = vf_fma(n, vf_set(-0.693359375f), x);
    r = vf_fma(n, vf_set(2.12194440e-4f), r);
    vf p = vf_set(1.9875691500e-4f);
    p = vf_fma(p, r, vf_set(1.3981999507e-3f));
    p = vf_fma(p, r, vf_set(8.3334519073e-3f));
    p = vf_fma(p, r, vf_set(4.1665795894e-2f));
    p = vf_fma(p, r, vf_set(1.6666665459e-1f));
    p = vf_fma(p, r, vf_set(5.0000001201e-1f));
    p = vf_fma(p * r, r, r) + vf_set(1.0f);
    p = p * (vf)((k + vi_set(127)) << 23);
    return (vf)((vi)p & ~none);
}

/* e^x - 1 for x < 0, x else; the logistic function; tanh: errors below 3e-7. */
INLINE vf vf_elu(vf x) {
    vi below = x < vf_set(0.0f);
    return vf_pick(below, vf_exp(vf_pick(below, x, vf_set(0.0f))) - vf_set(1.0f), x);
}
INLINE vf vf_sigmoid(vf x) {
    vf power = vf_exp(vf_set(0.0f) - vf_abs(x)), share = vf_set(1.0f) / (power + vf_set(1.0f));
    return vf_pick(x < vf_set(0.0f), power * share, share);
}
INLINE vf vf_tanh(vf x) {
    vf power = vf_exp(vf_abs(x) * vf_set(-2.0f)), size = (vf_set(1.0f) - power) / (vf_set(1.0f) + power);
    return vf_pick(x < vf_set(0.0f), vf_set(0.0f) - size, size);
}

/* x * (1 + erf(x / sqrt 2)) / 2, error below 3e-7 * max(1, |x|). (erfc: Abramowitz and Stegun 7.1.26.) */
INLINE vf vf_gelu(vf x) {
    vf z = vf_abs(x) * vf_set(0.70710678f);
    vf t = vf_set(1.0f) / vf_fma(z, vf_set(0.3275911f), vf_set(1.0f));
    vf p = vf_set(1.061405429f);
    p = vf_fma(p, t, vf_set(-1.453152027f));
    p = vf_fma(p, t, vf_set(1.421413741f));
    p = vf_fma(p, t, vf_set(-0.284496736f));
    p = vf_fma(p, t, vf_set(0.254829592f));
    vf tail = p * t * vf_exp(-z * z) * vf_set(0.5f); /* half of erfc(z) */
    return x * vf_pick(x > vf_set(0.0f), vf_set(1.0f) - tail, tail);
}

/* (x - mean) / sqrt(variance + eps) * w + b over n numbers; y may have more room, which is not touched. */
static inline void layer_norm(const float *x, const float *w, const float *b, int n, float eps, float *y) {
    int whole = n / W * W;
    vf sum = vf_set(0.0f), square = vf_set(0.0f);
    float rest = 0.0f;
    for (int i = 0; i < whole; i += W) sum += vf_load(x + i);
    for (int i = whole; i < n; i++) rest += x[i];
    float mean = (vf_sum(sum) + rest) / (float)n;
    rest = 0.0f;
    for (int i = 0; i < whole; i += W) {
        vf d = vf_load(x + i) - vf_set(mean);
        square = vf_fma(d, d, square);
    }
    for (int i = whole; i < n; i++) rest += (x[i] - mean) * (x[i] - mean);
    float scale = 1.0f / sqrtf((vf_sum(square) + rest) / (float)n + eps);
    for (int i = 0; i < whole; i += W) {
        vf d = (vf_load(x + i) - vf_set(mean)) * vf_set(scale);
        vf_store(y + i, vf_fma(d, vf_load(w + i), vf_load(b + i)));
    }
    for (int i = whole; i < n; i++) y[i] = (x[i] - mean) * scale * w[i] + b[i];
}

#endif
