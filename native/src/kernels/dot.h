// The dot form: a few rows of weights at a time, each read once from memory, against a few tokens.
#pragma once
#include "activation.h"
#include "weights.h"

namespace fk {
namespace {

constexpr int kDotRows = 4;
// Tokens whose sums fit the registers beside four rows.
#ifdef __AVX512F__
constexpr int kDotTokens = 4;
#else
constexpr int kDotTokens = 2;
#endif
// Bytes by which the software prefetch runs ahead of the loads in each row.
constexpr int kAhead = 1024;

// sums[t] += one step of a row · token t
template <class W, int T> FK_INLINE void multiply_step(const uint8_t *w, const float *const *x, int k, Floats (&sums)[T]) {
  Floats row[kRegisters];
  W::load(w, row);
#pragma GCC unroll 4
  for (int t = 0; t < T; t++)
#pragma GCC unroll 8
    for (int i = 0; i < kRegisters; i++) sums[t] += row[i] * load(x[t] + k + kLanes * i);
}

template <class W, int T> FK_INLINE void multiply_step(const uint8_t *w, const bf16 *const *x, int k, Floats (&sums)[T]) {
#ifdef __AVX512BF16__
  static_assert(__is_same(W, Bf16Weights), "bf16 tokens meet bf16 weights only");
  __m512bh row;
  memcpy(&row, w, sizeof row);
#pragma GCC unroll 4
  for (int t = 0; t < T; t++) {
    __m512bh token;
    memcpy(&token, x[t] + k, sizeof token);
    sums[t] = _mm512_dpbf16_ps(sums[t], token, row);
  }
#else
  Floats row[kRegisters];
  W::load(w, row);
  for (int t = 0; t < T; t++)
    for (int i = 0; i < kRegisters; i++) sums[t] += row[i] * load_bf16((const uint8_t *)(x[t] + k + kLanes * i));
#endif
}

template <class W> FK_INLINE void prefetch_step(const uint8_t *p) {
  for (int i = 0; i < W::bytes; i += 64) __builtin_prefetch(p + i, 0, 3);
}

// out[r][t] = rows[r] · x[t] over k elements; x is padded with zeros to a multiple of kStep. `next` are the rows to be
// read after these.
template <class W, int T, class X>
inline void dot_rows(const uint8_t *const (&rows)[kDotRows], const uint8_t *const (&next)[kDotRows], int k,
                     const X *const *x, float (&out)[kDotRows][kDotTokens]) {
  Floats sums[kDotRows][T] = {};
  const int steps = k / kStep, lead = kAhead / W::bytes, same = steps > lead ? steps - lead : 0;
  const auto step = [&](int s, const uint8_t *const (&ahead)[kDotRows], int64_t distance) __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (int r = 0; r < kDotRows; r++) {
      prefetch_step<W>(ahead[r] + int64_t(s) * W::bytes + distance);
      multiply_step<W, T>(rows[r] + int64_t(s) * W::bytes, x, s * kStep, sums[r]);
    }
  };
  for (int s = 0; s < same; s++) step(s, rows, lead * W::bytes);
  for (int s = same; s < steps; s++) step(s, next, -int64_t(same) * W::bytes);
  if (k % kStep)
    for (int r = 0; r < kDotRows; r++)
      multiply_step<W, T>(Tail<W>(rows[r] + int64_t(steps) * W::bytes, k % kStep).data, x, steps * kStep, sums[r]);
  for (int r = 0; r < kDotRows; r++)
    for (int t = 0; t < T; t++) out[r][t] = sum(sums[r][t]);
}

// Tokens beyond kDotTokens find the rows in the cache.
template <class W, class X>
inline void dot_rows(const uint8_t *const (&rows)[kDotRows], const uint8_t *const (&next)[kDotRows], int k,
                     const X *const *x, int tokens, float (&out)[kDotRows][kDotTokens]) {
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
  X *to = (X *)job.rows_x + int64_t(token) * job.hidden_k;
  convert_weights<F32Weights>((const uint8_t *)x, job.layer.hidden, job.hidden_k, to);
}

// act[t][r0 .. r1) of a task in dot form.
template <class W, class X> inline void gate_up_dot(const Job &job, const Task &task, int r0, int r1) {
  const fk_expert &e = task.expert;
  const int n = e.routes, first = e.row_begin, last = task.rows - 1;
  const uint8_t *gate = (const uint8_t *)e.gate, *up = (const uint8_t *)e.up;
  const X *x[kMaxDotTokens];
  for (int t = 0; t < n; t++) x[t] = (const X *)job.rows_x + int64_t(task.tokens[t]) * job.hidden_k;

  // Four rows at once: two of gate and two of up, or four of up.
  const int at_once = gate ? kDotRows / 2 : kDotRows;
  const auto place = [&](const uint8_t *(&rows)[kDotRows], int r) {
    for (int i = 0; i < at_once; i++) {
      const int64_t row = first + (r + i < last ? r + i : last);
      rows[i] = gate ? gate + row * e.gate_stride : up + row * e.up_stride;
      if (gate) rows[at_once + i] = up + row * e.up_stride;
    }
  };

  for (int r = r0; r < r1; r += kVector) {
    float g[kMaxDotTokens][kVector], u[kMaxDotTokens][kVector], dots[kDotRows][kDotTokens];
    for (int i = 0; i < kVector; i += at_once) {
      const uint8_t *rows[kDotRows], *next[kDotRows];
      place(rows, r + i);
      place(next, r + i + at_once);
      for (int t = 0; t < n; t += kDotTokens) {
        const int tokens = n - t < kDotTokens ? n - t : kDotTokens;
        dot_rows<W>(rows, next, job.layer.hidden, x + t, tokens, dots);
        for (int j = 0; j < kDotRows; j++)
          for (int q = 0; q < tokens; q++) (gate && j < at_once ? g : u)[t + q][i + j % at_once] = dots[j][q];
      }
    }
    for (int t = 0; t < n; t++) {
      float out[kVector];
      for (int i = 0; i < kVector; i++) {
        const int row = first + (r + i < last ? r + i : last);
        if (e.gate_bias) g[t][i] += e.gate_bias[row];
        if (e.up_bias) u[t][i] += e.up_bias[row];
      }
      activate(job.layer, gate ? g[t] : nullptr, u[t], out);
      X *act = (X *)task.act + int64_t(t) * task.act_k;
      const int end = r + kVector > last ? task.act_k - r : kVector; // the last rows zero the padding
      for (int i = 0; i < end; i++) put_element(act + r + i, r + i <= last ? out[i] : 0);
    }
  }
}

// y[token][c0 .. c1) += weight · down · act of a task in dot form.
template <class W, class X> inline void down_dot(const Job &job, const Task &task, int c0, int c1) {
  const fk_expert &e = task.expert;
  const uint8_t *down = (const uint8_t *)e.down + offset<W>(e.row_begin);
  const X *act[kMaxDotTokens];
  for (int t = 0; t < e.routes; t++) act[t] = (const X *)task.act + int64_t(t) * task.act_k;
  const auto place = [&](const uint8_t *(&rows)[kDotRows], int c) {
    for (int i = 0; i < kDotRows; i++) rows[i] = down + (c + i < c1 ? c + i : c1 - 1) * e.down_stride;
  };
  for (int c = c0; c < c1; c += kDotRows) {
    const uint8_t *rows[kDotRows], *next[kDotRows];
    place(rows, c);
    place(next, c + kDotRows);
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
