// The library under a sanitizer: every kernel on random shapes in buffers that end where the data ends, against a
// reference in double; then the pool's starts, sleeps and ends. Prints one line; exits with 1 at the first wrong result.
#include "fiddler_experts.h"

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

std::mt19937 generator(1);
float normal() { return std::normal_distribution<float>()(generator); }
int uniform(int from, int to) { return std::uniform_int_distribution<int>(from, to)(generator); }

float bf16_to_float(uint16_t h) {
  const uint32_t bits = uint32_t(h) << 16;
  float f;
  std::memcpy(&f, &bits, sizeof f);
  return f;
}

// A matrix of a stored type on the heap, `skew` bytes off alignment and not a byte longer than its values.
struct Matrix {
  std::unique_ptr<char[]> memory;
  const char *data;
  int64_t stride;
  std::vector<double> values;

  Matrix(int type, int rows, int columns) : values(size_t(rows) * columns) {
    stride = type == FK_F32 ? 4 * columns : type == FK_Q8_0 ? columns / 32 * 34 : 2 * columns;
    const int skew = uniform(0, 3);
    memory.reset(new char[skew + rows * stride]);
    char *at = memory.get() + skew;
    data = at;
    for (size_t i = 0; i < values.size(); i++) {
      const float f = normal() / std::sqrt(float(columns));
      if (type == FK_F32) {
        std::memcpy(at + 4 * i, &f, 4);
        values[i] = f;
      } else if (type == FK_BF16) {
        uint32_t bits;
        std::memcpy(&bits, &f, 4);
        const uint16_t h = uint16_t(bits >> 16);
        std::memcpy(at + 2 * i, &h, 2);
        values[i] = bf16_to_float(h);
      } else if (type == FK_F16) { // sign, exponent 2^-5, random mantissa
        const uint16_t h = uint16_t((f < 0 ? 0x8000 : 0) | 10 << 10 | uniform(0, 1023));
        std::memcpy(at + 2 * i, &h, 2);
        values[i] = (f < 0 ? -1 : 1) * (1 + (h & 1023) / 1024.0) / 32;
      } else {
        const uint16_t scale = 0x1000; // 2^-11
        char *block = at + i / 32 * 34;
        if (i % 32 == 0) std::memcpy(block, &scale, 2);
        block[2 + i % 32] = char(uniform(-127, 127));
        values[i] = int8_t(block[2 + i % 32]) / 2048.0;
      }
    }
  }
};

struct Case {
  fk_layer layer;
  int ff, tokens;
  std::vector<Matrix> matrices; // gate, up, down of each expert
  std::vector<fk_expert> experts;
  std::vector<int32_t> route_tokens;
  std::vector<float> weights, x;
  std::vector<double> expected;

  explicit Case(int type) {
    const bool blocks = type == FK_Q8_0;
    const auto size = [&] { return blocks ? 32 * uniform(1, 6) : uniform(1, 200); };
    layer = {size(), type, FK_SILU, FK_AUTO, 0, 0};
    ff = size();
    tokens = uniform(1, 40);
    x.resize(size_t(tokens) * layer.hidden);
    for (float &v : x) v = normal();
    expected.resize(x.size());
    const int count = uniform(1, 4);
    matrices.reserve(3 * count);
    for (int i = 0; i < count; i++) add_expert();
  }

  void add_expert() {
    const int d = layer.hidden, unit = layer.type == FK_Q8_0 ? 32 : 1;
    const size_t m = matrices.size();
    matrices.emplace_back(layer.type, ff, d);
    matrices.emplace_back(layer.type, ff, d);
    matrices.emplace_back(layer.type, d, ff);
    const int a = uniform(0, ff / unit) * unit, b = uniform(a / unit, ff / unit) * unit, n = uniform(0, tokens);
    experts.push_back({matrices[m].data, matrices[m + 1].data, matrices[m + 2].data, nullptr, nullptr, nullptr,
                       matrices[m].stride, matrices[m + 1].stride, matrices[m + 2].stride, a, b,
                       int32_t(route_tokens.size()), n});
    for (int i = 0; i < n; i++) {
      route_tokens.push_back(uniform(0, tokens - 1));
      weights.push_back(0.5f + i % 3);
      add_expected(m, a, b);
    }
  }

