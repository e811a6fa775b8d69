// The dot form on AMX of block types whose scale is the same for 32 weights, for 9 to 16 tokens: 16 rows of a chunk are
// unpacked to bytes, multiplied with all tokens 32 of k at a time, and the integers scaled and added up. What a weight costs hardly depends on how
// many tokens it meets. Tiles 0 and 1 hold the sums of 16 rows x 16 tokens, 4 and 5 codes, 6 tokens.
#pragma once
#include "amx.h"
#include "dot.h"

#include <stddef.h>

namespace fk {
namespace {

constexpr int kFewTokens = kVector;

constexpr int kSteps = kChunk / kStep;

// A chunk of each token.
struct FewTokens {
  alignas(64) int8_t values[kSteps][kStep / 4][kFewTokens][4];
  // Zeros where there is no token: with what lay there before, floats too small to be normal take 50 times as long.
  alignas(64) float scales[kSteps][kFewTokens] = {};
  alignas(64) float sums[kSteps][kFewTokens] = {};

  static constexpr int kPairs = offsetof(Int8Chunk, pairs);

  // The first `count` of the tokens, rounded up to four; what comes of the others is never looked at.
  FewTokens(const Int8Chunk *const (&x)[kFewTokens], int count, int chunk) {
    for (int t = 0; t < count; t += 4) {
      const Int8Chunk *const four[4] = {x[t] + chunk, x[t + 1] + chunk, x[t + 2] + chunk, x[t + 3] + chunk};
      for (int k = 0; k < kChunk; k += 16)
        turn(four, k, [&](int i) { return values[k / kStep][k % kStep / 4 + i][t]; });
      for (int g = 0; g < 16; g += 4) {
        turn(four, kPairs + 4 * g, [&](int i) { return i % 2 ? &sums[(g + i) / 2][t] : &scales[(g + i) / 2][t]; });
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
template <class W> struct FewRows {
  alignas(64) uint8_t codes[16][kChunk];
  alignas(64) float factors[16][2 * kSteps]; // scale and min in turn

  FK_INLINE void unpack(int r, const uint8_t *p) {
#pragma GCC unroll kUnroll
    for (int pair = 0; pair < kChunk / kPairWeights; pair++) {
      const Codes c = W::codes(p, pair);
      memcpy(codes[r] + pair * kPairWeights, &c, sizeof c);
    }
    put(factors[r], W::factors(p));
  }
  float scale(int r, int g) const { return factors[r][2 * g]; }
  float min(int r, int g) const { return factors[r][2 * g + 1]; }

private:
  static FK_INLINE void put(float *to, const Groups &groups) {
    for (int i = 0; i < kGroupRegisters; i++) store(to + i * kLanes, groups.r[i]);
  }
};

// sums[r][t] += 16 rows of a chunk · the tokens' chunks.
template <class W> inline void multiply_few(const FewRows<W> &rows, const FewTokens &x, float (&sums)[16][kFewTokens]) {
  constexpr int kParts = kFewTokens / kLanes;
  alignas(64) int32_t products[kSteps][16][kFewTokens];
  for (int g = 0; g < kSteps; g += 2) {
    FK_TILE_ZERO(0);
    FK_TILE_LOAD(4, &rows.codes[0][g * kStep], kChunk);
    FK_TILE_LOAD(6, x.values[g], 64);
    FK_TILE_DOT_INT8(us, 0, 4, 6);
    FK_TILE_ZERO(1);
    FK_TILE_LOAD(5, &rows.codes[0][(g + 1) * kStep], kChunk);
    FK_TILE_LOAD(7, x.values[g + 1], 64);
    FK_TILE_DOT_INT8(us, 1, 5, 7);
    FK_TILE_STORE(0, products[g], 64);
    FK_TILE_STORE(1, products[g + 1], 64);
  }
  for (int r = 0; r < 16; r++)
    for (int i = 0; i < kParts; i++) {
      Floats sum = load(sums[r] + i * kLanes);
#pragma GCC unroll 16
      for (int g = 0; g < kSteps; g++) {
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
  const RowsAhead ahead(rows, stride, count, next, count);
  const Int8Chunk *x[kFewTokens];
  for (int t = 0; t < kFewTokens; t++) x[t] = (const Int8Chunk *)tokens[t < n ? t : 0];
  alignas(64) float sums[kStep / 16][16][kFewTokens] = {};
  FK_TILES_ON_INT8(kStep);
  for (int c = 0; c * kChunk < k; c++) {
    const int here = k - c * kChunk;
    const FewTokens few(x, n, c);
    for (int first = 0; first < count; first += 16) {
      FewRows<W> unpacked;
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
