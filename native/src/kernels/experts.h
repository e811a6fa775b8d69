// What all types of weights share: tokens into the layouts that the forms read, gate and up with the activation, and down.
#pragma once
#include "activation.h"
#include "tokens.h"
#include "route.h"

namespace fk {
namespace {

// Zeros after k elements of a row of n, up to where its layout ends.
inline void end_row(Rows layout, void *row, int n, int k) {
  static const float zeros[kStep] = {};
  for (; k < round_up(n, row_unit(layout)); k += kStep) put_step(layout, row, n, k, zeros);
}

inline void convert_row(const Job &job, Rows layout, int token) {
  const int hidden = job.layer.hidden;
  const float *x = job.x + int64_t(token) * hidden;
  void *row = (char *)job.rows_x[int(layout)] + token * row_bytes(layout, hidden);
  for (int k = 0; k < hidden; k += kStep) {
    float part[kStep] = {};
    memcpy(part, x + k, size_t(hidden - k < kStep ? hidden - k : kStep) * sizeof(float));
    put_step(layout, row, hidden, k, part);
  }
  end_row(layout, row, hidden, round_up(hidden, kStep));
}

// Sixteen tokens' values of one k (and, as bf16, the k after it) to where the packed layout has them.
FK_INLINE void put_vector(float *to, const float *a, const float *) { memcpy(to, a, 4 * kVector); }
FK_INLINE void put_vector(bf16 *to, const float *a, const float *b) {
  for (int t = 0; t < kVector; t++) to[2 * t] = to_bf16(a[t]), to[2 * t + 1] = to_bf16(b[t]);
}

template <class E> inline void pack_elements(const Job &job, const Task &task, int vector, int k0, int k1) {
  constexpr int pair = kPair<E>, wide = 4 * pair; // k of one 4 x 4 transposition
  static const float zeros[kStep] = {};
  E *to = (E *)task.packed + (int64_t(vector) * job.hidden_k + k0) * kVector;
  const int live = task.expert.routes - vector * kVector;
  for (int t = 0; t < kVector; t += 4) {
    const float *x[4];
    for (int i = 0; i < 4; i++)
      x[i] = t + i < live ? job.x + int64_t(task.tokens[vector * kVector + t + i]) * job.layer.hidden : nullptr;
    for (int k = k0; k < k1; k += wide) {
      E block[4][wide];
      const void *in[4];
      void *out[4];
      for (int i = 0; i < 4; i++) {
        float part[wide] = {};
        const float *from = x[i] ? x[i] + k : zeros;
        if (x[i] && k + wide > job.layer.hidden) {
          for (int j = 0; k + j < job.layer.hidden; j++) part[j] = from[j];
          from = part;
        }
        for (int j = 0; j < wide; j++) put_element(&block[i][j], from[j]);
        in[i] = block[i];
        out[i] = to + ((k - k0) / pair + i) * kVector * pair + t * pair;
      }
      transpose4(in, out);
    }
  }
}

inline void pack(const Job &job, const Task &task, int vector, int k0, int k1) {
  job.up->tile_element == 4 ? pack_elements<float>(job, task, vector, k0, k1)
                            : pack_elements<bf16>(job, task, vector, k0, k1);
}

inline void add_bias(float (&sums)[kStep], const float *bias, int live) {
  for (int i = 0; bias && i < live; i++) sums[i] += bias[i];
}

// act[t][r0 .. r1) of a task in dot form. `next` is where the thread reads on behind them, or null.
inline void gate_up_dot(const Job &job, const Task &task, int r0, int r1, const uint8_t *next) {
  const fk_expert &e = task.expert;
  const int n = e.routes, hidden = job.layer.hidden;
  const Rows act = job.down->rows;
  const void *gate_x[kMaxDotTokens], *up_x[kMaxDotTokens];
  const auto place = [&](Rows layout, const void *(&x)[kMaxDotTokens]) {
    for (int t = 0; t < n; t++)
      x[t] = (const char *)job.rows_x[int(layout)] + task.tokens[t] * row_bytes(layout, hidden);
  };
  if (e.gate) place(job.gate->rows, gate_x);
  place(job.up->rows, up_x);

  for (int r = r0; r < r1; r += kStep) {
    const int row = e.row_begin + r, live = task.rows - r < kStep ? task.rows - r : kStep;
    float g[kMaxDotTokens][kStep], u[kMaxDotTokens][kStep];
    const uint8_t *up = (const uint8_t *)e.up + row * e.up_stride;
    if (e.gate) job.gate->dot(task.first_row(r), e.gate_stride, live, hidden, gate_x, n, g[0], up);
    job.up->dot(up, e.up_stride, live, hidden, up_x, n, u[0], r + kStep < r1 ? task.first_row(r + kStep) : next);
    for (int t = 0; t < n; t++) {
      float out[kStep];
      if (e.gate) add_bias(g[t], e.gate_bias ? e.gate_bias + row : nullptr, live);
      add_bias(u[t], e.up_bias ? e.up_bias + row : nullptr, live);
      for (int i = 0; i < kStep; i += kVector) activate(job.layer, e.gate ? g[t] + i : nullptr, u[t] + i, out + i);
      for (int i = live; i < kStep; i++) out[i] = 0;
      put_step(act, (char *)task.act + t * row_bytes(act, task.rows), task.rows, r, out);
    }
  }
  for (int t = 0; t < n && r1 == task.rows; t++)
    end_row(act, (char *)task.act + t * row_bytes(act, task.rows), task.rows, task.act_k);
}

// y[token][c0 .. c1) += weight · down · act of a task in dot form; `next` as above.
inline void down_dot(const Job &job, const Task &task, int c0, int c1, const uint8_t *next) {
  const fk_expert &e = task.expert;
  const Arithmetic &down = *job.down;
  const void *act[kMaxDotTokens];
  for (int t = 0; t < e.routes; t++) act[t] = (const char *)task.act + t * row_bytes(down.rows, task.rows);
  for (int c = c0; c < c1; c += kStep) {
    const int live = c1 - c < kStep ? c1 - c : kStep;
    float dots[kMaxDotTokens][kStep];
    down.dot(task.down_row(down, c), e.down_stride, live, task.rows, act, e.routes, dots[0],
             c + kStep < c1 ? task.down_row(down, c + kStep) : next);
    for (int t = 0; t < e.routes; t++) {
      float *y = job.y + int64_t(task.tokens[t]) * job.layer.hidden + c;
      for (int i = 0; i < live; i++) y[i] += task.weights[t] * (dots[t][i] + (e.down_bias ? e.down_bias[c + i] : 0));
    }
  }
}

FK_INLINE bool is(const Following &following, Form form) { return following.task && following.task->form == form; }

// A task's vectors of tokens are taken in so many near-equal blocks.
FK_INLINE int token_blocks(const Task &task) { return (task.vectors * kVector + kTokenBlock - 1) / kTokenBlock; }

// Rows [r, end) of one vector's activations; the sums hold n rows of gate, where there is one, and n of up.
template <class E>
inline void activate_vector(const Job &job, const Task &task, float *sums, int n, int vector, int r0, int r1, int end) {
  const fk_expert &e = task.expert;
  E *act = (E *)task.act + int64_t(vector) * task.act_k * kVector;
  for (int r = r0; r < end; r += kPair<E>) {
    float out[2][kVector] = {};
    for (int i = 0; i < kPair<E> && r + i < r1; i++) {
      float *g = sums + (r + i - r0) * kVector, *u = e.gate ? g + n * kVector : g;
      const int row = e.row_begin + r + i;
      for (int t = 0; e.gate && e.gate_bias && t < kVector; t++) g[t] += e.gate_bias[row];
      for (int t = 0; e.up_bias && t < kVector; t++) u[t] += e.up_bias[row];
      activate(job.layer, e.gate ? g : nullptr, u, out[i]);
    }
    put_vector(act + int64_t(r) * kVector, out[0], out[1]);
  }
}

// Where rows [r0, r1) of gate begin, and behind them those of up. Returns how many there are.
inline int gate_up_rows(const Task &task, int r0, int r1, const uint8_t **rows) {
  const fk_expert &e = task.expert;
  const int n = r1 - r0, first = e.row_begin + r0;
  for (int r = 0; r < n; r++) {
    const uint8_t *up = (const uint8_t *)e.up + int64_t(first + r) * e.up_stride;
    rows[r] = e.gate ? (const uint8_t *)e.gate + int64_t(first + r) * e.gate_stride : up;
    if (e.gate) rows[n + r] = up;
  }
  return e.gate ? 2 * n : n;
}

inline int down_rows(const Arithmetic &down, const Task &task, int c0, int c1, const uint8_t **rows) {
  for (int c = c0; c < c1; c++) rows[c - c0] = task.down_row(down, c);
  return c1 - c0;
}

inline void gate_up_tile(const Job &job, const Task &task, const Scratch &scratch, int r0, int r1,
                         const Following &following) {
  const fk_expert &e = task.expert;
  const uint8_t *rows[kPanelRows];
  const int n = r1 - r0, blocks = token_blocks(task);
  const int end = r1 == task.rows ? task.act_k : r1; // the last rows zero the padding
  gate_up_rows(task, r0, r1, rows);
  NextRows next, none;
  if (is(following, Form::tile)) next.count = gate_up_rows(*following.task, following.begin, following.end, next.rows);
  for (int b = 0; b < blocks; b++) {
    const int v0 = task.vectors * b / blocks, v1 = task.vectors * (b + 1) / blocks;
    const auto multiply = [&](const Arithmetic &type, int from, int count) {
      const bool last = b == blocks - 1 && (from > 0 || count > n || !e.gate);
      type.panel(type, rows + from, from, count, job.layer.hidden, task.packed, v0, v1, scratch, last ? next : none);
    };
    if (!e.gate) {
      multiply(*job.up, 0, n);
    } else if (job.gate == job.up) {
      multiply(*job.up, 0, 2 * n);
    } else {
      multiply(*job.gate, 0, n);
      multiply(*job.up, n, n);
    }
    for (int v = v0; v < v1; v++) {
      float *sums = scratch.sums + (v - v0) * kSumsStride;
      job.down->tile_element == 4 ? activate_vector<float>(job, task, sums, n, v, r0, r1, end)
                                  : activate_vector<bf16>(job, task, sums, n, v, r0, r1, end);
    }
  }
}

// y[token][c] += weight · (sums[c][token] + bias[c]) for `columns` columns and the tokens of one vector, four at a time:
// rows of y, often a power of two apart, would otherwise share one set of the cache.
inline void scatter(const Job &job, const Task &task, const float *sums, int vector, int c0, int columns) {
  const int first = vector * kVector, live = task.expert.routes - first;
  const float *bias = task.expert.down_bias ? task.expert.down_bias + c0 : nullptr;
  for (int t = 0; t < kVector && t < live; t += 4) {
    const int tokens = live - t < 4 ? live - t : 4;
    float *y[4], weights[4];
    for (int i = 0; i < tokens; i++) {
      y[i] = job.y + int64_t(task.tokens[first + t + i]) * job.layer.hidden + c0;
      weights[i] = task.weights[first + t + i];
    }
    for (int c = 0; c < columns; c += 4) {
      const int wide = columns - c < 4 ? columns - c : 4;
      float block[4][4], b[4] = {};
      const void *in[4];
      void *out[4];
      for (int i = 0; i < 4; i++) in[i] = sums + (c + i) * kVector + t, out[i] = block[i];
      transpose4(in, out);
      for (int j = 0; bias && j < wide; j++) b[j] = bias[c + j];
      for (int i = 0; i < tokens; i++)
        for (int j = 0; j < wide; j++) y[i][c + j] += weights[i] * (block[i][j] + b[j]);
    }
  }
}

inline void down_tile(const Job &job, const Task &task, const Scratch &scratch, int c0, int c1,
                      const Following &following) {
  const Arithmetic &down = *job.down;
  const int blocks = token_blocks(task);
  const uint8_t *rows[kPanelRows];
  down_rows(down, task, c0, c1, rows);
  NextRows next, none;
  if (is(following, Form::tile)) next.count = down_rows(down, *following.task, following.begin, following.end, next.rows);
  for (int b = 0; b < blocks; b++) {
    const int v0 = task.vectors * b / blocks, v1 = task.vectors * (b + 1) / blocks;
    down.panel(down, rows, 0, c1 - c0, task.rows, task.act, v0, v1, scratch, b == blocks - 1 ? next : none);
    for (int v = v0; v < v1; v++) scatter(job, task, scratch.sums + (v - v0) * kSumsStride, v, c0, c1 - c0);
  }
}

inline void gate_up(const Job &job, const Task &task, const Scratch &scratch, int r0, int r1, Following following) {
  if (task.form == Form::tile) return gate_up_tile(job, task, scratch, r0, r1, following);
  gate_up_dot(job, task, r0, r1, is(following, Form::dot) ? following.task->first_row(following.begin) : nullptr);
}

inline void down(const Job &job, const Task &task, const Scratch &scratch, int c0, int c1, Following following) {
  if (task.form == Form::tile) return down_tile(job, task, scratch, c0, c1, following);
  down_dot(job, task, c0, c1, is(following, Form::dot) ? following.task->down_row(*job.down, following.begin) : nullptr);
}

inline uint64_t read(const void *address, size_t bytes) {
  typedef uint64_t Words __attribute__((vector_size(kLanes * 4)));
  constexpr int kChains = 8;
  Words sums[kChains] = {};
  const uint8_t *p = (const uint8_t *)address, *end = p + bytes / sizeof sums * sizeof sums;
  for (; p < end; p += sizeof sums)
#pragma GCC unroll 8
    for (int i = 0; i < kChains; i++) {
      Words w;
      memcpy(&w, p + i * sizeof w, sizeof w);
      sums[i] ^= w;
    }
  uint64_t result = 0;
  for (int i = 0; i < kChains; i++)
    for (unsigned j = 0; j < sizeof(Words) / 8; j++) result ^= sums[i][j];
  return result;
}

constexpr Common common() { return {convert_row, pack, gate_up, down, route, read}; }

} // namespace
} // namespace fk
