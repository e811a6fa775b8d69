// Scales and minima of a chunk: one float for each of its groups of 16 weights.
#pragma once
#include "codes.h"

namespace fk {
namespace {

constexpr int kGroup = 16; // weights that share a scale, at least
constexpr int kGroupRegisters = kGroup / kLanes;

// One float for each of a chunk's groups of 16.
struct Groups {
  Floats r[kGroupRegisters];
};

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
  uint64_t x = v;
  x = (x | x << 16) & 0x0000ffff0000ffff;
  x = (x | x << 8) & 0x00ff00ff00ff00ff;
  return (x | x << 4) & kLowNibbles;
}
FK_INLINE uint64_t pairs_apart(uint16_t v) {
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

// The f16 at byte At of each of eight blocks of Stride bytes, each for two groups.
template <int Stride, int At> FK_INLINE Groups block_halves(const uint8_t *p) {
#if defined(__AVX512F__)
  static_assert(Stride % 2 == 0 && At % 2 == 0, "");
  // A register of words at a time; the last one ends where the blocks end.
  constexpr int kBytes = 8 * Stride, kLoads = (kBytes - Stride + At + 2 + 63) / 64;
  __m256i words = _mm256_setzero_si256();
#pragma GCC unroll 8
  for (int load = 0; load < kLoads; load++) {
    const int from = load * 64 + 64 <= kBytes ? load * 64 : kBytes - 64;
    alignas(32) uint16_t index[16] = {};
    __mmask16 here = 0;
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
      const int at = i / 2 * Stride + At;
      if (at >= load * 64 && at < load * 64 + 64) index[i] = uint16_t((at - from) / 2), here |= 1 << i;
    }
    const __m512i v = _mm512_loadu_si512(p + from);
    const __m512i picked = _mm512_permutexvar_epi16(_mm512_castsi256_si512(_mm256_load_si256((const __m256i *)index)), v);
    words = _mm256_mask_mov_epi16(words, here, _mm512_castsi512_si256(picked));
  }
  return {{_mm512_cvtph_ps(words)}};
#else
  float v[kGroup];
  for (int b = 0; b < 8; b++) v[2 * b] = v[2 * b + 1] = load_half(p + b * Stride + At);
  return load_groups(v);
#endif
}

} // namespace
} // namespace fk
