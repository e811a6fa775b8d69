// Weights as bytes without sign, the codes, 64 at a time: unpacking them from the bits of a block.
#pragma once
#include "simd.h"

namespace fk {
namespace {

constexpr int kPairWeights = 64; // weights unpacked at a time: two blocks of 32
constexpr int kCodeBytes = 4 * kLanes; // of one register
constexpr int kCodeRegisters = kPairWeights / kCodeBytes;

// Loops over registers: unrolled where they are.
#ifdef __AVX2__
constexpr int kUnroll = 8;
#else
constexpr int kUnroll = 1;
#endif

typedef uint8_t Bytes __attribute__((vector_size(kCodeBytes)));
typedef uint64_t Words __attribute__((vector_size(kCodeBytes)));
typedef int32_t Ints __attribute__((vector_size(kCodeBytes)));

// 64 codes, in the order of the weights.
struct Codes {
  Bytes r[kCodeRegisters];
};

FK_INLINE Bytes load_bytes(const uint8_t *p) {
  Bytes v;
  memcpy(&v, p, sizeof v);
  return v;
}

template <class F> FK_INLINE Codes each_register(F f) {
  Codes c;
#pragma GCC unroll kUnroll
  for (int i = 0; i < kCodeRegisters; i++) c.r[i] = f(i);
  return c;
}

FK_INLINE Codes operator&(Codes a, uint8_t b) {
  return each_register([&](int i) { return a.r[i] & b; });
}
FK_INLINE Codes operator^(Codes a, uint8_t b) {
  return each_register([&](int i) { return a.r[i] ^ b; });
}
FK_INLINE Codes operator|(Codes a, Codes b) {
  return each_register([&](int i) { return a.r[i] | b.r[i]; });
}

// Bytes that hold less than 8 - `bits` bits, shifted left.
FK_INLINE Codes raised(Codes a, int bits) {
  return each_register([&](int i) { return (Bytes)((Words)a.r[i] << bits); });
}

// The four quarters of 16 bytes shifted right, in words: of each byte only the lowest 8 - bits bits are its own.
FK_INLINE Codes lowered(Codes a, int b0, int b1, int b2, int b3) {
  const int bits[4] = {b0, b1, b2, b3};
  return each_register([&](int i) {
    Words by;
#pragma GCC unroll 8
    for (int j = 0; j < kCodeBytes / 8; j++) by[j] = uint64_t(bits[(i * kCodeBytes + 8 * j) / 16]);
    return (Bytes)((Words)a.r[i] >> by);
  });
}

// From each byte `bits` bits, whose lowest is bit `from` (of the four quarters), to where the lowest is bit `to`.
FK_INLINE Codes field(Codes a, int f0, int f1, int f2, int f3, int bits, int to = 0) {
#if defined(__GFNI__) && defined(__AVX512F__)
  const int from[4] = {f0, f1, f2, f3};
  Words matrix = {}; // of bits: row 7 - i of a quarter says which bit of a byte becomes its bit i
#pragma GCC unroll 4
  for (int q = 0; q < 4; q++)
#pragma GCC unroll 8
    for (int i = 0; i < bits; i++) matrix[2 * q] |= uint64_t(1) << (8 * (7 - to - i) + from[q] + i);
#pragma GCC unroll 4
  for (int q = 0; q < 4; q++) matrix[2 * q + 1] = matrix[2 * q];
  return {{(Bytes)_mm512_gf2p8affine_epi64_epi8((__m512i)a.r[0], (__m512i)matrix, 0)}};
#else
  return raised(lowered(a, f0, f1, f2, f3) & uint8_t((1 << bits) - 1), to);
#endif
}
FK_INLINE Codes field(Codes a, int first, int second, int bits, int to = 0) {
  return field(a, first, first, second, second, bits, to);
}

// 32 bytes, then 32 others.
FK_INLINE Codes join(const uint8_t *p, const uint8_t *q) {
#if defined(__AVX512F__)
  const __m512i low = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)p));
  return {{(Bytes)_mm512_inserti64x4(low, _mm256_loadu_si256((const __m256i *)q), 1)}};
#else
  return each_register([&](int i) { return load_bytes(i * kCodeBytes < 32 ? p + i * kCodeBytes : q + i * kCodeBytes - 32); });
#endif
}
FK_INLINE Codes join(const uint8_t *p) {
  return each_register([&](int i) { return load_bytes(p + i * kCodeBytes); });
}

#ifdef __x86_64__
FK_INLINE Codes from_quarters(const __m128i (&q)[4]) {
#if defined(__AVX512F__)
  const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(q[0]), q[1], 1);
  const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(q[2]), q[3], 1);
  return {{(Bytes)_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1)}};
