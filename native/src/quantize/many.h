// Arithmetic on a number of each of some stretches at once, one a lane of some registers.
#pragma once
#include "../kernels/simd.h"

#include <cmath>

namespace fk {
namespace {

typedef int32_t Ints __attribute__((vector_size(kLanes * 4)));

constexpr int kAbreast = 2; // registers: sums wait for each other, those of two do not

// A number, or what a comparison gives, for each of some stretches.
struct Many {
  Floats v[kAbreast];
};
struct Masks {
  Ints v[kAbreast];
};

#define FK_EACH(result, expression)                                                                                    \
  result many;                                                                                                         \
  for (int n = 0; n < kAbreast; n++) many.v[n] = expression;                                                           \
  return many
FK_INLINE Many all(float f) { FK_EACH(Many, splat(f)); }
FK_INLINE Many operator+(Many a, Many b) { FK_EACH(Many, a.v[n] + b.v[n]); }
FK_INLINE Many operator-(Many a, Many b) { FK_EACH(Many, a.v[n] - b.v[n]); }
FK_INLINE Many operator*(Many a, Many b) { FK_EACH(Many, a.v[n] * b.v[n]); }
FK_INLINE Many operator/(Many a, Many b) { FK_EACH(Many, a.v[n] / b.v[n]); }
FK_INLINE Many operator-(Many a) { FK_EACH(Many, -a.v[n]); }
FK_INLINE Masks operator<(Many a, Many b) { FK_EACH(Masks, a.v[n] < b.v[n]); }
FK_INLINE Masks operator==(Many a, Many b) { FK_EACH(Masks, a.v[n] == b.v[n]); }
FK_INLINE Masks operator&(Masks a, Masks b) { FK_EACH(Masks, a.v[n] & b.v[n]); }
FK_INLINE Masks operator~(Masks a) { FK_EACH(Masks, ~a.v[n]); }
FK_INLINE Many select(Masks mask, Many a, Many b) { FK_EACH(Many, mask.v[n] ? a.v[n] : b.v[n]); }
FK_INLINE Many load_many(const float *p) { FK_EACH(Many, load(p + n * kLanes)); }
FK_INLINE void store(float *p, Many m) {
  for (int n = 0; n < kAbreast; n++) store(p + n * kLanes, m.v[n]);
}

// The nearest integer as ggml's nearest_int has it, also of what is too large for it; cut to [0, most].
FK_INLINE Ints code(Floats v, int most) {
  Ints i;
  v += splat(12582912.f);
  memcpy(&i, &v, sizeof i);
  i = (i & 0x7fffff) - 0x400000;
#if defined(__AVX512F__)
  return (Ints)_mm512_min_epi32(_mm512_max_epi32((__m512i)i, _mm512_setzero_si512()), _mm512_set1_epi32(most));
#elif defined(__AVX2__)
  return (Ints)_mm256_min_epi32(_mm256_max_epi32((__m256i)i, _mm256_setzero_si256()), _mm256_set1_epi32(most));
#else
  const Ints top = Ints{} + most;
  i = i > 0 ? i : Ints{};
  return i < top ? i : top;
#endif
}

// The same of what is below 2^22.
FK_INLINE Floats small_code(Floats v, Floats most) {
#if defined(__AVX512F__)
  v = _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  return _mm512_min_ps(_mm512_max_ps(v, _mm512_setzero_ps()), most);
#elif defined(__AVX2__)
  v = _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  return _mm256_min_ps(_mm256_max_ps(v, _mm256_setzero_ps()), most);
#else
  v = (v + splat(12582912.f)) - splat(12582912.f);
  v = v < Floats{} ? Floats{} : v;
  return most < v ? most : v;
#endif
}

FK_INLINE bool all_set(Ints mask) {
#if defined(__AVX512F__)
  return _mm512_movepi32_mask((__m512i)mask) == 0xffff;
#elif defined(__AVX2__)
  return _mm256_movemask_ps((__m256)mask) == 0xff;
#else
  return (mask[0] & mask[1] & mask[2] & mask[3]) != 0;
#endif
}

FK_INLINE Floats root(Floats v) {
#if defined(__AVX512F__)
  return _mm512_sqrt_ps(v);
#elif defined(__AVX2__)
  return _mm256_sqrt_ps(v);
#else
  for (int i = 0; i < kLanes; i++) v[i] = sqrtf(v[i]);
  return v;
#endif
}

FK_INLINE Floats magnitude(Floats v) {
  Ints i;
  memcpy(&i, &v, sizeof i);
  i &= 0x7fffffff;
  memcpy(&v, &i, sizeof v);
  return v;
}

FK_INLINE Many codes_of(Many v, int most) { FK_EACH(Many, __builtin_convertvector(code(v.v[n], most), Floats)); }
FK_INLINE Many small_codes_of(Many v, int most) { FK_EACH(Many, small_code(v.v[n], splat(float(most)))); }
FK_INLINE Many larger(Many a, Many b) { FK_EACH(Many, a.v[n] < b.v[n] ? b.v[n] : a.v[n]); }
FK_INLINE Many root(Many m) { FK_EACH(Many, root(m.v[n])); }
FK_INLINE Many magnitude(Many m) { FK_EACH(Many, magnitude(m.v[n])); }
#undef FK_EACH
FK_INLINE bool all_set(Masks m) {
  bool set = true;
  for (int n = 0; n < kAbreast; n++) set = set && all_set(m.v[n]);
  return set;
}

} // namespace
} // namespace fk
