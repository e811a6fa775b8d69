// The tile form: panels of weight rows times packed tokens. A thread converts a stretch of its panel's rows into
// contiguous scratch, whatever their type and stride, and a Tile (tile_f32.h, tile_bf16.h, tile_amx.h) multiplies it.
//
// A Tile has: Element, the type it multiplies; kRows and kVectors, the rows and vectors of tokens that it holds in
// registers; kDepth, the k of a stretch; kInPlace, up to how many groups of vectors read weights where they lie; kSpread,
// whether run() takes a turn of the Ahead at every step; run<vectors>(), which adds rows [0, kRows) of the panel times
// `vectors` vectors to the sums; begin() and end() around many runs.
#pragma once
#include "activation.h"
#include "weights.h"

namespace fk {
namespace {

template <class E> constexpr int kPair = 4 / int(sizeof(E)); // elements along k in 32 bits

// Brings lines of memory towards the second-level cache, a few a turn: many at once would hold up the loads of what is
// computed meanwhile.
class Ahead {
public:
  Ahead() = default;
  // `lines` lines from byte `at` on of each of `count` rows, in at most `turns` turns.
  Ahead(const uint8_t *const *rows, int count, int64_t at, int lines, int turns)
      : rows_(rows), at_(at), lines_(lines), left_(count * lines), quota_((left_ + turns - 1) / turns) {}

  FK_INLINE void turn() { take(quota_); }
  FK_INLINE void turns(int n) { take(n * quota_); }

private:
  FK_INLINE void take(int n) {
    for (; n > 0 && left_ > 0; n--, left_--) {
      __builtin_prefetch(*rows_ + at_ + line_ * 64, 0, 2);
      if (++line_ == lines_) line_ = 0, rows_++;
    }
  }

