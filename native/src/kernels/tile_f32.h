// Floats by fused multiply-add: each weight is broadcast against vectors of 16 tokens.
#pragma once
#include "tile.h"

namespace fk {
namespace {

struct F32Tile {
  using Element = float;
#if defined(__AVX512F__)
  static constexpr int kRows = 8, kVectors = 3;
#elif defined(__AVX2__)
  static constexpr int kRows = 4, kVectors = 1;
#else
  static constexpr int kRows = 2, kVectors = 1;
#endif
  static constexpr int kDepth = 256;
  static constexpr int kInPlace = 1, kNarrow = 0;
  static constexpr bool kSpread = false;
  static void begin() {}
  static void end() {}

  template <int V> static inline void run(const Operands<float> &o) {
    constexpr int kParts = kVector / kLanes; // registers of a vector of tokens
    Floats sums[kRows][V * kParts] = {};
    if (o.add)
      for (int r = 0; r < kRows; r++)
        for (int i = 0; i < V * kParts; i++) sums[r][i] = load(place(o, r, i));
    for (int k = 0; k < o.k; k++) {
      Floats x[V * kParts];
#pragma GCC unroll 16
      for (int i = 0; i < V * kParts; i++)
        x[i] = load(o.tokens + i / kParts * o.vector_stride + k * kVector + i % kParts * kLanes);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; r++) {
        float weight; // in a row that may lie at any address
        memcpy(&weight, o.rows + r * o.row_stride + k, sizeof weight);
        const Floats w = splat(weight);
#pragma GCC unroll 16
        for (int i = 0; i < V * kParts; i++) sums[r][i] += w * x[i];
      }
    }
    for (int r = 0; r < kRows; r++)
      for (int i = 0; i < V * kParts; i++) store(place(o, r, i), sums[r][i]);
  }

  static double peak(int64_t rounds) {
    constexpr int kChains = 12;
    Floats sums[kChains] = {}, a = splat(1.0f), b = splat(0.5f);
    for (int64_t i = 0; i < rounds; i++)
#pragma GCC unroll 16
      for (int c = 0; c < kChains; c++) {
        sums[c] += a * b;
        keep(sums[c]);
      }
    return double(rounds) * kChains * kLanes * 2;
  }

  static FK_INLINE void keep(Floats &v) {
#ifdef __x86_64__
    asm volatile("" : "+x"(v));
#else
    asm volatile("" : "+w"(v));
#endif
  }

private:
  static FK_INLINE float *place(const Operands<float> &o, int r, int i) {
    constexpr int kParts = kVector / kLanes;
    return o.sums + i / kParts * kSumsStride + r * kVector + i % kParts * kLanes;
  }
};

} // namespace
} // namespace fk
