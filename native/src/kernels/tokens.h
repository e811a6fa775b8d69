// What the dot form's tokens (x, then the activations) are rounded to, and how 32 weights meet 32 of their elements.
#pragma once
#include "weights.h"

namespace fk {
namespace {

// Sixteen-bit integers with a scale for every 32: finer than bf16, and Q8_0's bytes multiply them as integers.
typedef int16_t int16;

// Elements of X that a token of k (a multiple of kStep) takes.
template <class X> constexpr int64_t token_elements(int64_t k) { return k; }
template <> constexpr int64_t token_elements<int16>(int64_t k) { return k + k / kStep * 2; } // scales, as floats, last

template <class X> struct Token {
  const X *values;
  Token() = default;
  Token(const void *base, int64_t index, int k) : values((const X *)base + index * token_elements<X>(k)) {}
};

template <> struct Token<int16> {
  const int16 *values;
  const float *scales;
  Token() = default;
  Token(const void *base, int64_t index, int k)
      : values((const int16 *)base + index * token_elements<int16>(k)), scales((const float *)(values + k)) {}
};

// Elements [k, k + kStep) of a token.
FK_INLINE void put_step(const Token<float> &token, int k, const float *f) {
  memcpy((float *)token.values + k, f, kStep * sizeof(float));
}

FK_INLINE void put_step(const Token<bf16> &token, int k, const float *f) {
  bf16 *to = (bf16 *)token.values + k;
  for (int i = 0; i < kStep; i++) to[i] = to_bf16(f[i]);
}

FK_INLINE void put_step(const Token<int16> &token, int k, const float *f) {
  constexpr float kMagic = 12582912.0f; // 1.5 · 2^23: adding it rounds to an integer
  uint32_t most = 0;                    // bits of the largest magnitude, NaN above infinity above all others
  for (int i = 0; i < kStep; i++) {
    const uint32_t magnitude = float_to_bits(f[i]) & 0x7fffffff;
    most = magnitude > most ? magnitude : most;
  }
  const float largest = bits_to_float(most), scale = largest / 32767;
  const float inverse = largest > 1e-30f ? 32767 / largest : 0;
  int16 *to = (int16 *)token.values + k;
  for (int i = 0; i < kStep; i++) to[i] = int16(float_to_bits(f[i] * inverse + kMagic) - 0x4b400000u);
  ((float *)token.scales)[k / kStep] = most < 0x7f800000 ? scale : bits_to_float(0x7fc00000);
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
