// Puts the forms together into the table of functions for one type of weights.
#pragma once
#include "dot.h"
#include "tile.h"

namespace fk {
namespace {

// W: the weights' type. X: what the dot form's tokens are rounded to. DotTokens: where the tile form takes over.
template <class W, class X, class Tile, int DotTokens> constexpr Arithmetic arithmetic() {
  static_assert(DotTokens <= kMaxDotTokens, "");
  Arithmetic a = {};
  a.dot_step = int(token_elements<X>(kStep) * sizeof(X));
  a.tile_element = sizeof(typename Tile::Element);
  a.dot_tokens = DotTokens;
  a.convert_row = convert_row<X>;
  a.pack = pack<typename Tile::Element>;
  a.gate_up = [](const Job &job, const Task &task, const Scratch &scratch, int r0, int r1) {
    task.form == Form::dot ? gate_up_dot<W, X>(job, task, r0, r1) : gate_up_tile<W, Tile>(job, task, scratch, r0, r1);
  };
  a.down = [](const Job &job, const Task &task, const Scratch &scratch, int c0, int c1) {
    task.form == Form::dot ? down_dot<W, X>(job, task, c0, c1) : down_tile<W, Tile>(job, task, scratch, c0, c1);
  };
  a.peak = Tile::peak;
  return a;
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

} // namespace
} // namespace fk
