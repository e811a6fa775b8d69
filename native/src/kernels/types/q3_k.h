// Q3_K: 32 bytes of high bits, 64 of low bit pairs, sixteen scales of 6 bits with an offset of 32, f16 d.
#pragma once
#include "../chunk.h"

namespace fk {
namespace {

struct Q3K {
  static constexpr int kBlock = 256, kChunkBytes = 110, kOffset = 4, kLargest = 7;
  static constexpr bool kWide = false, kMins = false;
  static FK_INLINE Scales scales(const uint8_t *p) {
    // Low nibbles of eight bytes, then their high ones; the high pairs of scale i lie in byte 8 + i % 4.
    const uint64_t low = load_as<uint64_t>(p + 96);
    const uint32_t high = load_as<uint32_t>(p + 104);
    constexpr uint64_t kTwo = 0x3030303030303030;
    const uint64_t first = (low & kLowNibbles) | (((uint64_t(high) << 4) | uint64_t(high >> 2 << 4) << 32) & kTwo);
    const uint64_t second = (low >> 4 & kLowNibbles) | ((uint64_t(high) | uint64_t(high >> 2) << 32) & kTwo);
    return {(unsigned_groups(sixteen(first, second)) - 32) * every_half<6>(p + 108), {}};
  }
  static FK_INLINE Codes codes(const uint8_t *p, int pair) {
    const int shift = pair % 2 * 4;
    return field(twice(p + 32 + pair / 2 * 32), shift, shift + 2, 2) | field(twice(p), 2 * pair, 2 * pair + 1, 1, 2);
  }
};

} // namespace
} // namespace fk
