// IQ3_XXS and IQ3_S: four weights name an entry of a codebook.
#pragma once
#include "iq2.h"

namespace fk {
namespace {

// 256 weights: f16 d, 64 numbers of entries, then for each 32 four times seven signs and four bits of scale.
struct Iq3Xxs {
  static constexpr int kBlock = 256, kChunkBytes = 98, kOffset = 62, kLargest = 124;
  static constexpr bool kWide = true;
  static FK_INLINE Groups factors(const uint8_t *p) {
    uint64_t four = 0;
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) four |= uint64_t(p[66 + 4 * i + 3] >> 4) << (8 * i);
    return (unsigned_groups(doubled(four)) - -0.5f) * every_half(p) * alternate(0.5f, 0.5f * kOffset);
  }
  static FK_INLINE Codes codes(const uint8_t *p, int pair) {
    uint16_t numbers[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) numbers[i] = p[2 + 16 * pair + i];
    const uint64_t words = load_as<uint64_t>(p + 66 + 8 * pair);
    const uint64_t sevens = sevens_apart(uint32_t(words)) | sevens_apart(uint32_t(words >> 32)) << 32;
    return with_signs(entries4(kIq3xxs.entries, numbers), complete_signs(sevens), kOffset);
  }
};

// 256 weights: f16 d, 64 low bytes of numbers of entries, eight bytes of their ninth bits, 32 of signs, four of two scales.
struct Iq3S {
  static constexpr int kBlock = 256, kChunkBytes = 110, kOffset = 15, kLargest = 30;
  static constexpr bool kWide = true;
  static FK_INLINE Groups factors(const uint8_t *p) {
    const uint64_t odd = nibbles_apart(load_as<uint32_t>(p + 106)) << 1 | 0x0101010101010101;
    return unsigned_groups(doubled(odd)) * every_half(p) * alternate(1, kOffset);
  }
  static FK_INLINE Codes codes(const uint8_t *p, int pair) {
    const uint16_t ninth = load_as<uint16_t>(p + 66 + 2 * pair);
    uint16_t numbers[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) numbers[i] = uint16_t(p[2 + 16 * pair + i] | (ninth >> i & 1) << 8);
    return with_signs(entries4(kIq3s.entries, numbers), load_as<uint64_t>(p + 74 + 8 * pair), kOffset);
  }
};

#ifdef FK_BOOKS
constexpr HalvedBook<256> kIq3xxsHalves(kIq3xxsEntries);
constexpr HalvedBook<512> kIq3sHalves(kIq3sEntries);

template <> struct ChunkCodes<Iq3Xxs> {
  __m512i magnitudes[4];
  ChunkSigns signs;
  FK_INLINE explicit ChunkCodes(const uint8_t *p) : signs(sevens(p + 66)) {
    const __m512i at = turned(_mm512_loadu_si512(p + 2));
    const __mmask64 upper = _mm512_movepi8_mask(at);
    __m512i v[4];
    levels_of(bytes_of_256(kIq3xxsHalves.low, at, upper), kIq3xxsLevels, v[0], v[1]);
    levels_of(bytes_of_256(kIq3xxsHalves.high, at, upper), kIq3xxsLevels, v[2], v[3]);
    quadruple(v, magnitudes);
  }
  FK_INLINE Codes of(int pair) const { return with_signs({{(Bytes)magnitudes[pair]}}, signs.of[pair], Iq3Xxs::kOffset); }

private:
  // Four times seven bits of each of eight words; the eighth bit of a byte is not looked at.
  static FK_INLINE __m256i sevens(const uint8_t *p) {
    return _mm256_multishift_epi64_epi8(_mm256_set1_epi64x(0x352e2720150e0700), _mm256_loadu_si256((const __m256i *)p));
  }
};

template <> struct ChunkCodes<Iq3S> {
  __m512i magnitudes[4];
  const uint8_t *signs;
  FK_INLINE explicit ChunkCodes(const uint8_t *p) : signs(p + 74) {
    const __m512i at = turned(_mm512_loadu_si512(p + 2));
    const __mmask64 upper = _mm512_movepi8_mask(at);
    const __mmask64 ninth = _mm512_movepi8_mask(turned(_mm512_movm_epi8(load_as<uint64_t>(p + 66))));
    const auto find = [&](const uint8_t *table) {
      return _mm512_mask_blend_epi8(ninth, bytes_of_256(table, at, upper), bytes_of_256(table + 256, at, upper));
    };
    __m512i v[4];
    levels_of(find(kIq3sHalves.low), kIq3sLevels, v[0], v[1]);
    levels_of(find(kIq3sHalves.high), kIq3sLevels, v[2], v[3]);
    quadruple(v, magnitudes);
  }
  FK_INLINE Codes of(int pair) const {
    return with_signs({{(Bytes)magnitudes[pair]}}, load_as<uint64_t>(signs + 8 * pair), Iq3S::kOffset);
  }
};
#endif

} // namespace
} // namespace fk
