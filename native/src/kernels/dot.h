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

template <class X> inline void convert_row(const Job &job, int token) {
  const float *x = job.x + int64_t(token) * job.layer.hidden;
  const Token<X> to(job.rows_x, token, job.hidden_k);
  for (int k = 0; k < job.layer.hidden; k += kStep) {
    float part[kStep] = {};
    const int live = job.layer.hidden - k < kStep ? job.layer.hidden - k : kStep;
    memcpy(part, x + k, size_t(live) * sizeof(float));
    put_step(to, k, part);
  }
}

// act[t][r0 .. r1) of a task in dot form.
template <class W, class X> inline void gate_up_dot(const Job &job, const Task &task, int r0, int r1) {
  const fk_expert &e = task.expert;
  const int n = e.routes, first = e.row_begin, last = task.rows - 1;
  const uint8_t *gate = (const uint8_t *)e.gate, *up = (const uint8_t *)e.up;
  Token<X> x[kMaxDotTokens];
  for (int t = 0; t < n; t++) x[t] = Token<X>(job.rows_x, task.tokens[t], job.hidden_k);

  // Half of the rows are gate's and half up's, or all are up's.
  const int at_once = gate ? kDotRows / 2 : kDotRows, lead = at_once * ahead<W>(job.layer.hidden);
  const auto place = [&](const uint8_t *(&rows)[kDotRows], int r) {
    for (int i = 0; i < at_once; i++) {
      const int64_t row = first + (r + i < last ? r + i : last);
      rows[i] = gate ? gate + row * e.gate_stride : up + row * e.up_stride;
      if (gate) rows[at_once + i] = up + row * e.up_stride;
    }
  };

  for (int r = r0; r < r1; r += kStep) {
    float g[kMaxDotTokens][kStep], u[kMaxDotTokens][kStep], dots[kDotRows][kDotTokens];
    for (int i = 0; i < kStep; i += at_once) {
      const uint8_t *rows[kDotRows], *next[kDotRows];
      place(rows, r + i);
      place(next, r + i + lead);
      for (int t = 0; t < n; t += kDotTokens) {
        const int tokens = n - t < kDotTokens ? n - t : kDotTokens;
        dot_rows<W>(rows, next, job.layer.hidden, x + t, tokens, dots);
        for (int j = 0; j < at_once; j++)
          for (int q = 0; q < tokens; q++) {
            if (gate) g[t + q][i + j] = dots[j][q];
            u[t + q][i + j] = dots[gate ? at_once + j : j][q];
          }
      }
    }
    const int live = task.rows - r < kStep ? task.rows - r : kStep;
    for (int t = 0; t < n; t++) {
      float out[kStep];
      for (int i = 0; i < live; i++) {
        if (e.gate_bias) g[t][i] += e.gate_bias[first + r + i];
        if (e.up_bias) u[t][i] += e.up_bias[first + r + i];
      }
      for (int i = 0; i < kStep; i += kVector) activate(job.layer, gate ? g[t] + i : nullptr, u[t] + i, out + i);
      for (int i = live; i < kStep; i++) out[i] = 0;
      put_step(Token<X>(task.act, t, task.act_k), r, out);
    }
  }
}

// y[token][c0 .. c1) += weight · down · act of a task in dot form.
template <class W, class X> inline void down_dot(const Job &job, const Task &task, int c0, int c1) {
  const fk_expert &e = task.expert;
  const uint8_t *down = (const uint8_t *)e.down + offset<W>(e.row_begin);
  const int lead = kDotRows * ahead<W>(task.rows);
  Token<X> act[kMaxDotTokens];
  for (int t = 0; t < e.routes; t++) act[t] = Token<X>(task.act, t, task.act_k);
  const auto place = [&](const uint8_t *(&rows)[kDotRows], int c) {
    for (int i = 0; i < kDotRows; i++) rows[i] = down + (c + i < c1 ? c + i : c1 - 1) * e.down_stride;
  };
  for (int c = c0; c < c1; c += kDotRows) {
    const uint8_t *rows[kDotRows], *next[kDotRows];
    place(rows, c);
    place(next, c + lead);
    for (int t = 0; t < e.routes; t += kDotTokens) {
      const int tokens = e.routes - t < kDotTokens ? e.routes - t : kDotTokens;
      float dots[kDotRows][kDotTokens];
      dot_rows<W>(rows, next, task.rows, act + t, tokens, dots);
      for (int q = 0; q < tokens; q++) {
        float *y = job.y + int64_t(task.tokens[t + q]) * job.layer.hidden;
        for (int i = 0; i < kDotRows && c + i < c1; i++)
          y[c + i] += task.weights[t + q] * (dots[i][q] + (e.down_bias ? e.down_bias[c + i] : 0));
      }
    }
  }
}

} // namespace
} // namespace fk
