// MXFP4 (OCP Microscaling Formats 1.0) and NVFP4: nibbles of sign, two bits of exponent and one of mantissa.
#pragma once
#include "../chunk.h"

namespace fk {
namespace {

constexpr int kFp4Offset = 12;
// Twice the values 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives, plus the offset.
constexpr uint8_t kFp4Values[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

// 32 weights: an exponent of two, E8M0, and sixteen bytes. The smallest exponent, 2^-127, counts as 0.
struct Mxfp4 {
  static constexpr int kBlock = 32, kBytes = 17, kChunkBytes = 8 * kBytes, kOffset = kFp4Offset, kLargest = 24;
  static constexpr bool kWide = true;
  static constexpr const auto &kValues = kFp4Values;
#ifdef __AVX512F__
  static FK_INLINE __m512i four_blocks(const uint8_t *p, int half) { return four_sixteens<kBytes>(p + 4 * kBytes * half + 1); }
#endif
  static FK_INLINE Groups factors(const uint8_t *p) { return powers(p) * alternate(0.5f, 0.5f * kOffset); }
  // 2^(e - 127) of each block, twice.
  static FK_INLINE Groups powers(const uint8_t *p) {
#if defined(__AVX512F__)
    // Of each block the word that its exponent is in, then the byte to where a float has it.
    alignas(32) uint16_t index[16];
    Ints raise;
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) index[i] = uint16_t(i / 2 * kBytes % 64 / 2), raise[i] = i / 2 * kBytes % 2 ? 15 : 23;
    const __m512i at = _mm512_castsi256_si512(_mm256_load_si256((const __m256i *)index));
    const __m256i first = _mm512_castsi512_si256(_mm512_permutexvar_epi16(at, _mm512_loadu_si512(p)));
    const __m256i second = _mm512_castsi512_si256(_mm512_permutexvar_epi16(at, _mm512_loadu_si512(p + 64)));
    const __m512i words = _mm512_cvtepu16_epi32(_mm256_blend_epi32(first, second, 0xf0));
    return {{(Floats)_mm512_and_si512(_mm512_sllv_epi32(words, (__m512i)raise), _mm512_set1_epi32(0x7f800000))}};
#else
    uint64_t exponents = 0;
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) exponents |= uint64_t(p[i * kBytes]) << (8 * i);
    const Sixteen both = doubled(exponents);
    return each_group([&](int i) { return (Floats)(group_integers(both, i) << 23); });
#endif
  }
  static FK_INLINE Codes codes(const uint8_t *p, int pair) {
    return lookup(kFp4Values, nibbles(p + 2 * pair * kBytes + 1, p + (2 * pair + 1) * kBytes + 1));
  }
};

// 64 weights: a scale for every 16 (E4M3 without sign), then for each 16 eight bytes, low nibbles first.
struct Nvfp4 {
  static constexpr int kBlock = 64, kBytes = 36, kChunkBytes = 4 * kBytes, kOffset = kFp4Offset, kLargest = 24;
  static constexpr bool kWide = false, kMins = false;
  static FK_INLINE Scales scales(const uint8_t *p) {
    const Sixteen codes = sixteen(load_as<uint32_t>(p) | uint64_t(load_as<uint32_t>(p + kBytes)) << 32,
                                  load_as<uint32_t>(p + 2 * kBytes) | uint64_t(load_as<uint32_t>(p + 3 * kBytes)) << 32);
    // Exponents move from bias 7 to 127; the code of NaN gives 0, as ggml reads it.
    return {each_group([&](int i) {
              const Ints code = group_integers(codes, i);
              return (Floats)((code & 0x7f) << 20 & (code != 0x7f)) * splat(0x1p119f);
            }),
            {}};
  }
  static FK_INLINE Codes codes(const uint8_t *p, int pair) {
    const uint8_t *at = p + pair * kBytes + 4;
    Codes v = {};
#ifdef __x86_64__
    __m128i quarters[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
      const uint64_t eight = load_as<uint64_t>(at + 8 * i);
      quarters[i] = _mm_set_epi64x(int64_t(eight >> 4), int64_t(eight));
    }
    v = from_quarters(quarters);
#else
    for (int i = 0; i < kPairWeights; i++) v.r[i / kCodeBytes][i % kCodeBytes] = at[i / 16 * 8 + i % 8] >> (i % 16 / 8 * 4);
#endif
    return lookup(kFp4Values, v & 15);
  }
};

} // namespace
} // namespace fk
