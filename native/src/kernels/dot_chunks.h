// The dot form of the block types: rows one after the other, a chunk at a time, against tokens in 8-bit integers.
#pragma once
#include "chunk.h"
#include "dot.h"
#ifdef FK_AMX
#include "dot_amx.h"
#endif

namespace fk {
namespace {

// Tokens whose sums fit the registers.
#if defined(__AVX512F__)
constexpr int kChunkTokens = 4;
#elif defined(__AVX2__)
constexpr int kChunkTokens = 4;
#else
constexpr int kChunkTokens = 1;
#endif

#ifdef FK_AMX
// Tokens up to which the vector units are as fast as AMX; with a scale for each 16 weights they always are.
constexpr int kChunkTokensBeforeAmx = 8;
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

// The scales of a register's groups, each for its four sums. Registers of a chunk are numbered through. Of wide groups
// those with even numbers are scales.
template <class W> FK_INLINE Floats spread(const Groups &groups, int number) {
  constexpr int one = W::kWide ? 0 : 1;
#if defined(__AVX512F__)
  constexpr int three = 2 + one;
  const __m512i lane = _mm512_setr_epi32(0, 0, 0, 0, one, one, one, one, 2, 2, 2, 2, three, three, three, three);
  return _mm512_permutexvar_ps(_mm512_add_epi32(lane, _mm512_set1_epi32(4 * number)), groups.r[0]);
#elif defined(__AVX2__)
  const __m256i lane = _mm256_setr_epi32(0, 0, 0, 0, one, one, one, one);
  return _mm256_permutevar8x32_ps(groups.r[number / 4], _mm256_add_epi32(lane, _mm256_set1_epi32(number % 4 * 2)));
#else
  return splat(groups.r[number / 4][one ? number % 4 : number % 4 / 2 * 2]);
#endif
}

// sums less v's lanes of odd number
FK_INLINE Floats less_odd(Floats sums, Floats v) {
#if defined(__AVX512F__)
  return _mm512_mask_sub_ps(sums, 0xaaaa, sums, v);
#elif defined(__AVX2__)
  return _mm256_sub_ps(sums, _mm256_blend_ps(_mm256_setzero_ps(), v, 0xaa));
#else
  return sums - Floats{0, v[1], 0, v[3]};
#endif
}

// The scales of a chunk times those of each token; what the minima and offsets make is taken off the sums.
template <class W, int T, int Chains>
FK_INLINE void scale_chunk(const uint8_t *p, const Int8Chunk *const (&x)[T], Groups (&scale)[T], Floats (&sums)[T][Chains]) {
  if constexpr (W::kWide) {
    const Groups factors = W::factors(p);
#pragma GCC unroll kUnroll
    for (int t = 0; t < T; t++) {
      scale[t] = factors * load_groups(x[t]->pairs);
#pragma GCC unroll kUnroll
      for (int i = 0; i < kGroupRegisters && !kSignedCodes<W>; i++)
        sums[t][i % Chains] = less_odd(sums[t][i % Chains], scale[t].r[i]);
    }
  } else {
    const Scales of = W::scales(p);
#pragma GCC unroll kUnroll
    for (int t = 0; t < T; t++) {
      scale[t] = of.scale * load_groups(x[t]->scales);
#pragma GCC unroll kUnroll
      for (int i = 0; i < kGroupRegisters && !kSignedCodes<W>; i++) {
        const Floats sum = load(x[t]->sums + kLanes * i);
        sums[t][i % Chains] -= W::kMins ? of.min.r[i] * sum : of.scale.r[i] * (sum * splat(W::kOffset));
      }
    }
  }
}

#ifdef __AVX512VBMI__
// The same of types whose nibbles name values of a table, in blocks of 32: 128 at a time, without having to be brought into
// their order.
template <class W, int T, int Chains>
FK_INLINE void multiply_nibbles(const uint8_t *p, const Int8Chunk *const (&x)[T], const Groups (&scale)[T], Floats (&sums)[T][Chains]) {
  const __m512i table = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)W::kValues));
  const __m512i blocks = _mm512_setr_epi32(0, 0, 0, 0, 2, 2, 2, 2, 4, 4, 4, 4, 6, 6, 6, 6);
#pragma GCC unroll 2
  for (int half = 0; half < 2; half++) {
    const __m512i bytes = W::four_blocks(p, half);
    // Of six bits that are looked at, the table has all its values for any upper two.
    const Bytes low = (Bytes)_mm512_permutexvar_epi8(bytes, table);
    const Bytes high = (Bytes)_mm512_permutexvar_epi8(_mm512_srli_epi16(bytes, 4), table);
#pragma GCC unroll 4
    for (int t = 0; t < T; t++) {
      const Floats factor =
          _mm512_permutexvar_ps(_mm512_add_epi32(blocks, _mm512_set1_epi32(8 * half)), (__m512)scale[t].r[0]);
      const int8_t *values = x[t]->split + 128 * half;
      sums[t][2 * half % Chains] += to_floats(products<W>(low, values)) * factor;
      sums[t][(2 * half + 1) % Chains] += to_floats(products<W>(high, values + 64)) * factor;
    }
  }
}
#endif

