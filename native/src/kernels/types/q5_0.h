// Q5_0 and Q5_1: as Q4_0 and Q4_1, with the fifth bits of the 32 codes before the nibbles.
#pragma once
#include "../chunk.h"

namespace fk {
namespace {

// Two blocks of five-bit codes, whose bits begin at p and q.
FK_INLINE Codes five_bits(const uint8_t *p, const uint8_t *q) {
  uint32_t first, second;
  memcpy(&first, p, 4);
  memcpy(&second, q, 4);
  return nibbles(p + 4, q + 4) | where(first | uint64_t(second) << 32, 16);
}

struct Q50 {
  static constexpr int kBlock = 32, kBytes = 22, kChunkBytes = 8 * kBytes, kOffset = 16, kLargest = 31;
  static constexpr bool kWide = true;
  static FK_INLINE Groups factors(const uint8_t *p) { return block_halves<kBytes, 0, 0>(p) * alternate(1, kOffset); }
  static FK_INLINE Codes codes(const uint8_t *p, int pair) {
    return five_bits(p + 2 * pair * kBytes + 2, p + (2 * pair + 1) * kBytes + 2);
  }
};

struct Q51 {
  static constexpr int kBlock = 32, kBytes = 24, kChunkBytes = 8 * kBytes, kOffset = 0, kLargest = 31;
  static constexpr bool kWide = true;
  static FK_INLINE Groups factors(const uint8_t *p) { return block_halves<kBytes, 0, 2>(p) * alternate(1, -1); }
  static FK_INLINE Codes codes(const uint8_t *p, int pair) {
    return five_bits(p + 2 * pair * kBytes + 4, p + (2 * pair + 1) * kBytes + 4);
  }
};

} // namespace
} // namespace fk
