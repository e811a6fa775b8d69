// The tile form: panels of weight rows times packed tokens. A thread converts a stretch of its panel's rows into
// contiguous scratch, whatever their type and stride, and a Tile (tile_f32.h, tile_bf16.h, tile_amx.h) multiplies it.
//
// A Tile has: Element, the type it multiplies; kRows and kVectors, the rows and vectors of tokens that it holds in
// registers; kDepth, the k of a stretch; kInPlace, up to how many groups of vectors read weights where they lie; kSpread,
// whether run() takes a turn of the Ahead at every step; run<vectors>(), which adds rows [0, kRows) of the panel times
// `vectors` vectors to the sums; begin() and end() around many runs. And kNarrow, up to how many vectors narrow<vectors>()
// multiplies 16 rows that are read where they lie; 0 where it has none.
#pragma once
#include "simd.h"

namespace fk {
namespace {

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
  Ahead *ahead;          // the weights of the next stretch, or rows
};

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

template <class Tile> FK_INLINE void run_narrow(const Operands<typename Tile::Element> &o, int vectors) {
  if constexpr (Tile::kNarrow > 0) {
    switch (vectors) {
    case 1: return Tile::template narrow<1>(o);
    case 2: return Tile::template narrow<2>(o);
    case 3: return Tile::template narrow<3>(o);
    default: return Tile::template narrow<4>(o);
    }
  }
}

// `count` rows, the distance of each from the one before being the same, are elements of E.
template <class E> FK_INLINE bool evenly_spaced(const uint8_t *const *rows, int count) {
  for (int i = 2; i < count; i++)
    if (rows[i] - rows[i - 1] != rows[1] - rows[0]) return false;
  return (rows[1] - rows[0]) % int64_t(sizeof(E)) == 0;
}

// For few tokens the panel's rows are bound by memory: 16 at a time are read where they lie, each from its beginning to its
// end, as few streams as a core's prefetcher follows. Returns false where they do not lie so.
template <class Tile>
inline bool multiply_rows(const Arithmetic &type, const uint8_t *const *rows, int first_row, int count, int k,
                          const void *packed, int v0, int v1, const Scratch &scratch, const NextRows &following) {
  using E = typename Tile::Element;
  constexpr int kTogether = 16;
  if (!type.in_place || v1 - v0 > Tile::kNarrow || k % kStep || count % kTogether) return false;
  for (int r = 0; r < count; r += kTogether)
    if (!evenly_spaced<E>(rows + r, kTogether)) return false;
  const int lines = int((k * int64_t(sizeof(E)) + 63) / 64);
  for (int r = 0; r < count; r += kTogether) {
    const bool last = r + kTogether == count;
    const int more = last && following.count < kTogether ? following.count : kTogether;
    Ahead weights(last ? following.rows : rows + r + kTogether, more, 0, lines, k / kStep);
    run_narrow<Tile>({(const E *)rows[r], (rows[r + 1] - rows[r]) / int64_t(sizeof(E)),
                      (const E *)packed + int64_t(v0) * k * kVector, int64_t(k) * kVector,
                      scratch.sums + (first_row + r) * kVector, k, kTogether, false, &weights},
                     v1 - v0);
  }
  return true;
}

// As Arithmetic::panel.
template <class Tile>
inline void multiply_panel(const Arithmetic &type, const uint8_t *const *rows, int first_row, int count, int k, const void *packed, int v0,
                           int v1, const Scratch &scratch, const NextRows &following) {
  using E = typename Tile::Element;
  const E *tokens = (const E *)packed;
  const auto offset = [&](int64_t k) { return k / type.block * type.block_bytes; };
  Tile::begin();
  if (multiply_rows<Tile>(type, rows, first_row, count, k, packed, v0, v1, scratch, following)) return Tile::end();
  static_assert(kPanelFits<Tile>, "a panel's stretch outgrows its scratch");
  static_assert(kPanelRows % Tile::kRows == 0 && Tile::kDepth % kStep == 0, "");
  const int padded = round_up(k, kStep), groups = (v1 - v0 + Tile::kVectors - 1) / Tile::kVectors;
  const int blocks = (count + Tile::kRows - 1) / Tile::kRows;
  E *panel = (E *)scratch.panel;
  for (int k0 = 0; k0 < padded; k0 += Tile::kDepth) {
    const int depth = padded - k0 < Tile::kDepth ? padded - k0 : Tile::kDepth;
    const int live = k - k0 < depth ? k - k0 : depth;
    // Weights met once are as well read where they lie, if they are evenly spaced there.
    const bool in_place = type.in_place && groups <= Tile::kInPlace && live == depth;
    const auto lies = [&](int r) {
      return in_place && r + Tile::kRows <= count && evenly_spaced<E>(rows + r, Tile::kRows);
    };
    for (int r = 0; r < count; r += Tile::kRows)
      for (int i = r; !lies(r) && i < count && i < r + Tile::kRows; i++)
        type.convert(rows[i] + offset(k0), live, depth, panel + int64_t(i) * kPanelStride<Tile>);

    const int next = k - k0 - depth < Tile::kDepth ? k - k0 - depth : Tile::kDepth, steps = depth / kStep;
    const auto lines = [&](int k) { return k > 0 ? int(offset(k) + 63) / 64 : 0; };
    const int turns = groups * blocks * steps, first_stretch = k < Tile::kDepth ? k : Tile::kDepth;
    Ahead weights = next > 0 ? Ahead(rows, count, offset(k0 + depth), lines(next), turns)
                             : Ahead(following.rows, following.count, 0, lines(first_stretch), turns);
    const auto first = [&](int g) { return v0 + (v1 - v0) * g / groups; };
    for (int g = 0; g < groups; g++) {
      const int v = first(g), end = first(g + 1);
      for (int r = 0; r < count; r += Tile::kRows) {
        const bool there = lies(r);
        run_tile<Tile>({there ? (const E *)(rows[r] + offset(k0)) : panel + int64_t(r) * kPanelStride<Tile>,
                        there ? (rows[r + 1] - rows[r]) / int64_t(sizeof(E)) : kPanelStride<Tile>,
                        tokens + (int64_t(v) * padded + k0) * kVector, int64_t(padded) * kVector,
                        scratch.sums + (v - v0) * kSumsStride + (first_row + r) * kVector, depth, count - r, k0 > 0,
                        &weights},
                       end - v);
        if (!Tile::kSpread) weights.turns(steps);
      }
    }
  }
  Tile::end();
}

} // namespace
} // namespace fk
