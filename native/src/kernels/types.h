// The types of weights, by fk_type: what a kernel makes of each.
#pragma once
#include "dot_chunks.h"
#ifdef FK_AMX
#include "dot_amx_q8.h"
#endif
#include "tile.h"
#include "tile_f32.h"
#include "types/fp4.h"
#include "types/iq2.h"
#include "types/iq3.h"
#include "types/iq4.h"
#include "types/q2_k.h"
#include "types/q3_k.h"
#include "types/q4_0.h"
#include "types/q4_k.h"
#include "types/q5_0.h"
#include "types/q5_k.h"
#include "types/q6_k.h"

namespace fk {
namespace {

template <class X> constexpr Rows kLayout = Rows::f32;
template <> constexpr Rows kLayout<bf16> = Rows::bf16;
template <> constexpr Rows kLayout<int16> = Rows::int16;

// Weights that are read 32 at a time: W, against rows of X in the dot form.
template <class W, class X, class Tile> constexpr Arithmetic steps(int dot_tokens) {
  using E = typename Tile::Element;
  return {W::block, W::bytes * W::block / kStep, kLayout<X>,  int(sizeof(E)),       dot_tokens, dot_step_rows<W, X>,
          convert_steps<W, E>,                   kSame<W, E>, multiply_panel<Tile>, Tile::peak};
}

// Weights that are read in chunks, against rows of 8-bit integers in the dot form.
template <class W, class Tile> constexpr Arithmetic chunks(int dot_tokens) {
  using E = typename Tile::Element;
  return {W::kBlock, W::kChunkBytes * W::kBlock / kChunk, Rows::int8, int(sizeof(E)),       dot_tokens, dot_chunk_rows<W>,
          convert_chunks<W, E>,                           false,      multiply_panel<Tile>, Tile::peak};
}

// The table of a kernel. Bf16: what bf16 weights meet in the dot form; Q8: the same for Q8_0; Tile: what multiplies many
// tokens; the last tokens that the dot form takes of types without and with chunks.
#define FK_ARITHMETIC(Bf16, Q8, Tile, dot, chunk_dot)                                                                  \
  {                                                                                                                    \
    steps<F32Weights, float, F32Tile>(dot), steps<F16Weights, float, Tile>(dot), steps<Bf16Weights, Bf16, Tile>(dot),  \
        steps<Q8Weights, Q8, Tile>(dot), chunks<Q40, Tile>(chunk_dot), chunks<Q41, Tile>(chunk_dot),                   \
        chunks<Q50, Tile>(chunk_dot), chunks<Q51, Tile>(chunk_dot), chunks<Q2K, Tile>(chunk_dot),                      \
        chunks<Q3K, Tile>(chunk_dot), chunks<Q4K, Tile>(chunk_dot), chunks<Q5K, Tile>(chunk_dot),                      \
        chunks<Q6K, Tile>(chunk_dot), chunks<Iq2Xxs, Tile>(chunk_dot), chunks<Iq2Xs, Tile>(chunk_dot),                 \
        chunks<Iq3Xxs, Tile>(chunk_dot), chunks<Iq3S, Tile>(chunk_dot), chunks<Iq4Nl, Tile>(chunk_dot),                \
        chunks<Iq4Xs, Tile>(chunk_dot), chunks<Mxfp4, Tile>(chunk_dot), chunks<Nvfp4, Tile>(chunk_dot),                \
  }

} // namespace
} // namespace fk
