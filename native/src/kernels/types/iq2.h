// IQ2_XXS and IQ2_XS: eight weights name an entry of a codebook, and have seven sign bits; the eighth makes their number
// even.
#pragma once
#include "books.h"

namespace fk {
namespace {

constexpr int kIq2Offset = 43;

// Eight bytes of seven signs each, completed.
FK_INLINE uint64_t complete_signs(uint64_t sevens) {
  uint64_t odd = sevens ^ sevens >> 4;
  odd ^= odd >> 2;
  odd ^= odd >> 1;
  return sevens | (odd & 0x0101010101010101) << 7;
}

// Four times seven bits of a word, in bytes of their own.
FK_INLINE uint64_t sevens_apart(uint32_t v) {
  const uint32_t halves = (v & 0x3fff) | (v & 0x0fffc000) << 2;
  return (halves & 0x007f007f) | (halves & 0x3f803f80) << 1;
}

// 256 weights: f16 d, then for each 32 four numbers of entries, four times seven signs and four bits of scale.
struct Iq2Xxs {
  static constexpr int kBlock = 256, kChunkBytes = 66, kOffset = kIq2Offset, kLargest = 86;
  static constexpr bool kWide = true;
  static FK_INLINE Groups factors(const uint8_t *p) {
    uint64_t four = 0;
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) four |= uint64_t(p[2 + 8 * i + 7] >> 4) << (8 * i);
    return (unsigned_groups(doubled(four)) - -0.5f) * every_half(p) * alternate(0.25f, 0.25f * kOffset);
  }
  static FK_INLINE Codes codes(const uint8_t *p, int pair) {
    const uint8_t *at = p + 2 + 16 * pair;
    uint16_t numbers[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) numbers[i] = at[i / 4 * 8 + i % 4];
    const uint64_t sevens = sevens_apart(load_as<uint32_t>(at + 4)) | sevens_apart(load_as<uint32_t>(at + 12)) << 32;
    return with_signs(entries8(kIq2xxs.entries, numbers), complete_signs(sevens), kOffset);
  }
};

// 256 weights: f16 d, 32 words of entry (9 bits) and signs (7), eight bytes of two scales of 4 bits.
struct Iq2Xs {
  static constexpr int kBlock = 256, kChunkBytes = 74, kOffset = kIq2Offset, kLargest = 86;
  static constexpr bool kWide = false, kMins = false;
  static FK_INLINE Scales scales(const uint8_t *p) {
    const Groups scale = unsigned_groups(
        sixteen(nibbles_apart(load_as<uint32_t>(p + 66)), nibbles_apart(load_as<uint32_t>(p + 70))));
    return {(scale - -0.5f) * every_half(p) * 0.25f, {}};
  }
  static FK_INLINE Codes codes(const uint8_t *p, int pair) {
    uint16_t numbers[8];
    uint64_t sevens = 0;
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
      const uint16_t word = load_as<uint16_t>(p + 2 + 16 * pair + 2 * i);
      numbers[i] = word & 511;
      sevens |= uint64_t(word >> 9) << (8 * i);
    }
    return with_signs(entries8(kIq2xs.entries, numbers), complete_signs(sevens), kOffset);
  }
};

#ifdef FK_BOOKS
constexpr PackedBook<256> kIq2xxsPacked(kIq2xxsEntries);
constexpr PackedBook<512> kIq2xsPacked(kIq2xsEntries);

template <> struct ChunkCodes<Iq2Xxs> {
  __m128i entries[4];
  ChunkSigns signs;
  FK_INLINE explicit ChunkCodes(const uint8_t *p) : signs(sevens(p + 2)) {
    const __m512i at = _mm512_cvtepu8_epi16(_mm512_cvtepi64_epi32(_mm512_loadu_si512(p + 2)));
    const __m512i found = words_of<256>(kIq2xxsPacked.entries, at);
    memcpy(entries, &found, sizeof entries);
  }
  FK_INLINE Codes of(int pair) const {
    return with_signs(levels_of_words(entries[pair], kIq2Levels), signs.of[pair], kIq2Offset);
  }

private:
  // Four times seven bits of the second half of each of eight words of 64 bits.
  static FK_INLINE __m256i sevens(const uint8_t *p) {
    return _mm512_cvtepi64_epi32(_mm512_multishift_epi64_epi8(_mm512_set1_epi64(0x352e2720), _mm512_loadu_si512(p)));
  }
};

template <> struct ChunkCodes<Iq2Xs> {
  __m128i entries[4];
  ChunkSigns signs;
  FK_INLINE explicit ChunkCodes(const uint8_t *p)
      : signs(_mm512_cvtepi16_epi8(_mm512_srli_epi16(_mm512_loadu_si512(p + 2), 9))) {
    const __m512i found = words_of<512>(kIq2xsPacked.entries, _mm512_loadu_si512(p + 2));
    memcpy(entries, &found, sizeof entries);
  }
  FK_INLINE Codes of(int pair) const {
    return with_signs(levels_of_words(entries[pair], kIq2Levels), signs.of[pair], kIq2Offset);
  }
};
#endif

} // namespace
} // namespace fk
