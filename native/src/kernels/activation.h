// Activations over 16 values at a time, written so that the compiler turns each loop into vector code.
#pragma once
#include "simd.h"

namespace fk {
namespace {

// Relative error below 2e-7; 0 and infinity at the ends of the range, NaN for NaN.
FK_INLINE float exponential(float x) {
  constexpr float kMagic = 12582912.0f; // 1.5 · 2^23: adding it rounds to an integer
  const float clamped = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
  const float shifted = clamped * 1.44269504f + kMagic;
  const float n = shifted - kMagic;
  const float r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f; // ln 2 in two parts
  // Taylor to the sixth power, |r| <= ln 2 / 2
  float p = 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  return p * bits_to_float((float_to_bits(shifted) - 0x4b400000u + 127u) << 23);
}

FK_INLINE float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

// Abramowitz and Stegun, 7.1.26: absolute error below 1.5e-7.
FK_INLINE float error_function(float x) {
  const float a = x < 0 ? -x : x;
  const float t = 1.0f / (1.0f + 0.3275911f * a);
  const float p =
      t * (0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
  const float e = 1.0f - p * exponential(-a * a);
  return x < 0 ? -e : e;
}

FK_INLINE float gelu(float x) { return 0.5f * x * (1.0f + error_function(x * 0.70710678f)); }

// tanh(z) = 2 σ(2z) - 1, so 0.5 x (1 + tanh z) = x σ(2z)
FK_INLINE float gelu_tanh(float x) { return x * sigmoid(1.59576912f * (x + 0.044715f * x * x * x)); }

FK_INLINE float clamped_swiglu(float g, float u, float alpha, float limit) {
  g = g > limit ? limit : g;
  u = u > limit ? limit : u < -limit ? -limit : u;
  return g * sigmoid(alpha * g) * (u + 1.0f);
}

FK_INLINE float limited_silu(float g, float u, float limit) {
  g = g > limit ? limit : g;
  u = u > limit ? limit : u < -limit ? -limit : u;
  return g * sigmoid(g) * u;
}

// out = f(g) · u; ungated (g NULL): f(u), where what limits both has no meaning and is refused before.
inline void activate(const fk_layer &layer, const float *g, const float *u, float *out) {
  const float *f = g ? g : u;
  float v[kVector];
  switch (layer.activation) {
  case FK_SILU:
    for (int i = 0; i < kVector; i++) v[i] = f[i] * sigmoid(f[i]);
    break;
  case FK_SWIGLU_CLAMPED:
    for (int i = 0; i < kVector; i++) out[i] = clamped_swiglu(g[i], u[i], layer.alpha, layer.limit);
    return;
  case FK_SILU_LIMITED:
    for (int i = 0; i < kVector; i++) out[i] = limited_silu(g[i], u[i], layer.limit);
    return;
  case FK_GELU:
    for (int i = 0; i < kVector; i++) v[i] = gelu(f[i]);
    break;
  case FK_GELU_TANH:
    for (int i = 0; i < kVector; i++) v[i] = gelu_tanh(f[i]);
    break;
  case FK_RELU_SQUARED:
    for (int i = 0; i < kVector; i++) v[i] = f[i] < 0 ? 0 : f[i] * f[i];
    break;
  default:
    for (int i = 0; i < kVector; i++) v[i] = f[i] < 0 ? 0 : f[i];
  }
  for (int i = 0; i < kVector; i++) out[i] = g ? v[i] * u[i] : v[i];
}

} // namespace
} // namespace fk
