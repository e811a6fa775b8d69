// The registers of floats of the instruction set that this translation unit is compiled for.
// Everything in kernels/*.h lives in an anonymous namespace: the linker must never replace one kernel's copy of an
// inline function by another's, which may use instructions that this CPU lacks.
#pragma once
#include "../kernel.h"

#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#define FK_INLINE inline __attribute__((always_inline))

namespace fk {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif
typedef float Floats __attribute__((vector_size(kLanes * 4)));
typedef uint16_t bf16;
template <class E> constexpr int kPair = 4 / int(sizeof(E)); // elements along k in 32 bits

FK_INLINE Floats load_f32(const uint8_t *p) {
  Floats v;
  memcpy(&v, p, sizeof v);
  return v;
}
FK_INLINE Floats load(const float *p) { return load_f32((const uint8_t *)p); }
FK_INLINE void store(float *p, Floats v) { memcpy(p, &v, sizeof v); }
FK_INLINE Floats splat(float f) {
#if defined(__AVX512F__)
  return _mm512_set1_ps(f);
#elif defined(__AVX2__)
  return _mm256_set1_ps(f);
#else
  return Floats{f, f, f, f};
#endif
}

FK_INLINE float sum(Floats v) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_ps(v);
#elif defined(__AVX2__)
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
#else
  return (v[0] + v[2]) + (v[1] + v[3]);
#endif
}

FK_INLINE float bits_to_float(uint32_t bits) {
  float f;
  memcpy(&f, &bits, sizeof f);
  return f;
}
FK_INLINE uint32_t float_to_bits(float f) {
  uint32_t bits;
  memcpy(&bits, &f, sizeof bits);
  return bits;
}

// To the nearest, ties to even; NaNs stay NaNs.
FK_INLINE bf16 to_bf16(float f) {
  const uint32_t bits = float_to_bits(f);
  const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const uint32_t quiet = (bits >> 16) | 0x40;
  return bf16((bits & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
}

FK_INLINE void put_element(float *to, float f) { *to = f; }
FK_INLINE void put_element(bf16 *to, float f) { *to = to_bf16(f); }

// Without a branch, so that loops over it become vector code.
FK_INLINE float half_to_float(uint16_t h) {
  const uint32_t sign = uint32_t(h & 0x8000) << 16, magnitude = uint32_t(h & 0x7fff) << 13;
  // Exponents move from bias 15 to 127 by a multiplication, which also normalises subnormals.
  const float scaled = bits_to_float(magnitude) * bits_to_float(0x77800000); // 2^112
  const uint32_t special = magnitude >= 0x0f800000 ? 0x7f800000u : 0u;      // infinity or NaN
  return bits_to_float(sign | float_to_bits(scaled) | special);
}

FK_INLINE Floats load_bf16(const uint8_t *p) {
#if defined(__AVX512F__)
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
#elif defined(__AVX2__)
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
#else
  uint16_t h[kLanes];
  memcpy(h, p, sizeof h);
  Floats v;
  for (int i = 0; i < kLanes; i++) v[i] = bits_to_float(uint32_t(h[i]) << 16);
  return v;
#endif
}

FK_INLINE Floats load_f16(const uint8_t *p) {
#if defined(__AVX512F__)
  return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
#elif defined(__AVX2__)
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
#else
  uint16_t h[kLanes];
  memcpy(h, p, sizeof h);
  Floats v;
  for (int i = 0; i < kLanes; i++) v[i] = half_to_float(h[i]);
  return v;
#endif
}

FK_INLINE Floats load_int8(const uint8_t *p) {
#if defined(__AVX512F__)
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
#elif defined(__AVX2__)
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
#else
  Floats v;
  for (int i = 0; i < kLanes; i++) v[i] = float(int8_t(p[i]));
  return v;
#endif
}

FK_INLINE Floats load_uint8(const uint8_t *p) {
#if defined(__AVX512F__)
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)));
#elif defined(__AVX2__)
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)));
#else
  Floats v;
  for (int i = 0; i < kLanes; i++) v[i] = float(p[i]);
  return v;
#endif
}

// Sixteen-byte rows of four 32-bit elements: out[i][j] = in[j][i].
FK_INLINE void transpose4(const void *const in[4], void *const out[4]) {
#ifdef __x86_64__
  __m128 r[4];
  for (int i = 0; i < 4; i++) memcpy(&r[i], in[i], 16);
  _MM_TRANSPOSE4_PS(r[0], r[1], r[2], r[3]);
  for (int i = 0; i < 4; i++) memcpy(out[i], &r[i], 16);
#else
  uint32_t r[4][4], t[4][4];
  for (int i = 0; i < 4; i++) memcpy(r[i], in[i], 16);
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++) t[i][j] = r[j][i];
  for (int i = 0; i < 4; i++) memcpy(out[i], t[i], 16);
#endif
}

} // namespace
} // namespace fk
