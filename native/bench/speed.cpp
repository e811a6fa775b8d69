// Speed of the kernels beside a plain read of the same bytes and beside ggml, each type and number of tokens in turn within
// one run: medians over rounds. Options: --types Q4_K,… --tokens 1,2,… --threads N --hidden N --ff N --experts N (a call's)
// --megabytes N (of weights to rotate over) --rounds N --kernel NAME --ggml FOLDER
#include "../test/blocks.h"
#include "ggml.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

namespace {

struct Named {
  const char *name;
  int type, ggml;
};
constexpr Named kTypes[] = {
    {"F32", FK_F32, 0},         {"F16", FK_F16, 1},         {"BF16", FK_BF16, 30},        {"Q8_0", FK_Q8_0, 8},
    {"Q4_0", FK_Q4_0, 2},       {"Q4_1", FK_Q4_1, 3},       {"Q5_0", FK_Q5_0, 6},         {"Q5_1", FK_Q5_1, 7},
    {"Q2_K", FK_Q2_K, 10},      {"Q3_K", FK_Q3_K, 11},      {"Q4_K", FK_Q4_K, 12},        {"Q5_K", FK_Q5_K, 13},
    {"Q6_K", FK_Q6_K, 14},      {"IQ2_XXS", FK_IQ2_XXS, 16}, {"IQ2_XS", FK_IQ2_XS, 17},   {"IQ3_XXS", FK_IQ3_XXS, 18},
    {"IQ3_S", FK_IQ3_S, 21},    {"IQ4_NL", FK_IQ4_NL, 20},  {"IQ4_XS", FK_IQ4_XS, 23},    {"MXFP4", FK_MXFP4, 39},
    {"NVFP4", FK_NVFP4, 40},
};

std::map<std::string, std::string> options = {
    {"types", ""},      {"tokens", "1,2,4,8"}, {"threads", "0"}, {"hidden", "2048"}, {"ff", "768"},  {"experts", "8"},
    {"megabytes", "512"}, {"rounds", "7"},     {"kernel", ""},   {"ggml", ""},       {"variant", ""}, {"prec", "0"},
    {"file", ""},      {"huge", "1"},          {"x", "1"},
        {"poll", "100"},       {"scale", "119"},  {"clock", "wall"}};
int number(const char *name) { return std::atoi(options[name].c_str()); }

std::vector<std::string> list(const std::string &text) {
  std::vector<std::string> parts;
  for (size_t at = 0, end; at < text.size(); at = end + 1) {
    end = std::min(text.find(',', at), text.size());
    parts.push_back(text.substr(at, end - at));
  }
  return parts;
}

// Seconds; with --clock cpu those that this thread computed, for one thread on a machine that is shared.
double now() {
  if (options["clock"] == "cpu") {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

struct Sizes {
  int64_t hidden = number("hidden"), ff = number("ff");
  int32_t elements, bytes;
  int64_t matrix, in_row, out_row;
  explicit Sizes(int type) {
    fk_type_block(type, &elements, &bytes);
    in_row = hidden / elements * bytes;
    out_row = ff / elements * bytes;
    matrix = in_row * ff;
  }
};

// Experts of valid random blocks: gate, up, down one after the other.
void fill(const Named &type, char *memory, int64_t bytes, const Sizes &sizes) {
  std::mt19937 random(1);
  std::vector<uint8_t> pattern;
  for (int i = 0; i < 8192; i++) {
    uint8_t block[256] = {};
    if (type.type < FK_Q8_0) {
      const float f = float(int32_t(random()) * 0x1p-31 / 32);
      if (type.type == FK_F32) std::memcpy(block, &f, 4);
      if (type.type == FK_BF16) std::memcpy(block, (const char *)&f + 2, 2);
      if (type.type == FK_F16) blocks::put_half(block, std::fabs(f) + 1e-4);
    } else {
      blocks::random_block(type.type, random, 1 / std::sqrt(double(sizes.hidden)), block);
      if (type.type == FK_MXFP4 && number("scale") < 110) block[0] = uint8_t(number("scale"));
    }
    pattern.insert(pattern.end(), block, block + sizes.bytes);
  }
  for (int64_t at = 0; at < bytes; at += int64_t(pattern.size()))
    std::memcpy(memory + at, pattern.data(), size_t(std::min<int64_t>(int64_t(pattern.size()), bytes - at)));
}

struct Experts {
  char *memory;
  int64_t bytes;
  std::vector<fk_expert> all;
  Experts(const Named &type, const Sizes &s) {
    const int64_t expert = 3 * s.matrix;
    const int64_t count = std::max<int64_t>(number("experts"), int64_t(number("megabytes")) * 1000000 / expert);
    bytes = count * expert;
    const std::string file = options["file"];
    const int fd = file.empty() ? -1 : open(file.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd >= 0 && ftruncate(fd, bytes)) std::perror("file"), std::exit(1);
    memory = (char *)mmap(nullptr, size_t(bytes), PROT_READ | PROT_WRITE, fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, fd, 0);
    if (memory == MAP_FAILED) std::perror("memory"), std::exit(1);
    if (fd >= 0) close(fd), unlink(file.c_str());
    madvise(memory, size_t(bytes), number("huge") ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    fill(type, memory, bytes, s);
    for (int64_t i = 0; i < count; i++) {
      const char *at = memory + i * expert;
      all.push_back({at, at + s.matrix, at + 2 * s.matrix, nullptr, nullptr, nullptr, s.in_row, s.in_row, s.out_row, 0,
                     int32_t(s.ff), 0, 0});
    }
  }
  ~Experts() { munmap(memory, size_t(bytes)); }
};

// ggml's graph of one call: the experts of a group, n tokens each.
struct Graph {
  ggml::Library &g;
  ggml::Pointer context, graph;
  std::vector<std::vector<char>> data;
  Graph(ggml::Library &g, const Named &type, const Sizes &s, const fk_expert *experts, int count, int n) : g(g) {
    context = g.init({size_t(count) * 4096 + 1000000, nullptr, true});
    graph = g.new_graph(context);
    const auto place = [&](ggml::Pointer t, void *address) {
      const ggml::Pointer buffer = g.buffer_from_ptr((void *)(uintptr_t(address) & ~uintptr_t(63)), g.nbytes(t) + 64);
      if (g.tensor_alloc(buffer, t, address)) std::abort();
      return t;
    };
    const auto fresh = [&](ggml::Pointer t) {
      data.emplace_back(g.nbytes(t) + 64);
      return place(t, (void *)((uintptr_t(data.back().data()) + 63) & ~uintptr_t(63)));
    };
    const auto multiply = [&](const void *w, int64_t k, int64_t rows, ggml::Pointer x) {
      const ggml::Pointer y = g.mul_mat(context, place(g.new_tensor_2d(context, type.ggml, k, rows), (void *)w), x);
      if (number("prec")) g.set_prec(y, number("prec"));
      return fresh(y);
    };
    const ggml::Pointer x = fresh(g.new_tensor_2d(context, 0, s.hidden, n));
    for (auto &v : data)
      for (size_t i = 0; i + 4 <= v.size(); i += 4) {
        const float f = float(std::atof(options["x"].c_str())) * float(i % 97) / 97;
        std::memcpy(&v[i], &f, 4);
      }
    for (int i = 0; i < count; i++) {
      const ggml::Pointer gate = multiply(experts[i].gate, s.hidden, s.ff, x), up = multiply(experts[i].up, s.hidden, s.ff, x);
      const ggml::Pointer act = fresh(g.swiglu_split(context, gate, up));
      g.build_forward_expand(graph, multiply(experts[i].down, s.ff, s.hidden, act));
    }
  }
  ~Graph() { g.free(context); }
};

void measure(const Named &type, fk_pool *pool, ggml::Library *g, int threads) {
  const Sizes s(type.type);
  if (s.hidden % s.elements || s.ff % s.elements) return;
  Experts experts(type, s);
  for (const std::string &text : list(options["tokens"])) {
    const int n = std::atoi(text.c_str()), a_call = std::min(number("experts"), int(experts.all.size()));
    const int groups = int(experts.all.size()) / a_call;
    std::vector<int32_t> tokens(size_t(n) * a_call);
    std::vector<float> weights(tokens.size(), 1), x(size_t(n) * s.hidden), y(x.size());
    for (size_t i = 0; i < tokens.size(); i++) tokens[i] = int32_t(i) % n;
    for (size_t i = 0; i < x.size(); i++) x[i] = float(int(i * 7919 % 1001) - 500) / 300;
    for (size_t i = 0; i < experts.all.size(); i++)
      experts.all[i].first_route = int32_t(i) % a_call * n, experts.all[i].routes = n;
    const fk_layer layer = {int32_t(s.hidden), type.type, type.type, type.type, FK_SILU, FK_AUTO, 0, 0, 1};
    const double bytes = 3.0 * double(s.matrix) * a_call;
    std::vector<double> reads, ours, theirs;
    const int calls = std::max(1, std::min(groups, int(4e8 / bytes / std::max(1, n / 8)))); // a round's
    int next = 0;
    std::vector<Graph *> graphs;
    for (int i = 0; g && i < std::min(groups, calls); i++)
      graphs.push_back(new Graph(*g, type, s, &experts.all[size_t(i) * a_call], a_call, n));
    for (int round = 0; round <= number("rounds"); round++) {
      fk_pool_begin(pool);
      const double read_bytes = bytes * std::min(calls, groups - next), read_begin = now();
      fk_measure_read(pool, experts.memory + next * int64_t(bytes), size_t(read_bytes));
      const double read = read_bytes / (now() - read_begin);
      const double begin = now();
      for (int i = 0; i < calls; i++, next = (next + 1) % groups)
        if (fk_experts_run(pool, &layer, &experts.all[size_t(next) * a_call], a_call, tokens.data(), weights.data(),
                           int(tokens.size()), x.data(), y.data(), n))
          std::printf("refused\n"), std::exit(1);
      const double own = (now() - begin) / calls;
      fk_pool_end(pool);
      double other = 0;
      if (g) {
        if (threads > 1) sched_yield();
        g->compute(g->backend, graphs[0]->graph);
        const double start = now();
        for (Graph *graph : graphs) g->compute(g->backend, graph->graph);
        other = (now() - start) / double(graphs.size());
      }
      if (round == 0) continue; // to warm up
      reads.push_back(read), ours.push_back(bytes / own), theirs.push_back(g ? bytes / other : 0);
    }
    for (Graph *graph : graphs) delete graph;
    std::vector<double> of_read, of_ggml;
    for (size_t i = 0; i < reads.size(); i++) of_read.push_back(ours[i] / reads[i]), of_ggml.push_back(g ? ours[i] / theirs[i] : 0);
    std::printf("%-8s n %3d  read %6.1f GB/s  ours %6.1f  of read %5.2f  TFLOP/s %6.3f", type.name, n, median(reads) / 1e9,
                median(ours) / 1e9, median(of_read), median(ours) / bytes * 6 * double(s.hidden * s.ff) * n * a_call / 1e12);
    if (g) std::printf("  ggml %6.1f GB/s  x ggml %5.2f", median(theirs) / 1e9, median(of_ggml));
    std::printf("\n");
    std::fflush(stdout);
  }
}

} // namespace

int main(int argc, char **argv) {
  for (int i = 1; i + 1 < argc; i += 2) options[argv[i] + 2] = argv[i + 1];
  cpu_set_t allowed;
  sched_getaffinity(0, sizeof allowed, &allowed);
  std::vector<int32_t> cpus;
  for (int i = 0; i < CPU_SETSIZE; i++)
    if (CPU_ISSET(i, &allowed)) cpus.push_back(i);
  const int threads = number("threads") ? number("threads") : int(cpus.size());
  cpus.resize(size_t(threads), -1);
  if (!options["kernel"].empty() && fk_select_kernel(options["kernel"].c_str())) return std::printf("no such kernel here\n"), 1;
  fk_pool *pool = fk_pool_create(threads, cpus[size_t(threads) - 1] < 0 ? nullptr : cpus.data(), nullptr);
  std::printf("kernel %s of %s, %d threads, experts of %s x %s, %s a call\n", fk_kernel_name(), fk_kernels_available(), threads,
              options["hidden"].c_str(), options["ff"].c_str(), options["experts"].c_str());
  ggml::Library library;
  ggml::Pointer ggml_pool = nullptr;
  const bool with_ggml = !options["ggml"].empty();
  if (with_ggml) {
    library = ggml::load(options["ggml"], options["variant"].empty() ? nullptr : options["variant"].c_str());
    ggml::ThreadpoolParams params = {};
    library.params_init(&params, threads);
    params.poll = uint32_t(number("poll"));
    ggml_pool = library.threadpool_new(&params);
    library.set_threads(library.backend, threads);
    library.set_threadpool(library.backend, ggml_pool);
  }
  const auto names = list(options["types"]);
  for (const Named &type : kTypes)
    if (names.empty() || std::find(names.begin(), names.end(), type.name) != names.end())
      measure(type, pool, with_ggml ? &library : nullptr, threads);
  fk_pool_free(pool);
}
