// The dot form of the block types on AMX, for 3 to 16 tokens: 16 rows of a chunk are unpacked to bytes, multiplied with all
// tokens group by group of one scale, and the integers scaled and added up. What a weight costs hardly depends on how
// many tokens it meets. Tiles 0 and 1 hold the sums of 16 rows x 16 tokens, 4 and 5 codes, 6 tokens.
#pragma once
#include "amx.h"
#include "dot.h"

#include <stddef.h>

namespace fk {
namespace {

constexpr int kFewTokens = kVector;

// A chunk of each token, in groups of G of k.
template <int G> struct FewTokens {
  static constexpr int kGroups = kChunk / G;
  alignas(64) int8_t values[kGroups][G / 4][kFewTokens][4];
  // Zeros where there is no token: with what lay there before, floats too small to be normal take 50 times as long.
  alignas(64) float scales[kGroups][kFewTokens] = {};
  alignas(64) float sums[kGroups][kFewTokens] = {};

  static constexpr int kPairs = offsetof(Int8Chunk, pairs), kScales = offsetof(Int8Chunk, scales), kSums = offsetof(Int8Chunk, sums);

  // The first `count` of the tokens, rounded up to four; what comes of the others is never looked at.
  FewTokens(const Int8Chunk *const (&x)[kFewTokens], int count, int chunk) {
    for (int t = 0; t < count; t += 4) {
      const Int8Chunk *const four[4] = {x[t] + chunk, x[t + 1] + chunk, x[t + 2] + chunk, x[t + 3] + chunk};
      for (int k = 0; k < kChunk; k += 16) turn(four, k, [&](int i) { return values[0][k / 4 + i][t]; });
      for (int g = 0; g < 16; g += 4) {
        if constexpr (G == 16) {
          turn(four, kScales + 4 * g, [&](int i) { return scales[g + i] + t; });
          turn(four, kSums + 4 * g, [&](int i) { return sums[g + i] + t; });
        } else {
          turn(four, kPairs + 4 * g, [&](int i) { return (i % 2 ? sums : scales)[(g + i) / 2] + t; });
        }
      }
    }
  }

private:
  // Sixteen bytes of four tokens, four to each of four places.
  template <class F> static FK_INLINE void turn(const Int8Chunk *const (&four)[4], int at, F place) {
    const void *in[4];
    void *out[4];
    for (int i = 0; i < 4; i++) in[i] = (const uint8_t *)four[i] + at, out[i] = place(i);
    transpose4(in, out);
  }
};

// Sixteen rows of a chunk.
template <class W, int G> struct FewRows {
  static constexpr int kGroups = kChunk / G;
  alignas(64) uint8_t codes[16][kChunk];
  alignas(64) float factors[16][2 * kGroups]; // wide: scale and min in turn, else scales, then minima

  FK_INLINE void unpack(int r, const uint8_t *p) {
    const ChunkCodes<W> chunk(p);
#pragma GCC unroll kUnroll
    for (int pair = 0; pair < kChunk / kPairWeights; pair++) {
      const Codes c = chunk.of(pair);
      memcpy(codes[r] + pair * kPairWeights, &c, sizeof c);
    }
    if constexpr (W::kWide) {
      put(factors[r], W::factors(p));
    } else {
      const Scales of = W::scales(p);
      put(factors[r], of.scale);
      put(factors[r] + kGroups, W::kMins ? of.min : of.scale * W::kOffset);
    }
  }
  float scale(int r, int g) const { return factors[r][W::kWide ? 2 * g : g]; }
  float min(int r, int g) const { return factors[r][W::kWide ? 2 * g + 1 : g + kGroups]; }

private:
  static FK_INLINE void put(float *to, const Groups &groups) {
    for (int i = 0; i < kGroupRegisters; i++) store(to + i * kLanes, groups.r[i]);
  }
};

// sums[r][t] += 16 rows of a chunk · the tokens' chunks.
template <class W, int G> inline void multiply_few(const FewRows<W, G> &rows, const FewTokens<G> &x, float (&sums)[16][kFewTokens]) {
  constexpr int kGroups = kChunk / G, kParts = kFewTokens / kLanes;
  alignas(64) int32_t products[kGroups][16][kFewTokens];
  for (int g = 0; g < kGroups; g += 2) {
    FK_TILE_ZERO(0);
    FK_TILE_LOAD(4, rows.codes[0] + g * G, kChunk);
    FK_TILE_LOAD(6, x.values[g], 64);
    FK_TILE_DOT_INT8(us, 0, 4, 6);
    FK_TILE_ZERO(1);
    FK_TILE_LOAD(5, rows.codes[0] + (g + 1) * G, kChunk);
    FK_TILE_LOAD(7, x.values[g + 1], 64);
    FK_TILE_DOT_INT8(us, 1, 5, 7);
    FK_TILE_STORE(0, products[g], 64);
    FK_TILE_STORE(1, products[g + 1], 64);
  }
  for (int r = 0; r < 16; r++)
    for (int i = 0; i < kParts; i++) {
      Floats sum = load(sums[r] + i * kLanes);
#pragma GCC unroll 16
      for (int g = 0; g < kGroups; g++) {
        Ints v;
        memcpy(&v, products[g][r] + i * kLanes, sizeof v);
        sum += to_floats(v) * load(x.scales[g] + i * kLanes) * splat(rows.scale(r, g));
        sum -= load(x.sums[g] + i * kLanes) * splat(rows.min(r, g));
      }
      store(sums[r] + i * kLanes, sum);
    }
}

// As Arithmetic::dot, for chunks of weights W and up to kFewTokens tokens.
template <class W>
inline void dot_few_amx(const uint8_t *rows, int64_t stride, int count, int k, const void *const *tokens, int n,
                        float *out, const uint8_t *next) {
  constexpr int G = W::kWide ? 32 : 16;
  const RowsAhead ahead(rows, stride, count, next, count);
  const Int8Chunk *x[kFewTokens];
  for (int t = 0; t < kFewTokens; t++) x[t] = (const Int8Chunk *)tokens[t < n ? t : 0];
  alignas(64) float sums[kStep / 16][16][kFewTokens] = {};
  FK_TILES_ON_INT8(G);
  for (int c = 0; c * kChunk < k; c++) {
    const int here = k - c * kChunk;
    const FewTokens<G> few(x, n, c);
    for (int first = 0; first < count; first += 16) {
      FewRows<W, G> unpacked;
      for (int i = 0; i < 16; i++) {
        const int r = first + i < count ? first + i : count - 1;
        const uint8_t *p = rows + r * stride + int64_t(c) * W::kChunkBytes, *q = ahead.of(r) + int64_t(c) * W::kChunkBytes;
        for (int b = 0; b < W::kChunkBytes; b += 64) __builtin_prefetch(q + b, 0, 2);
        here >= kChunk ? unpacked.unpack(i, p) : unpacked.unpack(i, ChunkTail<W>(p, here).data);
      }
      multiply_few(unpacked, few, sums[first / 16]);
    }
  }
  FK_TILES_OFF();
  for (int r = 0; r < count; r++)
    for (int t = 0; t < n; t++) out[t * kStep + r] = sums[r / 16][r % 16][t];
}

} // namespace
} // namespace fk
