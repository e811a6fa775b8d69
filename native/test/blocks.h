// Blocks of every stored type: random ones of ordinary size, and what they hold in double, read plainly from the format's
// definition. Shares nothing with the kernels but the codebooks' numbers.
#pragma once
#include "../src/kernels/types/codebooks.h"
#include "fiddler_experts.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

namespace blocks {

inline uint16_t word(const uint8_t *p) { return uint16_t(p[0] | p[1] << 8); }
inline uint32_t long_word(const uint8_t *p) { return word(p) | uint32_t(word(p + 2)) << 16; }

inline double half(const uint8_t *p) {
  const int bits = word(p), exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const double a = exponent ? std::ldexp(1024 + mantissa, exponent - 25) : std::ldexp(mantissa, -24);
  return bits & 0x8000 ? -a : a;
}

// A positive number to the nearest f16 below.
inline void put_half(uint8_t *p, double a) {
  int exponent;
  const double m = std::frexp(a, &exponent); // 0.5 <= m < 1
  const int bits = exponent < -13 ? int(std::ldexp(a, 24)) : (exponent + 14) << 10 | (int(m * 2048) & 1023);
  p[0] = uint8_t(bits), p[1] = uint8_t(bits >> 8);
}

inline int nibble(const uint8_t *p, int i, int half_size) { return p[i % half_size] >> (i < half_size ? 0 : 4) & 15; }

inline int bit(const uint8_t *p, int i) { return p[i / 8] >> (i % 8) & 1; }

constexpr int kIq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
constexpr double kFp4[16] = {0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6};

// Scale and min of 32 weights in Q4_K and Q5_K.
inline void six_bits(const uint8_t *p, int i, int &scale, int &min) {
  if (i < 4)
    scale = p[i] & 63, min = p[i + 4] & 63;
  else
    scale = (p[i + 4] & 15) | p[i - 4] >> 6 << 4, min = p[i + 4] >> 4 | p[i] >> 6 << 4;
}

// Whether weight i of a block is negative, of seven signs for every eight weights.
inline bool seven_signs(uint32_t seven, int i) {
  return (i < 7 ? seven >> i & 1 : uint32_t(__builtin_popcount(seven & 127) & 1)) != 0;
}

inline double e4m3(int code) {
  if (code == 0x7f) return 0;
  const int exponent = code >> 3 & 15, mantissa = code & 7;
  return exponent ? std::ldexp(8 + mantissa, exponent - 10) : std::ldexp(mantissa, -9);
}

inline int codebook(uint64_t entry, int i) { return int(entry >> (8 * i) & 255); }

// Weight i of the block at p.
inline double weight(int type, const uint8_t *p, int i) {
  const int g32 = i / 32, g16 = i / 16, in32 = i % 32;
  switch (type) {
  case FK_Q8_0: return half(p) * int8_t(p[2 + i]);
  case FK_Q4_0: return half(p) * (nibble(p + 2, i, 16) - 8);
  case FK_Q4_1: return half(p) * nibble(p + 4, i, 16) + half(p + 2);
  case FK_Q5_0: return half(p) * ((nibble(p + 6, i, 16) | bit(p + 2, i) << 4) - 16);
  case FK_Q5_1: return half(p) * (nibble(p + 8, i, 16) | bit(p + 4, i) << 4) + half(p + 2);
  case FK_Q2_K: {
    const int code = p[16 + i / 128 * 32 + in32] >> (i % 128 / 32 * 2) & 3;
    return half(p + 80) * (p[g16] & 15) * code - half(p + 82) * (p[g16] >> 4);
  }
  case FK_Q3_K: {
    const int low = p[32 + i / 128 * 32 + in32] >> (i % 128 / 32 * 2) & 3, high = p[in32] >> g32 & 1;
    const int scale = (g16 < 8 ? p[96 + g16] & 15 : p[96 + g16 - 8] >> 4) | (p[104 + g16 % 4] >> (g16 / 4 * 2) & 3) << 4;
    return half(p + 108) * (scale - 32) * ((low | high << 2) - 4);
  }
  case FK_Q4_K:
  case FK_Q5_K: {
    int scale, min;
    six_bits(p + 4, g32, scale, min);
    const uint8_t *codes = p + (type == FK_Q4_K ? 16 : 48);
    int code = codes[i / 64 * 32 + in32] >> (g32 % 2 * 4) & 15;
    if (type == FK_Q5_K) code |= (p[16 + in32] >> g32 & 1) << 4;
    return half(p) * scale * code - half(p + 2) * min;
  }
  case FK_Q6_K: {
    const int h = i / 128, j = i % 128;
    const int low = p[64 * h + j % 64] >> (j / 64 * 4) & 15, high = p[128 + 32 * h + in32] >> (j / 32 * 2) & 3;
    return half(p + 208) * int8_t(p[192 + g16]) * ((low | high << 4) - 32);
  }
  case FK_IQ4_NL: return half(p) * kIq4[nibble(p + 2, i, 16)];
  case FK_IQ4_XS: {
    const int scale = (p[4 + g32 / 2] >> (g32 % 2 * 4) & 15) | (word(p + 2) >> (2 * g32) & 3) << 4;
    return half(p) * (scale - 32) * kIq4[nibble(p + 8 + 16 * g32, in32, 16)];
  }
  case FK_MXFP4: return std::ldexp(kFp4[nibble(p + 1, i, 16)], p[0] - 127);
  case FK_NVFP4: return e4m3(p[g16]) * kFp4[nibble(p + 4 + 8 * g16, i % 16, 8)];
  case FK_IQ2_XXS: {
    const uint8_t *at = p + 2 + 8 * g32;
    const uint32_t rest = long_word(at + 4);
    const int magnitude = codebook(fk::kIq2xxs.entries[at[in32 / 8]], i % 8);
    return half(p) * (0.5 + (rest >> 28)) * 0.25 * magnitude * (seven_signs(rest >> (in32 / 8 * 7) & 127, i % 8) ? -1 : 1);
  }
  case FK_IQ2_XS: {
    const int w = word(p + 2 + i / 8 * 2), scale = p[66 + g32] >> (g16 % 2 * 4) & 15;
    return half(p) * (0.5 + scale) * 0.25 * codebook(fk::kIq2xs.entries[w & 511], i % 8) *
           (seven_signs(uint32_t(w >> 9), i % 8) ? -1 : 1);
  }
  case FK_IQ3_XXS: {
    const uint32_t rest = long_word(p + 66 + 4 * g32);
    const int magnitude = codebook(fk::kIq3xxs.entries[p[2 + i / 4]], i % 4);
    return half(p) * (0.5 + (rest >> 28)) * 0.5 * magnitude * (seven_signs(rest >> (in32 / 8 * 7) & 127, i % 8) ? -1 : 1);
  }
  case FK_IQ3_S: {
    const int entry = p[2 + i / 4] | bit(p + 66, i / 4) << 8, scale = 1 + 2 * (p[106 + g32 / 2] >> (g32 % 2 * 4) & 15);
    return half(p) * scale * codebook(fk::kIq3s.entries[entry], i % 4) * (bit(p + 74, i) ? -1 : 1);
  }
  }
  return 0;
}

// Where a block has f16 factors of all its weights; -1 for none.
inline void halves(int type, int (&at)[2]) {
  at[0] = 0, at[1] = -1;
  switch (type) {
  case FK_Q4_1:
  case FK_Q5_1:
  case FK_Q4_K:
  case FK_Q5_K: at[1] = 2; break;
  case FK_Q2_K: at[0] = 80, at[1] = 82; break;
  case FK_Q3_K: at[0] = 108; break;
  case FK_Q6_K: at[0] = 208; break;
  case FK_MXFP4:
  case FK_NVFP4: at[0] = -1; break;
  }
}

// A block of random codes and scales whose weights are about `size`.
inline void random_block(int type, std::mt19937 &random, double size, uint8_t *p) {
  int32_t elements, bytes, at[2];
  fk_type_block(type, &elements, &bytes);
  for (int i = 0; i < bytes; i++) p[i] = uint8_t(random());
  if (type == FK_MXFP4) p[0] = uint8_t(127 + std::ilogb(size) - 2 + int(random() % 3));
  for (int i = 0; type == FK_NVFP4 && i < 4; i++) p[i] = uint8_t(8 * (7 + std::max(-6, std::ilogb(size) - 2)) + random() % 8);
  halves(type, at);
  for (int a : at)
    if (a >= 0) put_half(p + a, 1);
  if (at[0] < 0) return;
  double square = 0;
  for (int i = 0; i < elements; i++) square += std::pow(weight(type, p, i), 2);
  for (int a : at)
    if (a >= 0) put_half(p + a, size / std::sqrt(square / elements + 1e-9));
}

} // namespace blocks
