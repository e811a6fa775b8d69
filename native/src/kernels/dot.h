// The dot form: a few rows of weights at a time, each read once from memory, against a few tokens.
#pragma once
#include "activation.h"
#include "tokens.h"

namespace fk {
namespace {

constexpr int kDotRows = 8;
// Tokens whose sums fit the registers beside four rows; beside eight, half as many.
#ifdef __AVX512F__
constexpr int kDotTokens = 4;
#else
constexpr int kDotTokens = 2;
#endif
// Bytes by which the software prefetch runs ahead of the loads in each row.
constexpr int kAhead = 2048;
// Into which cache: 2 is the second level, 3 the first, where fewer lines can be under way on an EPYC.
#ifdef __AMX_TILE__
constexpr int kAheadLocality = 3;
#else
constexpr int kAheadLocality = 2;
#endif
// Rows against one or two tokens of up to so many bytes are faster one after the other than abreast.
constexpr int kShortTokens = 8192;

template <class W> FK_INLINE void prefetch_step(const uint8_t *p) {
  for (int i = 0; i < W::bytes; i += 64) __builtin_prefetch(p + i, 0, kAheadLocality);
}

// Turns of rows by which the prefetch leads where rows are shorter than kAhead.
template <class W> FK_INLINE int ahead(int k) {
  const int64_t bytes = offset<W>(k);
  return bytes > kAhead ? 1 : int((kAhead + bytes - 1) / (bytes > 0 ? bytes : 1));
}

// out[r][t] = rows[r] · x[t] over k elements, where the tokens are padded with zeros to a multiple of kStep. `next` are
// the rows to be read ahead(k) turns later. Eight rows go abreast, or twice four.
template <class W, int T, class X>
inline void dot_rows_abreast(const uint8_t *const (&rows)[kDotRows], const uint8_t *const (&next)[kDotRows], int k,
                             const Token<X> *x, float (&out)[kDotRows][kDotTokens]) {
  constexpr int kAbreast = 2 * T <= kDotTokens ? kDotRows : kDotRows / 2;
  const int steps = k / kStep, lead = kAhead / W::bytes, same = steps > lead ? steps - lead : 0;
  for (int first = 0; first < kDotRows; first += kAbreast) {
    Floats sums[kAbreast][T] = {};
    const uint8_t *at[kAbreast];
#pragma GCC unroll 8
    for (int r = 0; r < kAbreast; r++) at[r] = rows[first + r];
    for (int s = 0; s < same; s++)
#pragma GCC unroll 8
      for (int r = 0; r < kAbreast; r++) {
        prefetch_step<W>(at[r] + int64_t(s + lead) * W::bytes);
        multiply_step<W, T>(at[r] + int64_t(s) * W::bytes, x, s * kStep, sums[r]);
      }
    for (int s = same; s < steps; s++)
#pragma GCC unroll 8
      for (int r = 0; r < kAbreast; r++) {
        prefetch_step<W>(next[first + r] + int64_t(s - same) * W::bytes);
        multiply_step<W, T>(at[r] + int64_t(s) * W::bytes, x, s * kStep, sums[r]);
      }
    if (k % kStep)
      for (int r = 0; r < kAbreast; r++)
        multiply_step<W, T>(Tail<W>(at[r] + int64_t(steps) * W::bytes, k % kStep).data, x, steps * kStep, sums[r]);
    for (int r = 0; r < kAbreast; r++)
      for (int t = 0; t < T; t++) out[first + r][t] = sum(sums[r][t]);
  }
}

// The same, one row after the other, each with several sums along k: for rows so short that four streams at once are
// slower than one. The prefetch runs on into the rows that follow in memory.
template <class W, int T, class X>
inline void dot_rows_in_turn(const uint8_t *const (&rows)[kDotRows], int k, const Token<X> *x,
                             float (&out)[kDotRows][kDotTokens]) {
  constexpr int kChains = 4 / T;
  const int steps = k / kStep;
  for (int r = 0; r < kDotRows; r++) {
    Floats sums[kChains][T] = {};
    const uint8_t *row = rows[r];
    int s = 0;
    for (; s + kChains <= steps; s += kChains)
#pragma GCC unroll 4
      for (int c = 0; c < kChains; c++) {
        const uint8_t *w = row + int64_t(s + c) * W::bytes;
        prefetch_step<W>(w + kAhead);
        multiply_step<W, T>(w, x, (s + c) * kStep, sums[c]);
      }
    for (; s < steps; s++) multiply_step<W, T>(row + int64_t(s) * W::bytes, x, s * kStep, sums[0]);
    if (k % kStep)
      multiply_step<W, T>(Tail<W>(row + int64_t(steps) * W::bytes, k % kStep).data, x, steps * kStep, sums[0]);
    for (int t = 0; t < T; t++) {
      for (int c = 1; c < kChains; c++) sums[0][t] += sums[c][t];
      out[r][t] = sum(sums[0][t]);
    }
  }
}

template <class W, int T, class X>
inline void dot_rows(const uint8_t *const (&rows)[kDotRows], const uint8_t *const (&next)[kDotRows], int k,
                     const Token<X> *x, float (&out)[kDotRows][kDotTokens]) {
  if (T <= 2 && k * T * int(sizeof(X)) <= kShortTokens)
    dot_rows_in_turn<W, T <= 2 ? T : 1>(rows, k, x, out);
  else
    dot_rows_abreast<W, T>(rows, next, k, x, out);
}

// Tokens beyond kDotTokens find the rows in the cache.
template <class W, class X>
inline void dot_rows(const uint8_t *const (&rows)[kDotRows], const uint8_t *const (&next)[kDotRows], int k,
                     const Token<X> *x, int tokens, float (&out)[kDotRows][kDotTokens]) {
  switch (tokens) {
  case 1: return dot_rows<W, 1>(rows, next, k, x, out);
  case 2: return dot_rows<W, 2>(rows, next, k, x, out);
#if defined(__AVX512F__)
  case 3: return dot_rows<W, 3>(rows, next, k, x, out);
  default: return dot_rows<W, 4>(rows, next, k, x, out);
#endif
  }
}

// As Arithmetic::dot, for weights W and tokens X.
template <class W, class X>
inline void dot_step_rows(const uint8_t *rows, int64_t stride, int count, int k, const void *const *tokens, int n,
                          float *out) {
  const int lead = kDotRows * ahead<W>(k);
  Token<X> x[kMaxDotTokens];
  for (int t = 0; t < n; t++) x[t] = Token<X>(tokens[t], k);
  for (int r = 0; r < count; r += kDotRows) {
    const uint8_t *at[kDotRows], *next[kDotRows];
    for (int i = 0; i < kDotRows; i++) {
      at[i] = rows + (r + i < count ? r + i : count - 1) * stride;
      next[i] = at[i] + lead * stride;
    }
    for (int t = 0; t < n; t += kDotTokens) {
      const int live = n - t < kDotTokens ? n - t : kDotTokens;
      float dots[kDotRows][kDotTokens];
      dot_rows<W>(at, next, k, x + t, live, dots);
      for (int i = 0; i < kDotRows && r + i < count; i++)
        for (int q = 0; q < live; q++) out[(t + q) * kStep + r + i] = dots[i][q];
    }
  }
}

} // namespace
} // namespace fk
