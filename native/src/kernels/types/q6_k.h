// Q6_K: 128 bytes of low nibbles, 64 of high bit pairs, sixteen signed scales, f16 d. Each half of the block has its 128
// weights in 64 bytes of nibbles and 32 of pairs.
#pragma once
#include "../chunk.h"

namespace fk {
namespace {

struct Q6K {
  static constexpr int kBlock = 256, kChunkBytes = 210, kOffset = 32, kLargest = 63;
  static constexpr bool kWide = false, kMins = false;
  static FK_INLINE Scales scales(const uint8_t *p) { return {signed_groups(p + 192) * every_half<6>(p + 208), {}}; }
  static FK_INLINE Codes codes(const uint8_t *p, int pair) {
    const int half = pair / 2, high = pair % 2 * 4;
    return field(join(p + 64 * half), high, high, 4) | field(twice(p + 128 + 32 * half), high, high + 2, 2, 4);
  }
};

} // namespace
} // namespace fk
