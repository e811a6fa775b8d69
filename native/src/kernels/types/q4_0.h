// Q4_0 and Q4_1: 32 weights, f16 d (Q4_1: and m, which is added), low nibbles first.
#pragma once
#include "../chunk.h"

namespace fk {
namespace {

struct Q40 {
  static constexpr int kBlock = 32, kBytes = 18, kChunkBytes = 8 * kBytes, kOffset = 8, kLargest = 15;
  static constexpr bool kWide = true;
  static FK_INLINE Groups factors(const uint8_t *p) { return block_halves<kBytes, 0, 0>(p) * alternate(1, kOffset); }
  static FK_INLINE Codes codes(const uint8_t *p, int pair) {
    return nibbles(p + 2 * pair * kBytes + 2, p + (2 * pair + 1) * kBytes + 2);
  }
};

struct Q41 {
  static constexpr int kBlock = 32, kBytes = 20, kChunkBytes = 8 * kBytes, kOffset = 0, kLargest = 15;
  static constexpr bool kWide = true;
  static FK_INLINE Groups factors(const uint8_t *p) { return block_halves<kBytes, 0, 2>(p) * alternate(1, -1); }
  static FK_INLINE Codes codes(const uint8_t *p, int pair) {
    return nibbles(p + 2 * pair * kBytes + 4, p + (2 * pair + 1) * kBytes + 4);
  }
};

} // namespace
} // namespace fk
