// Q4_K: f16 d and dmin, eight scales and mins of 6 bits, 256 codes of 4 bits.
#pragma once
#include "../chunk.h"

namespace fk {
namespace {

// Scales and mins of Q4_K and Q5_K: for each 32 weights six bits each, in twelve bytes. Of the last four the high two bits
// are those of the bytes of the first four.
FK_INLINE Groups six_bit_factors(const uint8_t *p) {
#ifdef __AVX512VBMI__
  // Any eight bits of a word to a byte: of a and b, then of b and c.
  const __m128i ab = _mm_set1_epi64x(load_as<int64_t>(p + 4)), bc = _mm_loadu_si128((const __m128i *)p);
  const __m128i first = _mm_multishift_epi64_epi8(_mm_setr_epi8(0, 32, 8, 40, 16, 48, 24, 56, 2, 34, 10, 42, 18, 50, 26, 58), ab);
  const __m128i last = _mm_multishift_epi64_epi8(_mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 32, 36, 40, 44, 48, 52, 56, 60), bc);
  const __m128i both = _mm_or_si128(_mm_and_si128(first, _mm_set_epi64x(0x3030303030303030, 0x3f3f3f3f3f3f3f3f)),
                                    _mm_and_si128(last, _mm_set_epi64x(int64_t(kLowNibbles), 0)));
  return unsigned_groups((Sixteen)both) * alternate_halves(p);
#else
  const uint32_t a = load_as<uint32_t>(p + 4), b = load_as<uint32_t>(p + 8), c = load_as<uint32_t>(p + 12);
  constexpr uint32_t kSix = 0x3f3f3f3f, kFour = 0x0f0f0f0f, kTwo = 0x30303030;
  const uint64_t scales = (a & kSix) | uint64_t((c & kFour) | (a >> 2 & kTwo)) << 32;
  const uint64_t mins = (b & kSix) | uint64_t((c >> 4 & kFour) | (b >> 2 & kTwo)) << 32;
  return unsigned_groups(in_turn(scales, mins)) * alternate_halves(p);
#endif
}

struct Q4K {
  static constexpr int kBlock = 256, kChunkBytes = 144, kOffset = 0, kLargest = 15;
  static constexpr bool kWide = true;
  static FK_INLINE Groups factors(const uint8_t *p) { return six_bit_factors(p); }
  static FK_INLINE Codes codes(const uint8_t *p, int pair) { return nibbles(p + 16 + 32 * pair); }
};

} // namespace
} // namespace fk
