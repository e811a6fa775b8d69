// Scales and minima of a chunk: sixteen floats, for its groups of 16 weights or by twos for its groups of 32.
#pragma once
#include "codes.h"

namespace fk {
namespace {

constexpr int kGroup = 16; // weights that share a scale, at least; and groups of a chunk
constexpr int kGroupRegisters = kGroup / kLanes;

// Sixteen floats.
struct Groups {
  Floats r[kGroupRegisters];
};

// For each 16 weights.
struct Scales {
  Groups scale, min;
};

template <class F> FK_INLINE Groups each_group(F f) {
  Groups g;
#pragma GCC unroll kUnroll
  for (int i = 0; i < kGroupRegisters; i++) g.r[i] = f(i);
  return g;
}
FK_INLINE Groups operator*(Groups a, Groups b) {
  return each_group([&](int i) { return a.r[i] * b.r[i]; });
}
FK_INLINE Groups operator*(Groups a, float b) {
  return each_group([&](int i) { return a.r[i] * splat(b); });
}
FK_INLINE Groups operator-(Groups a, float b) {
  return each_group([&](int i) { return a.r[i] - splat(b); });
}
FK_INLINE Groups load_groups(const float *p) {
  return each_group([&](int i) { return load(p + i * kLanes); });
}

FK_INLINE float load_half(const uint8_t *p) {
  uint16_t half;
  memcpy(&half, p, sizeof half);
#ifdef __F16C__
  return _cvtsh_ss(half);
#else
  return half_to_float(half);
#endif
}

// a, b, a, b …
FK_INLINE Groups alternate(float a, float b) {
  return each_group([&](int) {
#if defined(__AVX512F__)
    return (Floats)_mm512_setr4_ps(a, b, a, b);
#elif defined(__AVX2__)
    return (Floats)_mm256_setr_ps(a, b, a, b, a, b, a, b);
#else
    return Floats{a, b, a, b};
#endif
  });
}

// The f16 at p, and the one after it, in turn; eight bytes can be read there.
FK_INLINE Groups alternate_halves(const uint8_t *p) {
#if defined(__AVX512F__)
  const __m128 two = _mm_cvtph_ps(_mm_loadl_epi64((const __m128i *)p));
  return {{(Floats)_mm512_broadcastsd_pd(_mm_castps_pd(two))}};
#else
  return alternate(load_half(p), load_half(p + 2));
#endif
}

// The f16 at p everywhere; of which the last of eight bytes that can be read there: At is 0 or 6.
template <int At = 0> FK_INLINE Groups every_half(const uint8_t *p) {
#if defined(__AVX512F__)
  const __m128 four = _mm_cvtph_ps(_mm_loadl_epi64((const __m128i *)(p - At)));
  return {{At ? (Floats)_mm512_permutexvar_ps(_mm512_set1_epi32(At / 2), _mm512_castps128_ps512(four))
              : (Floats)_mm512_broadcastss_ps(four)}};
#else
  return each_group([d = load_half(p)](int) { return splat(d); });
#endif
}

// Sixteen bytes: one for each group.
typedef uint8_t Sixteen __attribute__((vector_size(kGroup)));

FK_INLINE Sixteen sixteen(uint64_t low, uint64_t high) {
  typedef uint64_t Two __attribute__((vector_size(kGroup)));
  return (Sixteen)Two{low, high};
}

// Eight bytes, each for two groups.
FK_INLINE Sixteen doubled(uint64_t bytes) {
  const Sixteen v = sixteen(bytes, 0);
  return __builtin_shuffle(v, Sixteen{0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7});
}

// Of each the first byte, then the second, …
FK_INLINE Sixteen in_turn(uint64_t a, uint64_t b) {
  return __builtin_shuffle(sixteen(a, b), Sixteen{0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15});
}

FK_INLINE Ints group_integers(Sixteen v, int part) {
#if defined(__AVX512F__)
  (void)part;
  return (Ints)_mm512_cvtepu8_epi32((__m128i)v);
#elif defined(__AVX2__)
  return (Ints)_mm256_cvtepu8_epi32(part ? _mm_srli_si128((__m128i)v, 8) : (__m128i)v);
#else
  Ints w;
  for (int i = 0; i < kLanes; i++) w[i] = v[part * kLanes + i];
  return w;
#endif
}

FK_INLINE Floats to_floats(Ints v) { return __builtin_convertvector(v, Floats); }

FK_INLINE Groups unsigned_groups(Sixteen v) {
  return each_group([&](int i) { return to_floats(group_integers(v, i)); });
}
FK_INLINE Groups signed_groups(const uint8_t *b) {
  return each_group([&](int i) { return load_int8(b + i * kLanes); });
}

constexpr uint64_t kLowNibbles = 0x0f0f0f0f0f0f0f0f;

// Four bits each of a word, and two bits, in bytes of their own.
FK_INLINE uint64_t nibbles_apart(uint32_t v) {
#if defined(__AVX512F__) && defined(__BMI2__)
  return _pdep_u64(v, kLowNibbles);
#endif
  uint64_t x = v;
  x = (x | x << 16) & 0x0000ffff0000ffff;
  x = (x | x << 8) & 0x00ff00ff00ff00ff;
  return (x | x << 4) & kLowNibbles;
}
FK_INLINE uint64_t pairs_apart(uint16_t v) {
#if defined(__AVX512F__) && defined(__BMI2__)
  return _pdep_u64(v, 0x0303030303030303);
#endif
  uint64_t x = v;
  x = (x | x << 24) & 0x000000ff000000ff;
  x = (x | x << 12) & 0x000f000f000f000f;
  return (x | x << 6) & 0x0303030303030303;
}

template <class T> FK_INLINE T load_as(const uint8_t *p) {
  T v;
  memcpy(&v, p, sizeof v);
  return v;
}

#ifdef __AVX512F__
// Words of eight blocks of Stride bytes: number i is at byte First (of even i) or Second (of odd i) of block i / Each.
template <int Stride, int First, int Second, int Each> FK_INLINE __m256i block_words(const uint8_t *p) {
  static_assert(Stride % 2 == 0 && First % 2 == 0 && Second % 2 == 0, "");
  constexpr int kLast = First > Second ? First : Second;
  // A register of words at a time; the last one ends where the blocks end.
  constexpr int kBytes = 8 * Stride, kLoads = (kBytes - Stride + kLast + 2 + 63) / 64;
  __m256i words = _mm256_setzero_si256();
#pragma GCC unroll 8
  for (int load = 0; load < kLoads; load++) {
    const int from = load * 64 + 64 <= kBytes ? load * 64 : kBytes - 64;
    alignas(32) uint16_t index[16] = {};
    __mmask16 here = 0;
#pragma GCC unroll 16
    for (int i = 0; i < 8 * Each; i++) {
      const int at = i / Each * Stride + (i % 2 ? Second : First);
      if (at >= load * 64 && at < load * 64 + 64) index[i] = uint16_t((at - from) / 2), here |= 1 << i;
    }
    const __m512i v = _mm512_loadu_si512(p + from);
    const __m512i picked = _mm512_permutexvar_epi16(_mm512_castsi256_si512(_mm256_load_si256((const __m256i *)index)), v);
    words = _mm256_mask_mov_epi16(words, here, _mm512_castsi512_si256(picked));
  }
  return words;
}

// The f16 that each of eight blocks begins with.
template <int Stride> FK_INLINE __m256 eight_halves(const uint8_t *p) {
  return _mm256_cvtph_ps(_mm256_castsi256_si128(block_words<Stride, 0, 0, 1>(p)));
}
#endif

// Of each of eight blocks of Stride bytes the f16 at byte First and the one at byte Second.
template <int Stride, int First, int Second> FK_INLINE Groups block_halves(const uint8_t *p) {
#if defined(__AVX512F__)
  return {{_mm512_cvtph_ps(block_words<Stride, First, Second, 2>(p))}};
#else
  float v[kGroup];
  for (int b = 0; b < 8; b++) v[2 * b] = load_half(p + b * Stride + First), v[2 * b + 1] = load_half(p + b * Stride + Second);
  return load_groups(v);
#endif
}

} // namespace
} // namespace fk
