// Q5_K: as Q4_K, and a fifth bit of each code: byte i holds those of the weights i, i + 32, i + 64 …
#pragma once
#include "q4_k.h"

namespace fk {
namespace {

struct Q5K {
  static constexpr int kBlock = 256, kChunkBytes = 176, kOffset = 0, kLargest = 31;
  static constexpr bool kWide = true;
  static FK_INLINE Groups factors(const uint8_t *p) { return six_bit_factors(p); }
  static FK_INLINE Codes codes(const uint8_t *p, int pair) {
    return nibbles(p + 48 + 32 * pair) | field(twice(p + 16), 2 * pair, 2 * pair + 1, 1, 4);
  }
};

} // namespace
} // namespace fk
