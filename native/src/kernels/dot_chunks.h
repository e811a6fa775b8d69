// The dot form of the block types: rows one after the other, a chunk at a time, against tokens in 8-bit integers.
#pragma once
#include "chunk.h"
#include "dot.h"

namespace fk {
namespace {

// Bytes by which the software prefetch runs ahead of the loads; it runs on into the rows that follow in memory.
constexpr int kChunkAhead = 4096;
// Tokens whose sums fit the registers.
#if defined(__AVX512F__)
constexpr int kChunkTokens = 4;
#elif defined(__AVX2__)
constexpr int kChunkTokens = 4;
#else
constexpr int kChunkTokens = 1;
#endif

// AVX2 multiplies bytes without sign by bytes with it into sums of two that saturate: larger codes take their sign back.
#if defined(__AVX2__) && !defined(__AVX512F__)
template <class W> constexpr bool kSignedCodes = W::kLargest > 128;
#else
template <class W> constexpr bool kSignedCodes = false;
#endif

// Of each four neighbours, the sum of codes times x.
template <class W> FK_INLINE Ints products(Bytes codes, const int8_t *x) {
#if defined(__AVX512VNNI__)
  return (Ints)_mm512_dpbusd_epi32(_mm512_setzero_si512(), (__m512i)codes, _mm512_loadu_si512(x));
#elif defined(__AVX512F__)
  const __m512i w = (__m512i)codes, v = _mm512_loadu_si512(x);
  const __m512i even = _mm512_madd_epi16(_mm512_and_si512(w, _mm512_set1_epi16(255)),
                                         _mm512_srai_epi16(_mm512_slli_epi16(v, 8), 8));
  return (Ints)_mm512_add_epi32(even, _mm512_madd_epi16(_mm512_srli_epi16(w, 8), _mm512_srai_epi16(v, 8)));
#elif defined(__AVX2__)
  __m256i w = (__m256i)codes, v = _mm256_loadu_si256((const __m256i *)x);
  if (kSignedCodes<W>) {
    const __m256i with_sign = _mm256_sub_epi8(w, _mm256_set1_epi8(char(W::kOffset)));
    w = _mm256_abs_epi8(with_sign);
    v = _mm256_sign_epi8(v, with_sign);
  }
  return (Ints)_mm256_madd_epi16(_mm256_maddubs_epi16(w, v), _mm256_set1_epi16(1));
#else
  Ints sums = {};
  for (int i = 0; i < kCodeBytes; i++) sums[i / 4] += int(codes[i]) * x[i];
  return sums;
#endif
}

// The scales of a register's groups, each for its four sums. Registers of a chunk are numbered through.
FK_INLINE Floats spread(const Groups &groups, int number) {
#if defined(__AVX512F__)
  const __m512i lane = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
  return _mm512_permutexvar_ps(_mm512_add_epi32(lane, _mm512_set1_epi32(4 * number)), groups.r[0]);
#elif defined(__AVX2__)
  const __m256i lane = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
  return _mm256_permutevar8x32_ps(groups.r[number / 4], _mm256_add_epi32(lane, _mm256_set1_epi32(number % 4 * 2)));
#else
  return splat(groups.r[number / 4][number % 4]);
#endif
}

// sums[t] += a chunk of a row · the same chunk of token t
template <class W, int T, int Chains>
FK_INLINE void multiply_chunk(const uint8_t *p, const Int8Chunk *const (&x)[T], Floats (&sums)[T][Chains]) {
  const Scales of = W::scales(p);
  Groups scale[T];
#pragma GCC unroll kUnroll
  for (int t = 0; t < T; t++) {
    scale[t] = of.scale * load_groups(x[t]->scales);
    if (kSignedCodes<W>) continue;
#pragma GCC unroll kUnroll
    for (int i = 0; i < kGroupRegisters; i++) {
      const Floats sum = load(x[t]->sums + kLanes * i);
      if (W::kMins)
        sums[t][i % Chains] -= of.min.r[i] * sum;
      else
        sums[t][i % Chains] -= of.scale.r[i] * (sum * splat(W::kOffset));
    }
  }
#pragma GCC unroll kUnroll
  for (int pair = 0; pair < kChunk / kPairWeights; pair++) {
    const Codes codes = W::codes(p, pair);
#pragma GCC unroll kUnroll
    for (int i = 0; i < kCodeRegisters; i++)
#pragma GCC unroll kUnroll
      for (int t = 0; t < T; t++)
        sums[t][(pair * kCodeRegisters + i) % Chains] +=
            to_floats(products<W>(codes.r[i], x[t]->values + pair * kPairWeights + i * kCodeBytes)) *
            spread(scale[t], pair * kCodeRegisters + i);
  }
}

// sums[r][t]: of one row with each token, before its lanes are added up.
template <class W, int T>
FK_INLINE void dot_row(const uint8_t *row, int k, const Int8Chunk *const (&tokens)[T], Floats *const (&to)[T]) {
  constexpr int kChains = T < 4 ? 4 / T : 1;
  Floats sums[T][kChains] = {};
  const Int8Chunk *x[T];
#pragma GCC unroll kUnroll
  for (int t = 0; t < T; t++) x[t] = tokens[t];
  for (; k >= kChunk; k -= kChunk, row += W::kChunkBytes) {
    for (int i = 0; i < W::kChunkBytes; i += 64) __builtin_prefetch(row + kChunkAhead + i, 0, kAheadLocality);
    multiply_chunk<W, T, kChains>(row, x, sums);
#pragma GCC unroll kUnroll
    for (int t = 0; t < T; t++) x[t]++;
  }
  if (k > 0) multiply_chunk<W, T, kChains>(ChunkTail<W>(row, k).data, x, sums);
#pragma GCC unroll kUnroll
  for (int t = 0; t < T; t++) {
    for (int c = 1; c < kChains; c++) sums[t][0] += sums[t][c];
    *to[t] = sums[t][0];
  }
}

// Lane i: the sum of vector i's lanes.
FK_INLINE Floats sums_of(const Floats (&v)[kLanes]) {
#if defined(__AVX512F__)
  __m512 a[8], b[4];
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++)
    a[i] = _mm512_add_ps(_mm512_unpacklo_ps(v[2 * i], v[2 * i + 1]), _mm512_unpackhi_ps(v[2 * i], v[2 * i + 1]));
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    const __m512d x = _mm512_castps_pd(a[2 * i]), y = _mm512_castps_pd(a[2 * i + 1]);
    b[i] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)), _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));
  }
  const auto add_quarters = [](__m512 x, __m512 y) {
    return _mm512_add_ps(_mm512_shuffle_f32x4(x, y, 0x88), _mm512_shuffle_f32x4(x, y, 0xdd));
  };
  return add_quarters(add_quarters(b[0], b[1]), add_quarters(b[2], b[3]));