  void add_expected(size_t m, int a, int b) {
    const int d = layer.hidden;
    const float *token = &x[size_t(route_tokens.back()) * d];
    double *y = &expected[size_t(route_tokens.back()) * d];
    for (int r = a; r < b; r++) {
      double g = 0, u = 0;
      for (int k = 0; k < d; k++) {
        g += matrices[m].values[size_t(r) * d + k] * token[k];
        u += matrices[m + 1].values[size_t(r) * d + k] * token[k];
      }
      for (int c = 0; c < d; c++)
        y[c] += weights.back() * matrices[m + 2].values[size_t(c) * ff + r] * g / (1 + std::exp(-g)) * u;
    }
  }

  void run(fk_pool *pool, int precision, const char *kernel) {
    std::vector<float> y(x.size(), 1.0f);
    fk_layer with = layer;
    with.precision = precision;
    fk_poison_scratch(pool, 0xff);
    const int status = fk_experts_run(pool, &with, experts.data(), int(experts.size()), route_tokens.data(),
                                      weights.data(), int(route_tokens.size()), x.data(), y.data(), tokens);
    double error = 0, norm = 1e-12;
    for (size_t i = 0; i < y.size(); i++) {
      error += std::pow(y[i] - 1 - expected[i], 2);
      norm += expected[i] * expected[i];
    }
    // bf16 rounds to 2^-8, which averages out over long sums only; y = 1 plus small numbers rounds to 2^-24.
    const double bound = precision ? 1e-10 : 5e-5 + 2e-3 / layer.hidden;
    if (status == FK_OK && error <= norm * bound + 1e-14 * double(y.size())) return;
    std::printf("%s, type %d, precision %d, d %d, ff %d: status %d, error %g of %g\n", kernel, layer.type, precision,
                layer.hidden, ff, status, error, norm);
    std::exit(1);
  }
};

void check_kernels(int cases) {
  std::string names = std::string(fk_kernels_available()) + ",amx-emulated,";
  fk_pool *pool = fk_pool_create(3, nullptr);
  for (size_t at = 0, end; (end = names.find(',', at)) != std::string::npos; at = end + 1) {
    const std::string name = names.substr(at, end - at);
    if (fk_select_kernel(name.c_str())) std::exit(1);
    for (int i = 0; i < cases; i++) {
      Case test(i % 4);
      for (int precision : {FK_AUTO, FK_FULL_F32}) test.run(pool, precision, name.c_str());
    }
  }
  fk_select_kernel(nullptr);
  fk_pool_free(pool);
}

// Workers that spin, sleep, are woken, and end while work waits.
void check_pool(int rounds) {
  Case test(FK_BF16);
  for (int threads : {1, 2, 4}) {
    fk_pool *pool = fk_pool_create(threads, nullptr);
    for (int i = 0; i < rounds; i++) {
      if (i % 10 == 3) fk_pool_begin(pool);
      if (i % 10 == 6) fk_pool_end(pool);
      if (i % 10 == 9) std::this_thread::sleep_for(std::chrono::microseconds(400));
      test.run(pool, i % 2, "pool");
    }
    std::vector<float> y(test.x.size());
    fk_experts_start(pool, &test.layer, test.experts.data(), int(test.experts.size()), test.route_tokens.data(),
                     test.weights.data(), int(test.route_tokens.size()), test.x.data(), y.data(), test.tokens);
    fk_pool_free(pool);
  }
}

} // namespace

int main(int argc, char **argv) {
  const int cases = argc > 1 ? std::atoi(argv[1]) : 40;
  check_kernels(cases);
  check_pool(5 * cases);
  std::printf("%d cases for each of %s,amx-emulated: right\n", cases, fk_kernels_available());
}
