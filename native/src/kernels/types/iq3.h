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

} // namespace
} // namespace fk
