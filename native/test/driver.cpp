// The library under a sanitizer: every kernel on random shapes in buffers that end where the data ends, against a
// reference in double; then the pool's starts, sleeps and ends. Prints one line; exits with 1 at the first wrong result.
#include "blocks.h"
#include "../src/pool.h"
#include "fiddler_experts.h"

#include <algorithm>
#include <atomic>
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

int block_of(int type) {
  int32_t elements, bytes;
  fk_type_block(type, &elements, &bytes);
  return elements;
}

// A matrix of a stored type on the heap, `skew` bytes off alignment and not a byte longer than its values.
struct Matrix {
  std::unique_ptr<char[]> memory;
  const char *data;
  int64_t stride;
  std::vector<double> values;

  Matrix(int type, int rows, int columns) : values(size_t(rows) * columns) {
    int32_t elements, bytes;
    fk_type_block(type, &elements, &bytes);
    stride = int64_t(columns / elements) * bytes;
    const int skew = uniform(0, 3);
    memory.reset(new char[skew + rows * stride]);
    char *at = memory.get() + skew;
    data = at;
    const double size = 1 / std::sqrt(double(columns));
    for (size_t i = 0; i < values.size(); i += elements, at += bytes) {
      const float f = float(normal() * size);
      if (type == FK_F32) {
        std::memcpy(at, &f, 4);
        values[i] = f;
      } else if (type == FK_BF16) {
        uint32_t bits;
        std::memcpy(&bits, &f, 4);
        const uint16_t h = uint16_t(bits >> 16);
        std::memcpy(at, &h, 2);
        values[i] = bf16_to_float(h);
      } else if (type == FK_F16) {
        blocks::put_half((uint8_t *)at, std::fabs(f) + 1e-6);
        values[i] = blocks::half((const uint8_t *)at);
      } else {
        blocks::random_block(type, generator, size, (uint8_t *)at);
        for (int j = 0; j < elements; j++) values[i + j] = blocks::weight(type, (const uint8_t *)at, j);
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

  // Sizes are multiples of the blocks, and small where none asks for more.
  Case(int gate, int up, int down) {
    const int in = std::max(block_of(gate), block_of(up)), out = block_of(down);
    const auto size = [](int block) { return block > 1 ? block * uniform(1, block > 64 ? 2 : 12) : uniform(1, 200); };
    layer = {size(in), gate, up, down, uniform(0, 3) ? FK_SILU : FK_RELU_SQUARED, FK_AUTO, 0, 0, 0};
    ff = size(out);
    tokens = uniform(1, 40);
    x.resize(size_t(tokens) * layer.hidden);
    for (float &v : x) v = normal();
    expected.resize(x.size());
    const int count = uniform(1, 4);
    matrices.reserve(3 * count);
    for (int i = 0; i < count; i++) add_expert();
  }

  // Experts with squared ReLU have no gate.
  bool gated() const { return layer.activation == FK_SILU; }

  void add_expert() {
    const int d = layer.hidden, unit = block_of(layer.down_type);
    const size_t m = matrices.size();
    matrices.emplace_back(layer.gate_type, ff, d);
    matrices.emplace_back(layer.up_type, ff, d);
    matrices.emplace_back(layer.down_type, d, ff);
    const int a = uniform(0, ff / unit) * unit, b = uniform(a / unit, ff / unit) * unit, n = uniform(0, tokens);
    experts.push_back({gated() ? matrices[m].data : nullptr, matrices[m + 1].data, matrices[m + 2].data, nullptr, nullptr, nullptr,
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
      const double inner = gated() ? g / (1 + std::exp(-g)) * u : std::pow(std::max(u, 0.0), 2);
      for (int c = 0; c < d; c++) y[c] += weights.back() * matrices[m + 2].values[size_t(c) * ff + r] * inner;
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
    // bf16 rounds to 2^-8 and 8-bit integers to 1/127 of 32 values' largest, which average out over long sums only;
    // y = 1 plus small numbers rounds to 2^-24. A square doubles what its factor is off by.
    const double bound = (precision ? 1e-10 : 4e-4 + 4e-3 / layer.hidden) * (gated() ? 1 : 4);
    if (std::getenv("V")) std::printf("%s %d %d p%d n%zu: %g\n", kernel, layer.up_type, layer.down_type, precision, route_tokens.size(), error / norm);
    if (status == FK_OK && error <= norm * bound + 1e-14 * double(y.size())) return;
    std::printf("%s, types %d %d %d, precision %d, d %d, ff %d, %d tokens: status %d, error %g of %g\n", kernel,
                layer.gate_type, layer.up_type, layer.down_type, precision, layer.hidden, ff, tokens, status, error, norm);
    std::exit(1);
  }
};

// A router's buffers end where the data ends; what it chooses is its k best, which are found here by counting.
void check_route(fk_pool *pool, const char *kernel) {
  const int groups = uniform(0, 1) ? 1 : 4, experts = groups * uniform(2, 80), tokens = uniform(1, 600);
  const int chosen = uniform(1, std::min(experts / groups, 12));
  const fk_routing rule = {chosen, uniform(FK_SCORE_LOGIT, FK_SCORE_SQRT_SOFTPLUS), groups, uniform(1, groups), 2, 1, 0, 0, 2};
  std::vector<float> logits(size_t(tokens) * experts), bias(experts), weights(size_t(tokens) * chosen);
  std::vector<int32_t> ids(weights.size(), -1);
  for (float &f : logits) f = normal();
  for (float &f : bias) f = normal();
  int status = fk_route(pool, &rule, bias.data(), groups > 1 ? bias.data() : nullptr, nullptr, logits.data(), tokens,
                        experts, ids.data(), weights.data());
  for (size_t i = 0; i < ids.size() && groups == 1; i++) {
    const float *row = &logits[i / chosen * experts];
    int above = 0;
    for (int e = 0; e < experts; e++) above += row[e] + bias[e] > row[ids[i]] + bias[ids[i]];
    if (above != int(i) % chosen) status = 1;
  }
  if (status == FK_OK) return;
  std::printf("%s: routes %d of %d experts in %d groups, %d tokens: wrong\n", kernel, chosen, experts, groups, tokens);
  std::exit(1);
}

// Buffers end where the data ends. Each assignment's token and weight must be where the orders say, once.
void check_order() {
  const int experts = uniform(2, 40), chosen = uniform(1, std::min(experts, 8)), n = uniform(1, 300);
  std::vector<int32_t> ids, counts(experts), nexts(experts), rows(size_t(n) * chosen);
  std::vector<float> weights, sorted(rows.size());
  for (int t = 0; t < n; t++)
    for (int k = 0, e = uniform(0, experts - 1); k < chosen; k++, e = (e + 1) % experts) {
      ids.push_back(uniform(0, 9) ? e : -1);
      weights.push_back(1 + float(ids.size()));
    }
  int status = fk_order_count(ids.data(), int(ids.size()), experts, counts.data());
  for (int e = 1; e < experts; e++) nexts[e] = nexts[e - 1] + counts[e - 1];
  std::vector<int32_t> members;
  for (int e = 0; e < experts; e += uniform(1, 2)) if (counts[e]) members.insert(members.end(), {2 * e, nexts[e], counts[e]});
  status |= fk_order_sort(ids.data(), weights.data(), n, chosen, nexts.data(), rows.data(), sorted.data());
  int total = 0;
  for (size_t m = 2; m < members.size(); m += 3) total += members[m];
  std::vector<int32_t> slots(total), tokens(total), seen(n), places(n), sizes(chosen), orders(chosen), targets(chosen), found(chosen);
  std::vector<float> gathered(total);
  status |= fk_order_gather(members.data(), int(members.size() / 3), rows.data(), sorted.data(), n, slots.data(),
                            tokens.data(), gathered.data(), seen.data(), sizes.data(), chosen);
  std::vector<int32_t> laid_ids(total), laid_tokens(total), order(size_t(n) * chosen), numbers(2 * size_t(n) * chosen, -1);
  std::vector<float> laid(total), weighed(order.size());
  status |= fk_order_lay_out(laid_ids.data(), laid_tokens.data(), total, 1, total, slots.data(), tokens.data());
  for (int k = 0; k < chosen; k++) orders[k] = k * n, targets[k] = (chosen + k) * n; // a round each
  status |= fk_order_rounds(numbers.data(), laid.data(), laid_tokens.data(), total, 1, total, n, gathered.data(),
                            orders.data(), targets.data(), found.data(), seen.data(), places.data());
  status |= fk_order_at_once(order.data(), weighed.data(), total, 1, total, chosen, n, tokens.data(), gathered.data(), seen.data());
  double sum = 0, in_rounds = 0, at_once = 0;
  for (float w : gathered) sum += w;
  for (int k = 0; k < chosen; k++) for (int i = 0; i < found[k]; i++) {
    const int place = numbers[orders[k] + i];
    in_rounds += laid_tokens[place] == numbers[targets[k] + i] ? laid[place] : NAN;
  }
  for (size_t i = 0; i < order.size(); i++) if (weighed[i]) at_once += tokens[order[i]] == int(i) / chosen ? weighed[i] : NAN;
  if (status == FK_OK && sum == in_rounds && sum == at_once) return;
  std::printf("order of %d tokens, %d of %d experts: status %d, %g, %g, %g\n", n, chosen, experts, status, sum, in_rounds, at_once);
  std::exit(1);
}

void check_kernels(int cases) {
  std::string names = std::string(fk_kernels_available()) + ",amx-emulated,";
  fk_pool *pool = fk_pool_create(3, nullptr, nullptr);
  for (size_t at = 0, end; (end = names.find(',', at)) != std::string::npos; at = end + 1) {
    const std::string name = names.substr(at, end - at);
    if (fk_select_kernel(name.c_str())) std::exit(1);
    for (int i = 0; i < cases; i++) {
      generator.seed(unsigned(i + 1)); // the same case for every kernel
      // One type, then types that differ.
      const int type = i % FK_TYPES, other = i % 3 == 2 ? uniform(0, FK_TYPES - 1) : type;
      Case test(type, i % 2 ? type : other, other);
      for (int precision : {FK_AUTO, FK_FULL_F32}) test.run(pool, precision, name.c_str());
      check_route(pool, name.c_str());
      check_order();
    }
  }
  fk_select_kernel(nullptr);
  fk_pool_free(pool);
}

// Workers that spin, sleep, are woken, and end while work waits.
// Threads on made-up nodes; those of a node that has none are the others' to do.
const int32_t kNodes[] = {2, 0, 2, 0};

void check_pool(int rounds) {
  Case test(FK_BF16, FK_BF16, FK_BF16);
  for (int threads : {1, 2, 4}) for (bool on_nodes : {false, true}) {
    fk_pool *pool = fk_pool_create(threads, nullptr, on_nodes ? kNodes : nullptr);
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

// A thread takes chunks of another node only once all of its own are taken, whatever the pace of each.
void check_nodes(int rounds) {
  fk::Pool pool(4, {}, {0, 0, 1, 1});
  for (int round = 0; round < rounds; round++) {
    const int chunks = 3 + round % 60, cut = round % 4 == 3 ? chunks / 3 : chunks / 2;
    std::atomic<int> started[2] = {{0}, {0}};
    std::atomic<int> computed{0}, early{0};
    const auto run = [&](int chunk, int, int thread) {
      const int node = thread / 2, of = chunk < cut ? 0 : 1, own = node ? chunks - cut : cut;
      // Each of the other threads holds at most two that it has not begun.
      if (of != node && started[node] < own - 6) early++;
      started[of]++;
      computed++;
      if ((chunk + round) % 5 == 0) std::this_thread::sleep_for(std::chrono::microseconds(50));
    };
    fk::Stage stage = {chunks, run, {}, {}};
    if (round % 4 == 3) stage.ends = {cut, chunks};
    pool.start({stage});
    pool.wait();
    if (computed != chunks || early) {
      std::printf("of %d chunks on two nodes %d were computed, %d too early\n", chunks, computed.load(), early.load());
      std::exit(1);
    }
  }
}

} // namespace

int main(int argc, char **argv) {
  const int cases = argc > 1 ? std::atoi(argv[1]) : 2 * FK_TYPES;
  check_kernels(cases);
  check_pool(5 * cases);
  check_nodes(20 * cases);
  std::printf("%d cases for each of %s,amx-emulated: right\n", cases, fk_kernels_available());
}
