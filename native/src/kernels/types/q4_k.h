// Q4_K: f16 d and dmin, eight scales and mins of 6 bits, 256 codes of 4 bits.
#pragma once
#include "../chunk.h"

namespace fk {
namespace {

// Scales and mins of Q4_K and Q5_K: for each 32 weights six bits each, in twelve bytes. Of the last four the high two bits
// are those of the bytes of the first four.
FK_INLINE Scales six_bit_scales(const uint8_t *p) {
  const uint32_t a = load_as<uint32_t>(p + 4), b = load_as<uint32_t>(p + 8), c = load_as<uint32_t>(p + 12);
  constexpr uint32_t kSix = 0x3f3f3f3f, kFour = 0x0f0f0f0f, kTwo = 0x30303030;
  const uint64_t scales = (a & kSix) | uint64_t((c & kFour) | (a >> 2 & kTwo)) << 32;
  const uint64_t mins = (b & kSix) | uint64_t((c >> 4 & kFour) | (b >> 2 & kTwo)) << 32;
  return {unsigned_groups(doubled(scales)) * load_half(p), unsigned_groups(doubled(mins)) * load_half(p + 2)};
}

struct Q4K {
  static constexpr int kBlock = 256, kChunkBytes = 144, kOffset = 0, kLargest = 15;
  static constexpr bool kMins = true;
  static FK_INLINE Scales scales(const uint8_t *p) { return six_bit_scales(p); }
  static FK_INLINE Codes codes(const uint8_t *p, int pair) { return nibbles(p + 16 + 32 * pair); }
};

} // namespace
} // namespace fk
