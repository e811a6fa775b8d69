#include "export.h"
#include "fiddler_experts.h"

#include "layer_call.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

using namespace fk;

struct fk_pool {
  fk_pool(int threads, std::vector<int> cpus, std::vector<int> nodes)
      : pool(threads, std::move(cpus), std::move(nodes)), call(threads, pool.nodes()) {}
  Pool pool;
  LayerCall call;
};

namespace {

const Kernel *find_best() {
  for (auto k = kKernels; *k; k++)
    if ((*k)->automatic && (*k)->supported()) return *k;
  return nullptr; // not reached: portable always is
}

// Asked once: CPUID leaves a virtual machine, which takes up to 100 µs.
const Kernel *best() {
  static const Kernel *const found = find_best();
  return found;
}

std::atomic<const Kernel *> selected{nullptr};

const Kernel &kernel() {
  const Kernel *k = selected.load();
  return k ? *k : *best();
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

} // namespace

FK_API int fk_api_version(void) { return FK_API_VERSION; }

FK_API int fk_type_block(int type, int32_t *elements, int32_t *bytes) {
  if (type < 0 || type >= FK_TYPES) return FK_INVALID;
  *elements = kPortableFull[type].block;
  *bytes = kPortableFull[type].block_bytes;
  return FK_OK;
}

FK_API const char *fk_kernel_name(void) { return kernel().name; }

FK_API const char *fk_kernels_available(void) {
  static const std::string names = [] {
    std::string list;
    for (auto k = kKernels; *k; k++)
      if ((*k)->automatic && (*k)->supported()) list += (list.empty() ? "" : ",") + std::string((*k)->name);
    return list;
  }();
  return names.c_str();
}

FK_API int fk_select_kernel(const char *name) {
  if (!name) {
    selected = nullptr;
    return FK_OK;
  }
  for (auto k = kKernels; *k; k++)
    if (std::strcmp((*k)->name, name) == 0 && (*k)->supported()) {
      selected = *k;
      return FK_OK;
    }
  return FK_UNSUPPORTED;
}

FK_API fk_pool *fk_pool_create(int threads, const int32_t *cpus, const int32_t *nodes) {
  if (threads < 1 || threads > 4096) return nullptr;
  const auto listed = [&](const int32_t *of) { return of ? std::vector<int>(of, of + threads) : std::vector<int>(); };
  for (int i = 0; nodes && i < threads; i++)
    if (nodes[i] < 0 || nodes[i] >= kMostNodes) return nullptr;
  try {
    return new fk_pool(threads, listed(cpus), listed(nodes));
  } catch (...) {
    return nullptr;
  }
}

FK_API void fk_pool_free(fk_pool *pool) {
  if (pool && pool->pool.busy()) pool->pool.wait();
  delete pool;
}

FK_API int fk_pool_threads(const fk_pool *pool) { return pool ? pool->pool.threads() : 0; }

FK_API void fk_pool_begin(fk_pool *pool) {
  if (pool) pool->pool.keep_awake(true);
}

FK_API void fk_pool_end(fk_pool *pool) {
  if (pool) pool->pool.keep_awake(false);
}

FK_API int fk_experts_start(fk_pool *pool, const fk_layer *layer, const fk_expert *experts, int count,
                            const int32_t *route_tokens, const float *route_weights,
                            int routes, const float *x, float *y, int tokens) {
  if (!pool || !layer || !x || !y || (count > 0 && !experts) || pool->pool.busy()) return FK_INVALID;
  if (routes > 0 && (!route_tokens || !route_weights)) return FK_INVALID;
  const Routes list = {route_tokens, route_weights, routes};
  if (const fk_status wrong = LayerCall::check(*layer, experts, count, list, tokens)) return wrong;
  try {
    pool->pool.start(pool->call.plan(kernel(), *layer, experts, count, list, x, y, tokens));
    return FK_OK;
  } catch (...) {
    return FK_NO_MEMORY;
  }
}

FK_API int fk_experts_wait(fk_pool *pool) {
  if (!pool) return FK_INVALID;
  if (pool->pool.busy()) pool->pool.wait();
  return FK_OK;
}

FK_API int fk_experts_run(fk_pool *pool, const fk_layer *layer, const fk_expert *experts, int count,
                          const int32_t *route_tokens, const float *route_weights,
                            int routes, const float *x, float *y, int tokens) {
  const int status = fk_experts_start(pool, layer, experts, count, route_tokens, route_weights, routes, x, y, tokens);
  return status ? status : fk_experts_wait(pool);
}

FK_API int fk_quantize(int type, int from_type, const void *from, void *to, int64_t elements) {
  if (type != FK_Q4_K && type != FK_Q5_K) return FK_UNSUPPORTED;
  if (from_type != FK_F32 && from_type != FK_F16 && from_type != FK_BF16) return FK_UNSUPPORTED;
  const int block = kPortableFull[type].block;
  if (elements < 0 || elements % block || (elements > 0 && (!from || !to))) return FK_INVALID;
  return kernel().quantize(fk_type(type), fk_type(from_type), from, to, elements / block) ? FK_OK : FK_NOT_FINITE;
}

namespace {

bool makes_sense(const fk_routing &rule, int experts) {
  if (experts < 1 || experts > FK_MAX_ROUTED) return false;
  if (rule.chosen < 1 || rule.chosen > FK_MAX_CHOSEN || rule.chosen > experts) return false;
  if (rule.score < FK_SCORE_LOGIT || rule.score > FK_SCORE_SQRT_SOFTPLUS) return false;
  if (rule.groups < 1 || experts % rule.groups != 0 || rule.kept < 1 || rule.kept > rule.groups) return false;
  return (rule.group_best == 1 || rule.group_best == 2) && int64_t(rule.kept) * (experts / rule.groups) >= rule.chosen;
}

// Tokens of a chunk, so few that all threads have some of a short prompt; below so many tokens waking them is not worth it.
constexpr int kRoutedTogether = 32, kRoutedAlone = 256;

} // namespace

FK_API int fk_route(fk_pool *pool, const fk_routing *routing, const float *bias, const float *correction,
                    const float *scales, const float *logits, int tokens, int experts, int32_t *ids, float *weights) {
  if (!routing || !logits || !ids || !weights || tokens < 0 || !makes_sense(*routing, experts)) return FK_INVALID;
  const Routing call = {*routing, bias, correction, scales, logits, experts, ids, weights};
  const auto route = kernel().common->route;
  if (!pool || tokens < kRoutedAlone) {
    route(call, 0, tokens);
    return FK_OK;
  }
  if (pool->pool.busy()) return FK_INVALID;
  try {
    pool->pool.start({{(tokens + kRoutedTogether - 1) / kRoutedTogether, [&](int chunk, int, int) {
                         const int first = chunk * kRoutedTogether;
                         route(call, first, std::min(first + kRoutedTogether, tokens));
                       }, {}}});
  } catch (...) {
    return FK_NO_MEMORY;
  }
  pool->pool.wait();
  return FK_OK;
}

FK_API void fk_memory_place(void *address, size_t bytes, int nodes) {
#if defined(__linux__) && defined(SYS_mbind)
  constexpr int kPreferred = 1; // MPOL_PREFERRED
  const uintptr_t page = 4096, begin = (uintptr_t)address;
  const auto cut = [&](int n) { return (begin + uintptr_t(bytes / nodes * n)) / page * page; };
  for (int n = 0; nodes > 1 && nodes <= kMostNodes && n < nodes; n++) {
    const unsigned long mask = 1ul << n;
    const uintptr_t from = n ? cut(n) : (begin + page - 1) / page * page, to = n + 1 < nodes ? cut(n + 1) : (begin + bytes) / page * page;
    if (to > from) syscall(SYS_mbind, from, to - from, kPreferred, &mask, sizeof mask * 8, 0);
  }
#else
  (void)address, (void)bytes, (void)nodes;
#endif
}

FK_API double fk_measure_read(fk_pool *pool, const void *address, size_t bytes) {
  if (!pool || !address || !bytes || pool->pool.busy()) return FK_INVALID;
  constexpr size_t kChunk = size_t(1) << 20;
  const auto read = kernel().common->read;
  std::atomic<uint64_t> checksum{0};
  const auto start = std::chrono::steady_clock::now();
  try {
    pool->pool.start({{int((bytes + kChunk - 1) / kChunk), [&](int chunk, int, int) {
                         const size_t from = size_t(chunk) * kChunk;
                         checksum ^= read((const char *)address + from, std::min(kChunk, bytes - from));
                       }, {}}});
  } catch (...) {
    return FK_NO_MEMORY;
  }
  pool->pool.wait();
  return double(bytes) / seconds_since(start);
}

FK_API double fk_measure_peak(fk_pool *pool, int type) {
  if (!pool || type < 0 || type >= FK_TYPES || pool->pool.busy()) return FK_INVALID;
  const auto peak = kernel().arithmetic[FK_AUTO][type].peak;
  const int threads = pool->pool.threads();
  std::vector<double> rates(threads), seconds(threads);
  try {
    // All threads at once, each on its own clock; rounds are doubled until every thread took 20 ms.
    for (int64_t rounds = 1 << 10; *std::min_element(seconds.begin(), seconds.end()) < 0.02; rounds *= 2) {
      std::atomic<int> arrived{0};
      pool->pool.start({{threads, [&](int chunk, int, int) {
                           const auto called = std::chrono::steady_clock::now();
                           arrived++;
                           while (arrived < threads && seconds_since(called) < 0.01) continue;
                           const auto start = std::chrono::steady_clock::now();
                           const double flops = peak(rounds);
                           seconds[chunk] = seconds_since(start);
                           rates[chunk] = flops / seconds[chunk];
                         }, {}}});
      pool->pool.wait();
    }
    double total = 0;
    for (double rate : rates) total += rate;
    return total;
  } catch (...) {
    return FK_NO_MEMORY;
  }
}

FK_API void fk_poison_scratch(fk_pool *pool, int byte) {
  if (pool && !pool->pool.busy()) pool->call.poison(byte);
}
