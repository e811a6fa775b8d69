// What the dot form's tokens (x, then the activations) are rounded to, and how 32 weights meet 32 of their elements.
#pragma once
#include "weights.h"

namespace fk {
namespace {

// Sixteen-bit integers with a scale for every 32: finer than bf16, and Q8_0's bytes multiply them as integers.
typedef int16_t int16;

template <class X> struct Token {
  const X *values;
  Token() = default;
  Token(const void *row, int) : values((const X *)row) {}
};

// A row of k: its values, then the scales.
template <> struct Token<int16> {
  const int16 *values;
  const float *scales;
  Token() = default;
  Token(const void *row, int k) : values((const int16 *)row), scales((const float *)(values + round_up(k, kStep))) {}
};

// Eight-bit integers with a scale for every 32. Beside weights whose scales are for 32: scale and sum (times the scale) in
// turn; beside weights whose scales are for 16: the scale of each 16, and the sums of 16 times it. Beside sixteen bytes
// that hold 32 weights, the first sixteen in their low nibbles: of each 128 values the first sixteen of every 32, then the
// others.
struct Int8Chunk {
  int8_t values[kInt8Chunk];
  int8_t split[kInt8Chunk];
  float pairs[kInt8Chunk / 16];
  float scales[kInt8Chunk / 16];
  float sums[kInt8Chunk / 16];
};
static_assert(sizeof(Int8Chunk) == kInt8ChunkBytes, "");

template <> struct Token<Int8Chunk> {
  const Int8Chunk *values;
  Token(const void *row, int) : values((const Int8Chunk *)row) {}
};

// Elements [k, k + kStep) of a token.
FK_INLINE void put_step(const Token<float> &token, int k, const float *f) {
  memcpy((float *)token.values + k, f, kStep * sizeof(float));
}

FK_INLINE void put_step(const Token<bf16> &token, int k, const float *f) {
  bf16 *to = (bf16 *)token.values + k;
  for (int i = 0; i < kStep; i++) to[i] = to_bf16(f[i]);
}

// Of 32 values: the factor that makes the largest magnitude `largest`, and its inverse, NaN where one is not finite.
FK_INLINE float integer_scale(const float *f, float largest, float &scale) {
  uint32_t most = 0; // bits of the largest magnitude, NaN above infinity above all others
  for (int i = 0; i < kStep; i++) {
    const uint32_t magnitude = float_to_bits(f[i]) & 0x7fffffff;
    most = magnitude > most ? magnitude : most;
  }
  const float magnitude = bits_to_float(most);
  scale = most < 0x7f800000 ? magnitude / largest : bits_to_float(0x7fc00000);
  return magnitude > 1e-30f ? largest / magnitude : 0;
}

constexpr float kMagic = 12582912.0f; // 1.5 · 2^23: adding it rounds to an integer
FK_INLINE int32_t rounded(float f) { return int32_t(float_to_bits(f + kMagic) - 0x4b400000u); }

FK_INLINE void put_step(const Token<int16> &token, int k, const float *f) {
  float scale;
  const float factor = integer_scale(f, 32767, scale);
  int16 *to = (int16 *)token.values + k;
  for (int i = 0; i < kStep; i++) to[i] = int16(rounded(f[i] * factor));
  ((float *)token.scales)[k / kStep] = scale;
}

FK_INLINE void put_step(const Token<Int8Chunk> &token, int k, const float *f) {
  Int8Chunk &chunk = ((Int8Chunk *)token.values)[k / kInt8Chunk];
  const int at = k % kInt8Chunk;
  float scale;
  const float factor = integer_scale(f, 127, scale);
  for (int i = 0; i < kStep; i++) chunk.values[at + i] = int8_t(rounded(f[i] * factor));
  int32_t sums[2] = {};
  for (int half = 0; half < 2; half++) {
    for (int i = 0; i < 16; i++) sums[half] += chunk.values[at + 16 * half + i];
    chunk.scales[at / 16 + half] = scale;
    chunk.sums[at / 16 + half] = scale * float(sums[half]);
  }
  int8_t *split = chunk.split + at / 128 * 128 + at % 128 / 2;
  memcpy(split, chunk.values + at, 16);
  memcpy(split + 64, chunk.values + at + 16, 16);
  chunk.pairs[at / 16] = scale;
  chunk.pairs[at / 16 + 1] = scale * float(sums[0] + sums[1]);
}

// Elements [k, k + kStep) of a row of n in some layout.
inline void put_step(Rows rows, void *row, int n, int k, const float *f) {
  switch (rows) {
  case Rows::f32: return put_step(Token<float>(row, n), k, f);
  case Rows::bf16: return put_step(Token<bf16>(row, n), k, f);
  case Rows::int16: return put_step(Token<int16>(row, n), k, f);
  case Rows::int8: return put_step(Token<Int8Chunk>(row, n), k, f);
  }
}

// sums[t] += one step of a row · token t
template <class W, int T>
FK_INLINE void multiply_step(const uint8_t *w, const Token<float> *x, int k, Floats (&sums)[T]) {
  Floats row[kRegisters];
  W::load(w, row);
#pragma GCC unroll 4
  for (int t = 0; t < T; t++)
#pragma GCC unroll 8
    for (int i = 0; i < kRegisters; i++) sums[t] += row[i] * load(x[t].values + k + kLanes * i);
}

template <class W, int T>
FK_INLINE void multiply_step(const uint8_t *w, const Token<bf16> *x, int k, Floats (&sums)[T]) {
#ifdef __AVX512BF16__
  static_assert(__is_same(W, Bf16Weights), "bf16 tokens meet bf16 weights only");
  __m512bh row;
  memcpy(&row, w, sizeof row);
#pragma GCC unroll 4
  for (int t = 0; t < T; t++) {
    __m512bh token;
    memcpy(&token, x[t].values + k, sizeof token);
    sums[t] = _mm512_dpbf16_ps(sums[t], token, row);
  }
#else
  Floats row[kRegisters];
  W::load(w, row);
  for (int t = 0; t < T; t++)
    for (int i = 0; i < kRegisters; i++) sums[t] += row[i] * load_bf16((const uint8_t *)(x[t].values + k + kLanes * i));
#endif
}

template <class W, int T>
FK_INLINE void multiply_step(const uint8_t *w, const Token<int16> *x, int k, Floats (&sums)[T]) {
  static_assert(__is_same(W, Q8Weights), "integer tokens meet Q8_0 weights only");
  const float scale = W::scale(w);
#if defined(__AVX512F__)
  const __m512i row = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(w + 2)));
#pragma GCC unroll 4
  for (int t = 0; t < T; t++) {
    const __m512i products = _mm512_madd_epi16(row, _mm512_loadu_si512(x[t].values + k));
    sums[t] += _mm512_cvtepi32_ps(products) * splat(scale * x[t].scales[k / kStep]);
  }
#elif defined(__AVX2__)
  const __m256i low = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(w + 2)));
  const __m256i high = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(w + 18)));
#pragma GCC unroll 4
  for (int t = 0; t < T; t++) {
    const __m256i *token = (const __m256i *)(x[t].values + k);
    const __m256i products = _mm256_add_epi32(_mm256_madd_epi16(low, _mm256_loadu_si256(token)),
                                              _mm256_madd_epi16(high, _mm256_loadu_si256(token + 1)));
    sums[t] += _mm256_cvtepi32_ps(products) * splat(scale * x[t].scales[k / kStep]);
  }
#else
  for (int t = 0; t < T; t++) {
    const float both = scale * x[t].scales[k / kStep];
    int32_t products[kLanes] = {};
    for (int i = 0; i < kStep; i++) products[i % kLanes] += int8_t(w[2 + i]) * x[t].values[k + i];
    for (int i = 0; i < kLanes; i++) sums[t][i] += float(products[i]) * both;
  }
#endif
}

} // namespace
} // namespace fk
