// Q4_K and Q5_K from plain numbers: bit for bit what ggml's quantize_row_q4_K_ref and quantize_row_q5_K_ref give
// (ggml-quants.c), many stretches of 32 numbers side by side, one a lane, so that every sum keeps its order. Compiled
// without contraction: a fused product and sum would round otherwise.
#pragma once
#include "many.h"
#include "quantize.h"

#include <algorithm>

namespace fk {
namespace {

constexpr int kStretch = 32, kStretches = 8; // numbers that share a scale and a minimum; such stretches in a block
constexpr int kBlockNumbers = kStretch * kStretches;
constexpr int kWidth = kLanes * kAbreast;
constexpr int kTogether = kWidth / kStretches; // blocks at a time
constexpr int kColumns = kWidth;

// How a type's scales are searched: codes to `most`, and steps of 1/10 from `first` around it.
struct Search {
  int most, steps;
  float first;
};

// A stretch's scale and minimum, and by what its codes were made: code = (x - base) * inverse.
struct Found {
  Many scale, minimum, inverse, base;
};

// Of numbers x with weights w: their codes l by a scale, and weighted sums of these.
struct Sums {
  Many l, l2, xl;
};
template <bool kSmall>
FK_INLINE Sums sum_codes(const Many *x, const Many *w, Many inverse, Many base, int most, Many *l) {
  Sums sums = {all(0), all(0), all(0)};
  for (int i = 0; i < kStretch; i++) {
    const Many exact = inverse * (x[i] - base);
    l[i] = kSmall ? small_codes_of(exact, most) : codes_of(exact, most);
    const Many wl = w[i] * l[i];
    sums.l = sums.l + wl;
    sums.l2 = sums.l2 + wl * l[i];
    sums.xl = sums.xl + wl * x[i];
  }
  return sums;
}

// make_qkx2_quants with squared errors, weighted by a number's magnitude and the root of the mean square.
FK_INLINE Found search(const Many *x, Search how) {
  const Many zero = all(0);
  Many squares = zero;
  for (int i = 0; i < kStretch; i++) squares = squares + x[i] * x[i];
  const Many mean = root(squares / all(float(kStretch)));
  Many w[kStretch], l[kStretch];
  for (int i = 0; i < kStretch; i++) w[i] = mean + magnitude(x[i]);
  Many least = x[0], most = x[0], sum_w = w[0], sum_x = w[0] * x[0];
  for (int i = 1; i < kStretch; i++) {
    least = select(x[i] < least, x[i], least);
    most = select(most < x[i], x[i], most);
    sum_w = sum_w + w[i];
    sum_x = sum_x + w[i] * x[i];
  }
  const Many lowest = least;
  least = select(zero < least, zero, least);
  const Masks flat = most == least;
  const Many top = all(float(how.most));
  Found best = {zero, least, top / (most - least), least};
  best.scale = all(1) / best.inverse;
  Many best_error = zero;
  for (int i = 0; i < kStretch; i++) {
    const Many difference = best.scale * codes_of(best.inverse * (x[i] - least), how.most) + least - x[i];
    best_error = best_error + w[i] * (difference * difference);
  }
  for (int step = 0; step <= how.steps; step++) {
    const Many base = best.minimum; // what was found so far moves it
    const Many inverse = all(how.first + 0.1f * float(step) + float(how.most)) / (most - base);
    const Many furthest = larger(magnitude(most - base), magnitude(lowest - base));
    const bool small = all_set(magnitude(inverse) * furthest < all(2097152.f));
    const Sums sums = small ? sum_codes<true>(x, w, inverse, base, how.most, l)
                            : sum_codes<false>(x, w, inverse, base, how.most, l);
    const Many determinant = sum_w * sums.l2 - sums.l * sums.l;
    Many scale = (sum_w * sums.xl - sum_x * sums.l) / determinant;
    Many minimum = (sums.l2 * sum_x - sums.l * sums.xl) / determinant;
    const Masks above = zero < minimum;
    scale = select(above, sums.xl / sums.l2, scale);
    minimum = select(above, zero, minimum);
    Many error = zero;
    for (int i = 0; i < kStretch; i++) {
      const Many difference = scale * l[i] + minimum - x[i];
      error = error + w[i] * (difference * difference);
    }
    const Masks better = (zero < determinant) & (error < best_error) & ~flat;
    best_error = select(better, error, best_error);
    best.scale = select(better, scale, best.scale);
    best.minimum = select(better, minimum, best.minimum);
    best.inverse = select(better, inverse, best.inverse);
    best.base = select(better, base, best.base);
  }
  best.scale = select(flat, zero, best.scale);
  best.inverse = select(flat, zero, best.inverse);
  best.minimum = -best.minimum;
  return best;
}

FK_INLINE int nearest(float v) {
  return int(float_to_bits(v + 12582912.f) & 0x7fffff) - 0x400000;
}

// To the nearest, ties to even.
inline uint16_t to_half(float f) {
  const uint32_t bits = float_to_bits(f), magnitude = bits & 0x7fffffff, sign = bits >> 16 & 0x8000;
  if (magnitude > 0x7f800000) return uint16_t(sign | 0x7e00);
  if (magnitude >= 0x477ff000) return uint16_t(sign | 0x7c00);
  // A subnormal is a multiple of 2^-24, the distance of floats from 0.5 on.
  if (magnitude < 0x38800000) return uint16_t(sign | (float_to_bits(bits_to_float(magnitude) + 0.5f) - 0x3f000000));
  return uint16_t(sign | (((magnitude + 0xfff + (magnitude >> 13 & 1)) >> 13) - (112 << 10)));
}

// The head that Q4_K and Q5_K have in common: f16 scale and minimum of all, then 6 bits of each stretch's.
struct Head {
  uint16_t scale, minimum;
  uint8_t packed[12];
};

// Of scales and minima of a block's stretches: the head, and what they are after it.
inline Head pack_head(const float *scales, const float *minima, float *scales_after, float *minima_after) {
  float most_scale = 0, most_minimum = 0;
  for (int j = 0; j < kStretches; j++) {
    most_scale = scales[j] > most_scale ? scales[j] : most_scale;
    most_minimum = minima[j] > most_minimum ? minima[j] : most_minimum;
  }
  const float to_scale = most_scale > 0 ? 63.f / most_scale : 0.f;
  const float to_minimum = most_minimum > 0 ? 63.f / most_minimum : 0.f;
  Head head = {to_half(most_scale / 63.f), to_half(most_minimum / 63.f), {}};
  const float scale = half_to_float(head.scale), minimum = half_to_float(head.minimum);
  for (int j = 0; j < kStretches; j++) {
    const uint8_t s = std::min<uint8_t>(63, uint8_t(nearest(to_scale * scales[j])));
    const uint8_t m = std::min<uint8_t>(63, uint8_t(nearest(to_minimum * minima[j])));
    if (j < 4) {
      head.packed[j] = s;
      head.packed[j + 4] = m;
    } else {
      head.packed[j + 4] = uint8_t((s & 15) | (m & 15) << 4);
      head.packed[j - 4] |= uint8_t(s >> 4 << 6);
      head.packed[j] |= uint8_t(m >> 4 << 6);
    }
    scales_after[j] = scale * s;
    minima_after[j] = minimum * m;
  }
  return head;
}

// Codes of a block, [32][columns] from the stretch's column on, as Q4_K (no high bits) or Q5_K lays them out.
inline void pack_codes(const int32_t (*codes)[kColumns], int column, bool fifth, uint8_t *to) {
  uint8_t *high = to, *low = fifth ? to + kStretch : to;
  if (fifth) memset(high, 0, kStretch);
  for (int pair = 0; pair < kStretches / 2; pair++, low += kStretch)
    for (int i = 0; i < kStretch; i++) {
      const int a = codes[i][column + 2 * pair], b = codes[i][column + 2 * pair + 1];
      low[i] = uint8_t((a & 15) | (b & 15) << 4);
      if (fifth) high[i] |= uint8_t((a >> 4) << 2 * pair | (b >> 4) << (2 * pair + 1));
    }
}

inline float number(fk_type type, const uint8_t *from, int64_t i) {
  if (type == FK_F32) {
    float f;
    memcpy(&f, from + 4 * i, sizeof f);
    return f;
  }
  uint16_t h;
  memcpy(&h, from + 2 * i, sizeof h);
  return type == FK_BF16 ? bits_to_float(uint32_t(h) << 16) : half_to_float(h);
}

// x[i][column] = number i of the stretch; false where one is infinite or none.
inline bool transpose(fk_type type, const uint8_t *from, int count, float (*x)[kColumns]) {
  uint32_t largest = 0;
  for (int column = 0; column < count; column++)
    for (int i = 0; i < kStretch; i++) {
      const float f = number(type, from, int64_t(column) * kStretch + i);
      x[i][column] = f;
      largest = std::max(largest, float_to_bits(f) & 0x7fffffff);
    }
  for (int column = count; column < kColumns; column++)
    for (int i = 0; i < kStretch; i++) x[i][column] = 0;
  return largest < 0x7f800000;
}

// Whole blocks; false where a number is infinite or none.
inline bool quantize_blocks(Search how, fk_type from_type, const uint8_t *from, uint8_t *to, int64_t blocks) {
  const bool fifth = how.most > 15;
  const int number_bytes = from_type == FK_F32 ? 4 : 2;
  const int block_bytes = int(sizeof(Head)) + kBlockNumbers / 2 + (fifth ? kStretch : 0);
  alignas(64) float x[kStretch][kColumns];
  alignas(64) int32_t codes[kStretch][kColumns];
  alignas(64) float scales[kColumns], minima[kColumns], scales_after[kColumns], minima_after[kColumns];
  Head heads[kTogether];
  Many numbers[kStretch];
  for (int64_t block = 0; block < blocks; block += kTogether) {
    const int count = int(std::min<int64_t>(kTogether, blocks - block));
    if (!transpose(from_type, from + block * kBlockNumbers * number_bytes, count * kStretches, x)) return false;
    for (int i = 0; i < kStretch; i++) numbers[i] = load_many(x[i]);
    const Found found = search(numbers, how);
    store(scales, found.scale);
    store(minima, found.minimum);
    for (int b = 0; b < kTogether; b++) {
      const int c = b * kStretches;
      heads[b] = pack_head(scales + c, minima + c, scales_after + c, minima_after + c);
    }
    const Many scale = load_many(scales_after), minimum = load_many(minima_after);
    const Masks none = scale == all(0); // codes are then those of the search
    for (int i = 0; i < kStretch; i++) {
      const Many coded = select(none, found.inverse * (numbers[i] - found.base), (numbers[i] + minimum) / scale);
      for (int n = 0; n < kAbreast; n++) {
        const Ints result = code(coded.v[n], how.most);
        memcpy(codes[i] + n * kLanes, &result, sizeof result);
      }
    }
    for (int b = 0; b < count; b++) {
      uint8_t *at = to + (block + b) * block_bytes;
      memcpy(at, &heads[b], sizeof(Head));
      pack_codes(codes, b * kStretches, fifth, at + sizeof(Head));
    }
  }
  return true;
}

inline bool quantize_row(fk_type type, fk_type from_type, const void *from, void *to, int64_t blocks) {
  const Search how = type == FK_Q4_K ? Search{15, 20, -1.f} : Search{31, 15, -0.5f};
  return quantize_blocks(how, from_type, (const uint8_t *)from, (uint8_t *)to, blocks);
}

} // namespace
} // namespace fk
