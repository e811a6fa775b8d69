// IQ4_NL and IQ4_XS: nibbles name sixteen values that lie closer around zero.
#pragma once
#include "../chunk.h"

namespace fk {
namespace {

constexpr int kIq4Offset = 127;
// The values -127 … 113, plus the offset.
constexpr uint8_t kIq4Values[16] = {0, 23, 44, 62, 78, 92, 105, 117, 128, 140, 152, 165, 180, 196, 216, 240};

// 32 weights: f16 d, sixteen bytes.
struct Iq4Nl {
  static constexpr int kBlock = 32, kBytes = 18, kChunkBytes = 8 * kBytes, kOffset = kIq4Offset, kLargest = 240;
  static constexpr bool kWide = true;
  static constexpr const auto &kValues = kIq4Values;
#ifdef __AVX512F__
  static FK_INLINE __m512i four_blocks(const uint8_t *p, int half) { return four_sixteens<kBytes>(p + 4 * kBytes * half + 2); }
#endif
  static FK_INLINE Groups factors(const uint8_t *p) { return block_halves<kBytes, 0, 0>(p) * alternate(1, kOffset); }
  static FK_INLINE Codes codes(const uint8_t *p, int pair) {
    return lookup(kIq4Values, nibbles(p + 2 * pair * kBytes + 2, p + (2 * pair + 1) * kBytes + 2));
  }
};

// 256 weights: f16 d, eight scales of 6 bits with an offset of 32 (high pairs in two bytes, low nibbles in four).
struct Iq4Xs {
  static constexpr int kBlock = 256, kChunkBytes = 136, kOffset = kIq4Offset, kLargest = 240;
  static constexpr bool kWide = true;
  static constexpr const auto &kValues = kIq4Values;
#ifdef __AVX512F__
  static FK_INLINE __m512i four_blocks(const uint8_t *p, int half) { return four_sixteens<16>(p + 64 * half + 8); }
#endif
  static FK_INLINE Groups factors(const uint8_t *p) {
    const uint64_t six = nibbles_apart(load_as<uint32_t>(p + 4)) | pairs_apart(load_as<uint16_t>(p + 2)) << 4;
    return (unsigned_groups(doubled(six)) - 32) * every_half(p) * alternate(1, kOffset);
  }
  static FK_INLINE Codes codes(const uint8_t *p, int pair) {
    return lookup(kIq4Values, nibbles(p + 8 + 32 * pair, p + 24 + 32 * pair));
  }
};

} // namespace
} // namespace fk
