// Vocabulary of the block types (types/*.h): weights are taken 256 at a time, a chunk: one block of the K and I types, or
// as many smaller ones as that takes. A chunk is unpacked to bytes without sign, the codes, 64 at a time (W::codes), and
// what they are multiplied by. Where that is the same for 32 weights (W::kWide), W::factors is of each 32 a scale and a min:
//     weight = scale · code - min
// Else W::scales has them for every 16, and W::kMins says whether the min is there or is an offset times the scale:
//     weight = scale · (code - offset) - min
#pragma once
#include "groups.h"

#include <type_traits>

namespace fk {
namespace {

constexpr int kChunk = 256;

// The codes of the chunk at p. Types that unpack a whole chunk at once have their own.
template <class W> struct ChunkCodes {
  const uint8_t *p;
  FK_INLINE explicit ChunkCodes(const uint8_t *p) : p(p) {}
  FK_INLINE Codes of(int pair) const { return W::codes(p, pair); }
};

// Whether a type's weights are nibbles that name values of W::kValues, in blocks of 32 whose first sixteen are the low ones;
// W::four_blocks loads the sixteen bytes of each of four blocks.
template <class W, class = void> constexpr bool kNibbles = false;
template <class W> constexpr bool kNibbles<W, std::void_t<decltype(W::kValues)>> = true;

#ifdef __AVX512F__
// Sixteen bytes of each of four blocks of Stride bytes.
template <int Stride> FK_INLINE __m512i four_sixteens(const uint8_t *p) {
  if constexpr (Stride == 16) return _mm512_loadu_si512(p);
  __m512i v = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)p));
  v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(p + Stride)), 1);
  v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(p + 2 * Stride)), 2);
  return _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(p + 3 * Stride)), 3);
}
#endif

// What a step of k needs of a matrix's last, incomplete chunk: its bytes, then zeros.
template <class W> struct ChunkTail {
  uint8_t data[W::kChunkBytes];
  ChunkTail(const uint8_t *p, int elements) {
    memset(data, 0, sizeof data);
    memcpy(data, p, size_t(elements / W::kBlock * (W::kChunkBytes * W::kBlock / kChunk)));
  }
};

} // namespace
} // namespace fk
