// Q2_K: sixteen bytes of scales (low nibbles) and mins (high), 64 bytes of bit pairs, f16 d and dmin.
#pragma once
#include "../chunk.h"

namespace fk {
namespace {

struct Q2K {
  static constexpr int kBlock = 256, kChunkBytes = 84, kOffset = 0, kLargest = 3;
  static constexpr bool kWide = false, kMins = true;
  static FK_INLINE Scales scales(const uint8_t *p) {
    const uint64_t first = load_as<uint64_t>(p), second = load_as<uint64_t>(p + 8);
    return {unsigned_groups(sixteen(first & kLowNibbles, second & kLowNibbles)) * load_half(p + 80),
            unsigned_groups(sixteen(first >> 4 & kLowNibbles, second >> 4 & kLowNibbles)) * load_half(p + 82)};
  }
  static FK_INLINE Codes codes(const uint8_t *p, int pair) {
    const int shift = pair % 2 * 4;
    return field(twice(p + 16 + pair / 2 * 32), shift, shift + 2, 2);
  }
};

} // namespace
} // namespace fk
