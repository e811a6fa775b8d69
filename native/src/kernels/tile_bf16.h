// AVX512_BF16: a pair of weights is broadcast against the pairs of 16 tokens.
#pragma once
#include "tile.h"

namespace fk {
namespace {

struct Bf16Tile {
  using Element = bf16;
  static constexpr int kRows = 8, kVectors = 3, kDepth = 512;
  static constexpr int kInPlace = 1, kNarrow = 0;
  static constexpr bool kSpread = false;
  static void begin() {}
  static void end() {}

  template <int V> static inline void run(const Operands<bf16> &o) {
    __m512 sums[kRows][V] = {};
    if (o.add)
      for (int r = 0; r < kRows; r++)
        for (int v = 0; v < V; v++) sums[r][v] = _mm512_load_ps(o.sums + v * kSumsStride + r * kVector);
    for (int k = 0; k < o.k; k += 2) {
      __m512bh x[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; v++) x[v] = (__m512bh)_mm512_load_si512(o.tokens + v * o.vector_stride + k * kVector);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; r++) {
        int pair;
        memcpy(&pair, o.rows + r * o.row_stride + k, sizeof pair);
        const __m512bh w = (__m512bh)_mm512_set1_epi32(pair);
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) sums[r][v] = _mm512_dpbf16_ps(sums[r][v], w, x[v]);
      }
    }
    for (int r = 0; r < kRows; r++)
      for (int v = 0; v < V; v++) _mm512_store_ps(o.sums + v * kSumsStride + r * kVector, sums[r][v]);
  }

  static double peak(int64_t rounds) {
    constexpr int kChains = 16;
    __m512 sums[kChains] = {};
    __m512bh a = (__m512bh)_mm512_set1_epi32(0x3f803f80), b = (__m512bh)_mm512_set1_epi32(0x3f003f00);
    for (int64_t i = 0; i < rounds; i++)
#pragma GCC unroll 16
      for (int c = 0; c < kChains; c++) {
        sums[c] = _mm512_dpbf16_ps(sums[c], a, b);
        asm volatile("" : "+x"(sums[c]));
      }
    return double(rounds) * kChains * 64;
  }
};

} // namespace
} // namespace fk
