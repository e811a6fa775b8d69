// AMX-BF16. Weights are the left operand of TDPBF16PS, whose rows are contiguous along k as stored: nothing is
// interleaved. Tokens are the right operand, packed once in pairs along k. Tiles 0-3 hold 32 rows x 32 tokens of sums,
// 4 and 5 weights, 6 and 7 tokens.
#pragma once
#include "amx.h"
#include "tile.h"

namespace fk {
namespace {

struct AmxTile {
  using Element = bf16;
  static constexpr int kRows = 32, kVectors = 2, kDepth = 512, kInPlace = 4, kNarrow = 4;
  static constexpr bool kSpread = true;
  static void begin() { FK_TILES_ON(); }
  static void end() { FK_TILES_OFF(); }

  template <int V> static inline void run(const Operands<bf16> &o) {
    if (o.live_rows > 16)
      multiply<2, V>(o);
    else
      multiply<1, V>(o);
  }

  // 16 rows times up to four vectors: tiles 0-3 hold sums, 4 weights, 5 to 7 tokens.
  template <int V> static inline void narrow(const Operands<bf16> &o) {
    zero_sums();
    const int64_t stride = o.row_stride * int64_t(sizeof(bf16));
    for (int k = 0; k < o.k; k += kStep) {
      const bf16 *tokens = o.tokens + k * kVector;
      FK_TILE_LOAD(4, o.rows + k, stride);
      FK_TILE_LOAD(5, tokens, 64);
      FK_TILE_DOT(0, 4, 5);
      if (V > 1) {
        FK_TILE_LOAD(6, tokens + o.vector_stride, 64);
        FK_TILE_DOT(1, 4, 6);
      }
      if (V > 2) {
        FK_TILE_LOAD(7, tokens + 2 * o.vector_stride, 64);
        FK_TILE_DOT(2, 4, 7);
      }
      if (V > 3) {
        FK_TILE_LOAD(5, tokens + 3 * o.vector_stride, 64);
        FK_TILE_DOT(3, 4, 5);
      }
      o.ahead->turn();
    }
    FK_TILE_STORE(0, o.sums, 64);
    if (V > 1) FK_TILE_STORE(1, o.sums + kSumsStride, 64);
    if (V > 2) FK_TILE_STORE(2, o.sums + 2 * kSumsStride, 64);
    if (V > 3) FK_TILE_STORE(3, o.sums + 3 * kSumsStride, 64);
  }

  // On numbers as they come: with zeros the units draw less power and run a quarter faster.
  static double peak(int64_t rounds) {
    alignas(64) bf16 operands[4][16 * 32];
    uint32_t random = 1;
    for (auto &operand : operands)
      for (bf16 &value : operand) {
        random = random * 1664525 + 1013904223;
        value = to_bf16(float(int32_t(random)) * 0x1p-31f);
      }
    FK_TILES_ON();
    zero_sums();
    FK_TILE_LOAD(4, operands[0], 64);
    FK_TILE_LOAD(5, operands[1], 64);
    FK_TILE_LOAD(6, operands[2], 64);
    FK_TILE_LOAD(7, operands[3], 64);
    for (int64_t i = 0; i < rounds; i++) {
      FK_TILE_DOT(0, 4, 6);
      FK_TILE_DOT(1, 4, 7);
      FK_TILE_DOT(2, 5, 6);
      FK_TILE_DOT(3, 5, 7);
    }
    FK_TILES_OFF();
    return double(rounds) * 4 * 16 * 16 * 32 * 2;
  }

private:
  static FK_INLINE void zero_sums() {
    FK_TILE_ZERO(0);
    FK_TILE_ZERO(1);
    FK_TILE_ZERO(2);
    FK_TILE_ZERO(3);
  }

  template <int R, int V> static inline void multiply(const Operands<bf16> &o) {
    float *s0 = o.sums, *s1 = o.sums + kSumsStride; // of the two vectors
    const int half = 16 * kVector;                  // sums of 16 rows
    if (o.add) {
      FK_TILE_LOAD(0, s0, 64);
      if (V > 1) FK_TILE_LOAD(1, s1, 64);
      if (R > 1) FK_TILE_LOAD(2, s0 + half, 64);
      if (R > 1 && V > 1) FK_TILE_LOAD(3, s1 + half, 64);
    } else {
      zero_sums();
    }
    const int64_t stride = o.row_stride * int64_t(sizeof(bf16));
    for (int k = 0; k < o.k; k += kStep) {
      FK_TILE_LOAD(4, o.rows + k, stride);
      FK_TILE_LOAD(6, o.tokens + k * kVector, 64);
      FK_TILE_DOT(0, 4, 6);
      if (V > 1) {
        FK_TILE_LOAD(7, o.tokens + o.vector_stride + k * kVector, 64);
        FK_TILE_DOT(1, 4, 7);
      }
      if (R > 1) {
        FK_TILE_LOAD(5, o.rows + 16 * o.row_stride + k, stride);
        FK_TILE_DOT(2, 5, 6);
        if (V > 1) FK_TILE_DOT(3, 5, 7);
      }
      o.ahead->turn();
    }
    FK_TILE_STORE(0, s0, 64);
    if (V > 1) FK_TILE_STORE(1, s1, 64);
    if (R > 1) FK_TILE_STORE(2, s0 + half, 64);
    if (R > 1 && V > 1) FK_TILE_STORE(3, s1 + half, 64);
  }
};

} // namespace
} // namespace fk