#else
  Floats out;
  for (int i = 0; i < kLanes; i++) out[i] = sum(v[i]);
  return out;
#endif
}

// T tokens, of which those beyond `live` are copies of the first; sums are added up for as many rows as there are lanes.
template <class W, int T>
inline void dot_few(const uint8_t *rows, int64_t stride, int count, int k, const void *const *tokens, int live,
                    float *out) {
  const Int8Chunk *x[T];
  for (int t = 0; t < T; t++) x[t] = (const Int8Chunk *)tokens[t < live ? t : 0];
  for (int first = 0; first < count; first += kLanes) {
    const int these = count - first < kLanes ? count - first : kLanes;
    Floats sums[T][kLanes];
    for (int r = 0; r < these; r++) {
      Floats *to[T];
#pragma GCC unroll kUnroll
      for (int t = 0; t < T; t++) to[t] = &sums[t][r];
      dot_row<W, T>(rows + (first + r) * stride, k, x, to);
    }
    for (int t = 0; t < T; t++)
      for (int r = these; r < kLanes; r++) sums[t][r] = Floats{};
    for (int t = 0; t < live; t++) {
      const Floats added = sums_of(sums[t]);
      memcpy(out + t * kStep + first, &added, size_t(these) * sizeof(float));
    }
  }
}

// As Arithmetic::dot, for chunks of weights W.
template <class W>
inline void dot_chunk_rows(const uint8_t *rows, int64_t stride, int count, int k, const void *const *tokens, int n,
                           float *out) {
  constexpr int two = kChunkTokens < 2 ? 1 : 2, four = kChunkTokens < 4 ? 1 : 4;
  for (int t = 0; t < n; t += kChunkTokens) {
    const int live = n - t < kChunkTokens ? n - t : kChunkTokens;
    const auto dot = live == 1   ? dot_few<W, 1>
                     : live == 2 ? dot_few<W, two>
                     : live <= 4 ? dot_few<W, four>
                                 : dot_few<W, kChunkTokens>;
    dot(rows, stride, count, k, tokens + t, live, out + t * kStep);
  }
}

// The first `elements`, a multiple of 32, of a chunk as floats or bf16.
template <class W, class E> inline void convert_chunk(const uint8_t *p, int elements, E *to) {
  const Scales of = W::scales(p);
  float scale[kGroup], min[kGroup];
  for (int i = 0; i < kGroupRegisters; i++) {
    store(scale + kLanes * i, of.scale.r[i]);
    if (W::kMins) store(min + kLanes * i, of.min.r[i]);
  }
#pragma GCC unroll kUnroll
  for (int pair = 0; pair < kChunk / kPairWeights; pair++) {
    if (pair * kPairWeights >= elements) return;
    const Codes codes = W::codes(p, pair);
    uint8_t bytes[kPairWeights];
    memcpy(bytes, &codes, sizeof bytes);
    for (int k = 0; k < kPairWeights && pair * kPairWeights + k < elements; k += kStep) {
      Floats w[kRegisters];
#pragma GCC unroll kUnroll
      for (int i = 0; i < kRegisters; i++) {
        const int group = (pair * kPairWeights + k + kLanes * i) / kGroup;
        const Floats code = load_uint8(bytes + k + kLanes * i);
        w[i] = W::kMins ? code * splat(scale[group]) - splat(min[group])
                        : (code - splat(W::kOffset)) * splat(scale[group]);
      }
      store_elements(to + pair * kPairWeights + k, w);
    }
  }
}

// As Arithmetic::convert, for chunks of weights W.
template <class W, class E> inline void convert_chunks(const uint8_t *p, int elements, int padded, void *to_elements) {
  E *to = (E *)to_elements;
  int k = 0;
  for (; k + kChunk <= elements; k += kChunk, p += W::kChunkBytes) convert_chunk<W>(p, kChunk, to + k);
  if (k < elements) convert_chunk<W>(ChunkTail<W>(p, elements - k).data, elements - k, to + k);
  for (k = elements; k < padded; k++) to[k] = 0;
}

} // namespace
} // namespace fk
