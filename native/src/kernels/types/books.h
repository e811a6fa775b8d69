// Codebooks in registers: entries are found by permutations of bytes and words, 64 or 32 at a time, in place of a load
// each. For instruction sets with AVX512_VBMI and GFNI.
#pragma once
#include "../chunk.h"
#include "codebooks.h"

namespace fk {
namespace {

// Of each entry of four numbers of levels (IQ3) two bytes of two: the first in the lowest three bits, the second in bits 4 to 6.
template <int N> struct HalvedBook {
  alignas(64) uint8_t low[N] = {}, high[N] = {};
  constexpr explicit HalvedBook(const uint16_t (&numbers)[N]) {
    for (int n = 0; n < N; n++) {
      low[n] = uint8_t((numbers[n] & 7) | (numbers[n] >> 3 & 7) << 4);
      high[n] = uint8_t((numbers[n] >> 6 & 7) | (numbers[n] >> 9 & 7) << 4);
    }
  }
};
// Eight numbers of levels (IQ2) of two bits each.
template <int N> struct PackedBook {
  alignas(64) uint16_t entries[N] = {};
  constexpr explicit PackedBook(const uint16_t (&numbers)[N]) {
    for (int n = 0; n < N; n++) entries[n] = numbers[n];
  }
};

#if defined(__AVX512VBMI__) && defined(__GFNI__)
#define FK_BOOKS

// Byte at[i] of a table of 256; the lowest seven bits are looked at by the permutation, the highest is in `upper`.
FK_INLINE __m512i bytes_of_256(const uint8_t *table, __m512i at, __mmask64 upper) {
  const auto half = [&](const uint8_t *t) {
    return _mm512_permutex2var_epi8(_mm512_load_si512(t), at, _mm512_load_si512(t + 64));
  };
  return _mm512_mask_blend_epi8(upper, half(table), half(table + 128));
}

// Word at[i] of a table of N.
template <int N> FK_INLINE __m512i words_of(const uint16_t *table, __m512i at) {
  if constexpr (N == 64) {
    return _mm512_permutex2var_epi16(_mm512_load_si512(table), at, _mm512_load_si512(table + 32));
  } else {
    const __mmask32 upper = _mm512_test_epi16_mask(at, _mm512_set1_epi16(N / 2));
    return _mm512_mask_blend_epi16(upper, words_of<N / 2>(table, at), words_of<N / 2>(table + N / 2, at));
  }
}

// For each of 32 bytes with seven signs the eighth, which makes their number even; as a mask for each 64 weights.
struct ChunkSigns {
  uint64_t of[kChunk / kPairWeights];
  FK_INLINE explicit ChunkSigns(__m256i sevens) {
    const __m256i completed = _mm256_gf2p8affine_epi64_epi8(sevens, _mm256_set1_epi64x(0x010204081020407f), 0);
    memcpy(of, &completed, sizeof of);
  }
};

// A chunk of four weights an entry: of 64 numbers of levels each for the first weights of entries, the second, third, fourth
// (whose levels they are is up to the caller), to the order of the weights.
FK_INLINE void quadruple(const __m512i (&v)[4], __m512i (&out)[4]) {
  const __m512i a = _mm512_unpacklo_epi8(v[0], v[1]), b = _mm512_unpackhi_epi8(v[0], v[1]);
  const __m512i c = _mm512_unpacklo_epi8(v[2], v[3]), d = _mm512_unpackhi_epi8(v[2], v[3]);
  out[0] = _mm512_unpacklo_epi16(a, c), out[1] = _mm512_unpackhi_epi16(a, c);
  out[2] = _mm512_unpacklo_epi16(b, d), out[3] = _mm512_unpackhi_epi16(b, d);
}
// Entries in the order in which quadruple() gives them back in the order of the weights.
FK_INLINE __m512i turned(__m512i entries) {
  return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), entries);
}

// The levels of both numbers of each byte.
FK_INLINE void levels_of(__m512i pairs, const uint8_t (&levels)[8], __m512i &first, __m512i &second) {
  uint64_t eight;
  memcpy(&eight, levels, 8);
  const __m512i table = _mm512_set1_epi64(int64_t(eight));
  first = _mm512_permutexvar_epi8(pairs, table);
  second = _mm512_permutexvar_epi8(_mm512_srli_epi16(pairs, 4), table);
}

// Levels (IQ2) of 64 weights, of eight words of eight numbers.
FK_INLINE Codes levels_of_words(__m128i words, const uint8_t (&levels)[4]) {
  const __m512i shifts = _mm512_set1_epi64(0x0e0c0a0806040200);
  const __m512i numbers = _mm512_multishift_epi64_epi8(shifts, _mm512_cvtepu16_epi64(words));
  uint32_t four;
  memcpy(&four, levels, 4);
  return {{(Bytes)_mm512_permutexvar_epi8(numbers, _mm512_set1_epi32(int(four)))}};
}
#endif

} // namespace
} // namespace fk