// sums[t] += a chunk of a row · the same chunk of token t
template <class W, int T, int Chains>
FK_INLINE void multiply_chunk(const uint8_t *p, const Int8Chunk *const (&x)[T], Floats (&sums)[T][Chains]) {
  Groups scale[T];
  scale_chunk<W>(p, x, scale, sums);
#ifdef __AVX512VBMI__
  if constexpr (kNibbles<W>) return multiply_nibbles<W>(p, x, scale, sums);
#endif
  const ChunkCodes<W> chunk(p);
#pragma GCC unroll kUnroll
  for (int pair = 0; pair < kChunk / kPairWeights; pair++) {
    const Codes codes = chunk.of(pair);
#pragma GCC unroll kUnroll
    for (int i = 0; i < kCodeRegisters; i++)
#pragma GCC unroll kUnroll
      for (int t = 0; t < T; t++)
        sums[t][(pair * kCodeRegisters + i) % Chains] +=
            to_floats(products<W>(codes.r[i], x[t]->values + pair * kPairWeights + i * kCodeBytes)) *
            spread<W>(scale[t], pair * kCodeRegisters + i);
  }
}

// sums[r][t]: of one row with each token, before its lanes are added up. `ahead` is a row to bring near meanwhile.
template <class W, int T>
FK_INLINE void dot_row(const uint8_t *row, const uint8_t *ahead, int k, const Int8Chunk *const (&tokens)[T], Floats *const (&to)[T]) {
  constexpr int kChains = T < 4 ? 4 / T : 1;
  Floats sums[T][kChains] = {};
  const Int8Chunk *x[T];
#pragma GCC unroll kUnroll
  for (int t = 0; t < T; t++) x[t] = tokens[t];
  for (; k >= kChunk; k -= kChunk, row += W::kChunkBytes, ahead += W::kChunkBytes) {
    for (int i = 0; i < W::kChunkBytes; i += 64) __builtin_prefetch(ahead + i, 0, kAheadLocality);
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
                    float *out, const uint8_t *next) {
  const RowsAhead ahead(rows, stride, count, next);
  const Int8Chunk *x[T];
  for (int t = 0; t < T; t++) x[t] = (const Int8Chunk *)tokens[t < live ? t : 0];
  for (int first = 0; first < count; first += kLanes) {
    const int these = count - first < kLanes ? count - first : kLanes;
    Floats sums[T][kLanes];
    for (int r = 0; r < these; r++) {
      Floats *to[T];
#pragma GCC unroll kUnroll
      for (int t = 0; t < T; t++) to[t] = &sums[t][r];
      dot_row<W, T>(rows + (first + r) * stride, ahead.of(first + r), k, x, to);
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
                           float *out, const uint8_t *next) {
#ifdef FK_AMX
  if constexpr (W::kWide)
    if (n > kChunkTokensBeforeAmx) return dot_few_amx<W>(rows, stride, count, k, tokens, n, out, next);
#endif
  constexpr int two = kChunkTokens < 2 ? 1 : 2, four = kChunkTokens < 4 ? 1 : 4;
  for (int t = 0; t < n; t += kChunkTokens) {
    const int live = n - t < kChunkTokens ? n - t : kChunkTokens;
    const auto dot = live == 1   ? dot_few<W, 1>
                     : live == 2 ? dot_few<W, two>
                     : live <= 4 ? dot_few<W, four>
                                 : dot_few<W, kChunkTokens>;
    dot(rows, stride, count, k, tokens + t, live, out + t * kStep, t == 0 ? next : nullptr);
  }
}

// For each 16 weights of a chunk.
template <class W> inline void scales_and_mins(const uint8_t *p, float (&scale)[kGroup], float (&min)[kGroup]) {
  const auto put = [](float *to, const Groups &groups) {
    for (int i = 0; i < kGroupRegisters; i++) store(to + kLanes * i, groups.r[i]);
  };
  if constexpr (W::kWide) {
    float factors[kGroup];
    put(factors, W::factors(p));
    for (int i = 0; i < kGroup; i++) scale[i] = factors[i & ~1], min[i] = factors[i | 1];
  } else {
    const Scales of = W::scales(p);
    put(scale, of.scale);
    put(min, W::kMins ? of.min : of.scale * W::kOffset);
  }
}

// The first `elements`, a multiple of 32, of a chunk as floats or bf16.
template <class W, class E> inline void convert_chunk(const uint8_t *p, int elements, E *to) {
  float scale[kGroup], min[kGroup];
  scales_and_mins<W>(p, scale, min);
  const ChunkCodes<W> chunk(p);
#pragma GCC unroll kUnroll
  for (int pair = 0; pair < kChunk / kPairWeights; pair++) {
    if (pair * kPairWeights >= elements) return;
    const Codes codes = chunk.of(pair);
    uint8_t bytes[kPairWeights];
    memcpy(bytes, &codes, sizeof bytes);
    for (int k = 0; k < kPairWeights && pair * kPairWeights + k < elements; k += kStep) {
      Floats w[kRegisters];
#pragma GCC unroll kUnroll
      for (int i = 0; i < kRegisters; i++) {
        const int group = (pair * kPairWeights + k + kLanes * i) / kGroup;
        const Floats code = load_uint8(bytes + k + kLanes * i);
        w[i] = code * splat(scale[group]) - splat(min[group]);
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