  const uint8_t *const *rows_ = nullptr;
  int64_t at_ = 0;
  int lines_ = 0, line_ = 0, left_ = 0, quota_ = 0;
};

// Operands of one run.
template <class E> struct Operands {
  const E *rows;         // the panel, k contiguous
  int64_t row_stride;    // elements
  const E *tokens;       // [vectors][k / pair][16][pair]
  int64_t vector_stride; // elements
  float *sums;           // [vectors][rows][16]
  int k;                 // a multiple of kStep
  int live_rows;         // rows that matter
  bool add;              // to what sums holds; otherwise it is overwritten
  Ahead *ahead;          // the weights of the next stretch
};
constexpr int64_t kSumsStride = int64_t(kPanelRows) * kVector; // from one vector's sums to the next

template <class Tile> constexpr int kPanelStride = Tile::kDepth + 64 / int(sizeof(typename Tile::Element));
template <class Tile> constexpr bool kPanelFits =
    size_t(kPanelStride<Tile>) * kPanelRows * sizeof(typename Tile::Element) <= kPanelBytes;

template <class Tile> FK_INLINE void run_tile(const Operands<typename Tile::Element> &o, int vectors) {
  switch (vectors) {
  case 1: return Tile::template run<1>(o);
  case 2: return Tile::template run<Tile::kVectors < 2 ? 1 : 2>(o);
  default: return Tile::template run<Tile::kVectors < 3 ? 1 : 3>(o);
  }
}

// scratch.sums[v][r][t] = rows[r] · token t of vector v0 + v, over k elements of type W.
template <class W, class Tile>
inline void multiply_panel(const uint8_t *const *rows, int count, int k, const typename Tile::Element *tokens, int v0,
                           int v1, const Scratch &scratch) {
  using E = typename Tile::Element;
  static_assert(kPanelFits<Tile>, "a panel's stretch outgrows its scratch");
  static_assert(kPanelRows % Tile::kRows == 0 && Tile::kDepth % kStep == 0, "");
  const int padded = round_up(k, kStep), groups = (v1 - v0 + Tile::kVectors - 1) / Tile::kVectors;
  const int blocks = (count + Tile::kRows - 1) / Tile::kRows;
  E *panel = (E *)scratch.panel;
  for (int k0 = 0; k0 < padded; k0 += Tile::kDepth) {
    const int depth = padded - k0 < Tile::kDepth ? padded - k0 : Tile::kDepth;
    const int live = k - k0 < depth ? k - k0 : depth;
    // Weights met once are as well read where they lie, if they are evenly spaced there.
    const bool in_place = kSame<W, E> && groups <= Tile::kInPlace && live == depth;
    const auto spaced = [&](int r) {
      for (int i = 2; i < Tile::kRows; i++)
        if (rows[r + i] - rows[r + i - 1] != rows[r + 1] - rows[r]) return false;
      return (rows[r + 1] - rows[r]) % int64_t(sizeof(E)) == 0;
    };
    const auto lies = [&](int r) { return in_place && r + Tile::kRows <= count && spaced(r); };
    for (int r = 0; r < count; r += Tile::kRows)
      for (int i = r; !lies(r) && i < count && i < r + Tile::kRows; i++)
        convert_weights<W>(rows[i] + offset<W>(k0), live, depth, panel + int64_t(i) * kPanelStride<Tile>);

    const int next = k - k0 - depth < Tile::kDepth ? k - k0 - depth : Tile::kDepth, steps = depth / kStep;
    const int lines = next > 0 ? int(offset<W>(round_up(next, kStep)) + 63) / 64 : 0;
    Ahead weights(rows, count, offset<W>(k0 + depth), lines, groups * blocks * steps);
    const auto first = [&](int g) { return v0 + (v1 - v0) * g / groups; };
    for (int g = 0; g < groups; g++) {
      const int v = first(g), end = first(g + 1);
      for (int r = 0; r < count; r += Tile::kRows) {
        const bool there = lies(r);
        run_tile<Tile>({there ? (const E *)(rows[r] + offset<W>(k0)) : panel + int64_t(r) * kPanelStride<Tile>,
                        there ? (rows[r + 1] - rows[r]) / int64_t(sizeof(E)) : kPanelStride<Tile>,
                        tokens + (int64_t(v) * padded + k0) * kVector, int64_t(padded) * kVector,
                        scratch.sums + (v - v0) * kSumsStride + r * kVector, depth, count - r, k0 > 0,
                        &weights},
                       end - v);
        if (!Tile::kSpread) weights.turns(steps);
      }
    }
  }
}

// Sixteen tokens' values of one k (and, as bf16, the k after it) to where the packed layout has them.
FK_INLINE void put_vector(float *to, const float *a, const float *) { memcpy(to, a, 4 * kVector); }
FK_INLINE void put_vector(bf16 *to, const float *a, const float *b) {
  for (int t = 0; t < kVector; t++) to[2 * t] = to_bf16(a[t]), to[2 * t + 1] = to_bf16(b[t]);
}

template <class E> inline void pack(const Job &job, const Task &task, int vector, int k0, int k1) {
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

// A task's vectors of tokens are taken in so many near-equal blocks.
FK_INLINE int token_blocks(const Task &task) { return (task.vectors * kVector + kTokenBlock - 1) / kTokenBlock; }

template <class W, class Tile>
inline void gate_up_tile(const Job &job, const Task &task, const Scratch &scratch, int r0, int r1) {
  using E = typename Tile::Element;
  const fk_expert &e = task.expert;
  const uint8_t *gate = (const uint8_t *)e.gate, *rows[kPanelRows];
  const int n = r1 - r0, first = e.row_begin + r0, blocks = token_blocks(task);
  const int end = r1 == task.rows ? task.act_k : r1; // the last rows zero the padding
  for (int r = 0; r < n; r++) {
    const uint8_t *up = (const uint8_t *)e.up + int64_t(first + r) * e.up_stride;
    rows[r] = gate ? gate + int64_t(first + r) * e.gate_stride : up;
    if (gate) rows[n + r] = up;
  }
  Tile::begin();
  for (int b = 0; b < blocks; b++) {
    const int v0 = task.vectors * b / blocks, v1 = task.vectors * (b + 1) / blocks;
    multiply_panel<W, Tile>(rows, gate ? 2 * n : n, job.layer.hidden, (const E *)task.packed, v0, v1, scratch);
    for (int v = v0; v < v1; v++) {
      float *sums = scratch.sums + (v - v0) * kSumsStride;
      E *act = (E *)task.act + int64_t(v) * task.act_k * kVector;
      for (int r = r0; r < end; r += kPair<E>) {
        float out[2][kVector] = {};
        for (int i = 0; i < kPair<E> && r + i < r1; i++) {
          float *g = sums + (r + i - r0) * kVector, *u = gate ? g + n * kVector : g;
          const int row = e.row_begin + r + i;
          for (int t = 0; gate && e.gate_bias && t < kVector; t++) g[t] += e.gate_bias[row];
          for (int t = 0; e.up_bias && t < kVector; t++) u[t] += e.up_bias[row];
          activate(job.layer, gate ? g : nullptr, u, out[i]);
        }
        put_vector(act + int64_t(r) * kVector, out[0], out[1]);
      }
    }
  }
  Tile::end();
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

template <class W, class Tile>
inline void down_tile(const Job &job, const Task &task, const Scratch &scratch, int c0, int c1) {
  const fk_expert &e = task.expert;
  const int blocks = token_blocks(task);
  const uint8_t *rows[kPanelRows];
  for (int c = c0; c < c1; c++)
    rows[c - c0] = (const uint8_t *)e.down + int64_t(c) * e.down_stride + offset<W>(e.row_begin);
  Tile::begin();
  for (int b = 0; b < blocks; b++) {
    const int v0 = task.vectors * b / blocks, v1 = task.vectors * (b + 1) / blocks;
    multiply_panel<W, Tile>(rows, c1 - c0, task.rows, (const typename Tile::Element *)task.act, v0, v1, scratch);
    for (int v = v0; v < v1; v++) scatter(job, task, scratch.sums + (v - v0) * kSumsStride, v, c0, c1 - c0);
  }
  Tile::end();
}

} // namespace
} // namespace fk
