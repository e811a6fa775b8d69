// The stored types of weights: how 32 of them become floats, and how a stretch of a row becomes a tile's operand.
#pragma once
#include "simd.h"

namespace fk {
namespace {

constexpr int kRegisters = kStep / kLanes; // of 32 floats

struct F32Weights {
  static constexpr int block = 1;
  static constexpr int bytes = 4 * kStep; // of one step
  static FK_INLINE void load(const uint8_t *p, Floats (&w)[kRegisters]) {
    for (int i = 0; i < kRegisters; i++) w[i] = load_f32(p + 4 * kLanes * i);
  }
};

struct F16Weights {
  static constexpr int block = 1;
  static constexpr int bytes = 2 * kStep;
  static FK_INLINE void load(const uint8_t *p, Floats (&w)[kRegisters]) {
    for (int i = 0; i < kRegisters; i++) w[i] = load_f16(p + 2 * kLanes * i);
  }
};

struct Bf16Weights {
  static constexpr int block = 1;
  static constexpr int bytes = 2 * kStep;
  static FK_INLINE void load(const uint8_t *p, Floats (&w)[kRegisters]) {
    for (int i = 0; i < kRegisters; i++) w[i] = load_bf16(p + 2 * kLanes * i);
  }
};

struct Q8Weights {
  static constexpr int block = 32;
  static constexpr int bytes = 34;
  static FK_INLINE float scale(const uint8_t *p) {
    uint16_t half;
    memcpy(&half, p, sizeof half);
#ifdef __F16C__
    return _cvtsh_ss(half);
#else
    return half_to_float(half);
#endif
  }
  static FK_INLINE void load(const uint8_t *p, Floats (&w)[kRegisters]) {
    const Floats factor = splat(scale(p));
    for (int i = 0; i < kRegisters; i++) w[i] = factor * load_int8(p + 2 + kLanes * i);
  }
};

// Bytes from a row's start to element k; for Q8_0 k is a multiple of 32.
template <class W> FK_INLINE int64_t offset(int64_t k) { return k * W::bytes / kStep; }

// The last step of a row that ends within it, filled up with zeros: nothing past the row is read.
template <class W> struct Tail {
  uint8_t data[W::bytes];
  Tail(const uint8_t *p, int elements) {
    memset(data, 0, sizeof data);
    memcpy(data, p, size_t(offset<W>(elements)));
  }
};

FK_INLINE void store_elements(float *to, const Floats (&w)[kRegisters]) {
  for (int i = 0; i < kRegisters; i++) store(to + kLanes * i, w[i]);
}

FK_INLINE void store_elements(bf16 *to, const Floats (&w)[kRegisters]) {
#ifdef __AVX512BF16__
  const __m512bh rounded = _mm512_cvtne2ps_pbh(w[1], w[0]);
  memcpy(to, &rounded, sizeof rounded);
#else
  float f[kStep];
  store_elements(f, w);
  for (int i = 0; i < kStep; i++) to[i] = to_bf16(f[i]);
#endif
}

template <class W, class E> FK_INLINE void convert_step(const uint8_t *p, E *to) {
  Floats w[kRegisters];
  W::load(p, w);
  store_elements(to, w);
}

// Whether W's stored weights are elements of E.
template <class W, class E>
constexpr bool kSame = sizeof(E) == 4 ? __is_same(W, F32Weights) : __is_same(W, Bf16Weights);

// As Arithmetic::convert, for weights W.
template <class W, class E> inline void convert_steps(const uint8_t *p, int elements, int padded, void *to_elements) {
  E *to = (E *)to_elements;
  const int whole = elements / kStep * kStep;
  for (int k = 0; k < whole; k += kStep, p += W::bytes) {
    if (kSame<W, E>)
      memcpy(to + k, p, W::bytes);
    else
      convert_step<W>(p, to + k);
  }
  if (elements > whole) convert_step<W>(Tail<W>(p, elements - whole).data, to + whole);
  for (int k = round_up(elements, kStep); k < padded; k++) to[k] = 0;
}

} // namespace
} // namespace fk
