// The dot form of Q8_0 on AMX, for 5 tokens and more: the file's bytes are tiles as they lie. The tokens' 16-bit integers are
// multiplied as two bytes, the upper with a sign and the lower without. Tiles 0 and 1 hold the sums of 16 rows x 16 tokens,
// 4 weights, 6 and 7 tokens.
#pragma once
#include "amx.h"
#include "dot.h"

namespace fk {
namespace {

constexpr int kQ8Steps = 8; // of k, taken at once

// Up to kQ8Steps steps of each token.
struct FewShorts {
  alignas(64) uint8_t high[kQ8Steps][kStep / 4][kVector][4];
  alignas(64) uint8_t low[kQ8Steps][kStep / 4][kVector][4];
  alignas(64) float scales[kQ8Steps][kVector] = {}; // as of FewTokens

  // The first `count` tokens, rounded up to four; columns of the others are never looked at.
  FewShorts(const Token<int16> *x, int count, int step, int steps) {
    for (int t = 0; t < count; t += 4) {
      alignas(64) uint8_t bytes[2][4][kQ8Steps * kStep];
      for (int i = 0; i < 4; i++) {
        const Token<int16> &from = x[t + i < count ? t + i : 0];
        const int16 *values = from.values + step * kStep;
        for (int k = 0; k < steps * kStep; k++) bytes[0][i][k] = uint8_t(values[k] >> 8), bytes[1][i][k] = uint8_t(values[k]);
        for (int s = 0; s < steps; s++) scales[s][t + i] = from.scales[step + s];
      }
      for (int k = 0; k < steps * kStep; k += 16)
        for (int half = 0; half < 2; half++) {
          const void *in[4];
          void *out[4];
          for (int i = 0; i < 4; i++) in[i] = bytes[half][i] + k, out[i] = half ? low[k / kStep][k % kStep / 4 + i][t] : high[k / kStep][k % kStep / 4 + i][t];
          transpose4(in, out);
        }
    }
  }
};

// sums[r][t] += `steps` steps of 16 rows · the tokens' steps.
inline void multiply_shorts(const uint8_t *rows, int64_t stride, const FewShorts &x, int steps, float (&sums)[16][kVector]) {
  alignas(64) int32_t high[kQ8Steps][16][kVector], low[kQ8Steps][16][kVector];
  for (int s = 0; s < steps; s++) {
    FK_TILE_ZERO(0);
    FK_TILE_ZERO(1);
    FK_TILE_LOAD(4, rows + s * Q8Weights::bytes + 2, stride);
    FK_TILE_LOAD(6, x.high[s], 64);
    FK_TILE_LOAD(7, x.low[s], 64);
    FK_TILE_DOT_INT8(ss, 0, 4, 6);
    FK_TILE_DOT_INT8(su, 1, 4, 7);
    FK_TILE_STORE(0, high[s], 64);
    FK_TILE_STORE(1, low[s], 64);
  }
  for (int r = 0; r < 16; r++) {
    float scale[kQ8Steps];
    const uint8_t *row = rows + r * stride;
#ifdef __AVX512F__
    if (steps == kQ8Steps) _mm256_storeu_ps(scale, eight_halves<Q8Weights::bytes>(row));
    else
#endif
      for (int s = 0; s < steps; s++) scale[s] = Q8Weights::scale(row + s * Q8Weights::bytes);
    for (int i = 0; i < kVector; i += kLanes) {
      Floats sum = load(sums[r] + i);
      for (int s = 0; s < steps; s++) {
        Ints a, b;
        memcpy(&a, high[s][r] + i, sizeof a);
        memcpy(&b, low[s][r] + i, sizeof b);
        sum += to_floats((a << 8) + b) * load(x.scales[s] + i) * splat(scale[s]);
      }
      store(sums[r] + i, sum);
    }
  }
}

// As Arithmetic::dot, for Q8_0, `count` being a multiple of 16, up to kVector tokens.
inline void dot_q8_amx(const uint8_t *rows, int64_t stride, int count, int k, const void *const *tokens, int n, float *out,
                       const uint8_t *next) {
  const RowsAhead ahead(rows, stride, count, next, count);
  Token<int16> x[kVector];
  for (int t = 0; t < n; t++) x[t] = Token<int16>(tokens[t], k);
  alignas(64) float sums[kStep / 16][16][kVector] = {};
  FK_TILES_ON_INT8(kStep);
  for (int step = 0; step * kStep < k; step += kQ8Steps) {
    const int left = k / kStep - step, steps = left < kQ8Steps ? left : kQ8Steps;
    const FewShorts few(x, n, step, steps);
    const int64_t at = int64_t(step) * Q8Weights::bytes;
    for (int first = 0; first < count; first += 16) {
      for (int r = first; r < first + 16; r++)
        for (int b = 0; b < steps * Q8Weights::bytes; b += 64) __builtin_prefetch(ahead.of(r) + at + b, 0, 2);
      multiply_shorts(rows + first * stride + at, stride, few, steps, sums[first / 16]);
    }
  }
  FK_TILES_OFF();
  for (int r = 0; r < count; r++)
    for (int t = 0; t < n; t++) out[t * kStep + r] = sums[r / 16][r % 16][t];
}

} // namespace
} // namespace fk