#elif defined(__AVX2__)
  return {{(Bytes)_mm256_inserti128_si256(_mm256_castsi128_si256(q[0]), q[1], 1),
           (Bytes)_mm256_inserti128_si256(_mm256_castsi128_si256(q[2]), q[3], 1)}};
#else
  return {{(Bytes)q[0], (Bytes)q[1], (Bytes)q[2], (Bytes)q[3]}};
#endif
}
#endif

// 32 bytes twice.
FK_INLINE Codes twice(const uint8_t *p) {
#if defined(__AVX512F__)
  return {{(Bytes)_mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)p))}};
#else
  return join(p, p);
#endif
}

// 16 bytes twice, then 16 others twice.
FK_INLINE Codes twice(const uint8_t *p, const uint8_t *q) {
#if defined(__AVX512F__)
  const __m256i first = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)p));
  const __m256i second = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)q));
  return {{(Bytes)_mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1)}};
#elif defined(__AVX2__)
  return {{(Bytes)_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)p)),
           (Bytes)_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)q))}};
#else
  return each_register([&](int i) { return load_bytes(i < 2 ? p : q); });
#endif
}

// Low nibbles of 32 bytes, then their high ones.
FK_INLINE Codes nibbles(const uint8_t *p) { return field(twice(p), 0, 4, 4); }
// Low nibbles of 16 bytes, then their high ones, then those of 16 others.
FK_INLINE Codes nibbles(const uint8_t *p, const uint8_t *q) { return field(twice(p, q), 0, 4, 0, 4, 4); }

// table[code] of codes below 16.
FK_INLINE Codes lookup(const uint8_t (&table)[16], Codes codes) {
  return each_register([&](int i) {
#if defined(__AVX512F__)
    const __m512i t = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)table));
    return (Bytes)_mm512_shuffle_epi8(t, (__m512i)codes.r[i]);
#elif defined(__AVX2__)
    const __m256i t = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table));
    return (Bytes)_mm256_shuffle_epi8(t, (__m256i)codes.r[i]);
#else
    Bytes v;
    for (int j = 0; j < kCodeBytes; j++) v[j] = table[codes.r[i][j]];
    return v;
#endif
  });
}

// `value` where a bit is set, else 0.
FK_INLINE Codes where(uint64_t bits, uint8_t value) {
  return each_register([&](int i) {
#if defined(__AVX512F__)
    (void)i;
    return (Bytes)_mm512_maskz_set1_epi8(bits, char(value));
#elif defined(__AVX2__)
    const __m256i word = _mm256_set1_epi32(int(bits >> (32 * i)));
    const __m256i byte = _mm256_shuffle_epi8(word, _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303));
    const __m256i bit = _mm256_set1_epi64x(int64_t(0x8040201008040201));
    return (Bytes)_mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(byte, bit), bit), _mm256_set1_epi8(char(value)));
#else
    Bytes v;
    for (int j = 0; j < kCodeBytes; j++) v[j] = bits >> (i * kCodeBytes + j) & 1 ? value : 0;
    return v;
#endif
  });
}

// offset + magnitude, or offset - magnitude where a bit is set.
FK_INLINE Codes with_signs(Codes magnitudes, uint64_t bits, uint8_t offset) {
#if defined(__AVX512F__)
  const __m512i v = (__m512i)magnitudes.r[0], o = _mm512_set1_epi8(char(offset));
  return {{(Bytes)_mm512_mask_sub_epi8(_mm512_add_epi8(o, v), bits, o, v)}};
#else
  const Codes negative = where(bits, 0xff);
  return each_register([&](int i) { return ((magnitudes.r[i] ^ negative.r[i]) - negative.r[i]) + offset; });
#endif
}

// Sixteen entries of four bytes, or eight of eight.
FK_INLINE Codes entries4(const uint32_t *book, const uint16_t (&at)[16]) {
#ifdef __x86_64__
  __m128i four[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++)
    four[i] = _mm_setr_epi32(int(book[at[4 * i]]), int(book[at[4 * i + 1]]), int(book[at[4 * i + 2]]), int(book[at[4 * i + 3]]));
  return from_quarters(four);
#else
  uint32_t e[16];
  for (int i = 0; i < 16; i++) e[i] = book[at[i]];
  return join((const uint8_t *)e);
#endif
}
FK_INLINE Codes entries8(const uint64_t *book, const uint16_t (&at)[8]) {
#ifdef __x86_64__
  __m128i two[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) two[i] = _mm_set_epi64x(int64_t(book[at[2 * i + 1]]), int64_t(book[at[2 * i]]));
  return from_quarters(two);
#else
  uint64_t e[8];
  for (int i = 0; i < 8; i++) e[i] = book[at[i]];
  return join((const uint8_t *)e);
#endif
}

} // namespace
} // namespace fk
