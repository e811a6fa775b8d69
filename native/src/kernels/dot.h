// The dot form: a few rows of weights at a time, each read once from memory, against a few tokens.
#pragma once
#include "activation.h"
#include "groups.h"
#include "tokens.h"
#if defined(__AMX_TILE__) || defined(FK_AMX_EMULATED)
#define FK_AMX
#endif

namespace fk {
namespace {

constexpr int kDotRows = 8;
// Tokens whose sums fit the registers beside four rows; beside eight, half as many.
#ifdef __AVX512F__
constexpr int kDotTokens = 4;
#else
constexpr int kDotTokens = 2;
#endif
// Bytes by which the software prefetch runs ahead of the loads.
constexpr int kAhead = 8192;
constexpr int kAheadLocality = 3; // into the first level; 2 is the second
// Rows against one or two tokens of up to so many bytes are faster one after the other than abreast.
constexpr int kShortTokens = 8192;

template <class W> FK_INLINE void prefetch_step(const uint8_t *p) {
  for (int i = 0; i < W::bytes; i += 64) __builtin_prefetch(p + i, 0, kAheadLocality);
}

// Turns of rows by which the prefetch leads where eight go abreast.
template <class W> FK_INLINE int turns_ahead(int k) {
  const int64_t bytes = offset<W>(k);
  return bytes > kAhead ? 1 : int((kAhead + bytes - 1) / (bytes > 0 ? bytes : 1));
}

// Which row is brought near while one of `count` rows, `stride` bytes apart, is computed: the one that begins at least
// kAhead bytes behind it. Behind the last of them are those at `next`, where the thread reads on.
class RowsAhead {
public:
  RowsAhead(const uint8_t *rows, int64_t stride, int count, const uint8_t *next)
      : RowsAhead(rows, stride, count, next, stride > kAhead ? 1 : stride < 1 ? 0 : int((kAhead + stride - 1) / stride)) {}
  // The row `lead` rows behind it.
  RowsAhead(const uint8_t *rows, int64_t stride, int count, const uint8_t *next, int lead)
      : rows_(rows), next_(next), stride_(stride), count_(count), lead_(lead < count ? lead : count) {}
  FK_INLINE const uint8_t *of(int row) const {
    const int at = row + lead_;
    return at < count_ ? rows_ + at * stride_ : next_ ? next_ + (at - count_) * stride_ : rows_ + row * stride_;
  }

private:
  const uint8_t *rows_, *next_;
  int64_t stride_;
  int count_, lead_;
};

// out[r][t] = rows[r] · x[t] over k elements, where the tokens are padded with zeros to a multiple of kStep. `next` are
// the rows to be read turns_ahead(k) turns later. Eight rows go abreast, or twice four.
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

// Steps that are multiplied at once, with as many sums or fewer.
template <class W, int T, class X> constexpr int kAtOnce = 4 / T;
template <class W, int T, int Chains, class X>
FK_INLINE void multiply_steps(const uint8_t *w, const Token<X> *x, int k, Floats (&sums)[Chains][T]) {
#pragma GCC unroll 4
  for (int c = 0; c < Chains; c++) multiply_step<W, T>(w + int64_t(c) * W::bytes, x, k + c * kStep, sums[c]);
}

#ifdef __AVX512F__
// Eight blocks of Q8_0, whose scales are taken together.
template <int T> constexpr int kAtOnce<Q8Weights, T, int16> = 8;
template <class W, int T, int Chains>
FK_INLINE void multiply_steps(const uint8_t *w, const Token<int16> *x, int k, Floats (&sums)[Chains][T]) {
  const __m256 scale = eight_halves<W::bytes>(w);
  float scales[T][8];
#pragma GCC unroll 4
  for (int t = 0; t < T; t++) _mm256_storeu_ps(scales[t], scale * _mm256_loadu_ps(x[t].scales + k / kStep));
#pragma GCC unroll 8
  for (int s = 0; s < 8; s++) {
    const __m512i row = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(w + s * W::bytes + 2)));
#pragma GCC unroll 4
    for (int t = 0; t < T; t++) {
      const __m512i products = _mm512_madd_epi16(row, _mm512_loadu_si512(x[t].values + k + s * kStep));
      sums[s % Chains][t] += _mm512_cvtepi32_ps(products) * splat(scales[t][s]);
    }
  }
}
#endif

// The same, one row after the other, each with several sums along k: for rows so short that four streams at once are
// slower than one.
template <class W, int T, class X>
inline void dot_rows_in_turn(const uint8_t *const (&rows)[kDotRows], const uint8_t *const (&next)[kDotRows], int k,
                             const Token<X> *x, float (&out)[kDotRows][kDotTokens]) {
  constexpr int kChains = 4 / T;
  constexpr int kMany = kAtOnce<W, T, X>;
  const int steps = k / kStep;
  for (int r = 0; r < kDotRows; r++) {
    Floats sums[kChains][T] = {};
    const uint8_t *row = rows[r];
    int s = 0;
    for (; s + kMany <= steps; s += kMany) {
      for (int i = 0; i < kMany * W::bytes; i += 64) __builtin_prefetch(next[r] + int64_t(s) * W::bytes + i, 0, kAheadLocality);
      multiply_steps<W, T>(row + int64_t(s) * W::bytes, x, s * kStep, sums);
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

// Whether rows against T tokens of k elements are computed one after the other: also where steps are cheaper together.
template <class W, class X> FK_INLINE bool in_turn(int tokens, int k) {
  return (tokens == 1 && kAtOnce<W, 1, X> > 4) || (tokens <= 2 && k * tokens * int(sizeof(X)) <= kShortTokens);
}

template <class W, int T, class X>
inline void dot_rows(const uint8_t *const (&rows)[kDotRows], const uint8_t *const (&next)[kDotRows], int k,
                     const Token<X> *x, float (&out)[kDotRows][kDotTokens]) {
  if (in_turn<W, X>(T, k))
    dot_rows_in_turn<W, T <= 2 ? T : 1>(rows, next, k, x, out);
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

#ifdef FK_AMX
// Tokens up to which the vector units are as fast as AMX, of Q8_0.
constexpr int kStepTokensBeforeAmx = 4;
inline void dot_q8_amx(const uint8_t *, int64_t, int, int, const void *const *, int, float *, const uint8_t *);
#endif

// As Arithmetic::dot, for weights W and tokens X.
template <class W, class X>
inline void dot_step_rows(const uint8_t *rows, int64_t stride, int count, int k, const void *const *tokens, int n,
                          float *out, const uint8_t *after) {
#ifdef FK_AMX
  if constexpr (__is_same(X, int16))
    if (n > kStepTokensBeforeAmx && count >= 16) {
      const int whole = count / 16 * 16;
      dot_q8_amx(rows, stride, whole, k, tokens, n, out, whole < count ? rows + whole * stride : after);
      if (whole == count) return;
      rows += whole * stride, out += whole, count -= whole;
    }
#endif
  const RowsAhead ahead = in_turn<W, X>(n, k) ? RowsAhead(rows, stride, count, after)
                                              : RowsAhead(rows, stride, count, after, kDotRows * turns_ahead<W>(k));
  Token<X> x[kMaxDotTokens];
  for (int t = 0; t < n; t++) x[t] = Token<X>(tokens[t], k);
  for (int r = 0; r < count; r += kDotRows) {
    const uint8_t *at[kDotRows], *next[kDotRows];
    for (int i = 0; i < kDotRows; i++) {
      at[i] = rows + (r + i < count ? r + i : count - 1) * stride;
      next[i] = ahead.of(r + i < count ? r + i : count - 1);
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
