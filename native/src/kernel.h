// What a kernel is to the rest of the library: a table of functions over plain structs. Every kernel is one translation
// unit compiled for its own instruction set, so nothing inline may be shared with it but these plain types.
#pragma once
#include "fiddler_experts.h"

namespace fk {

// Token counts are padded to vectors of 16: the width of an AMX tile and of a 512-bit register of floats.
constexpr int kVector = 16;
// Weights along k are taken 32 at a time: a Q8_0 block, and the k of one AMX tile of bf16.
constexpr int kStep = 32;
// Tokens of an expert that one pass over its weights serves.
constexpr int kTokenBlock = 512;
// Rows of weights that a thread multiplies at once: gate and up together, or down.
constexpr int kPanelRows = 128;

constexpr int round_up(int n, int multiple) { return (n + multiple - 1) / multiple * multiple; }

// What tokens a call's routes serve, and with what weights.
struct Routes {
  const int32_t *tokens;
  const float *weights;
  int count;
};

// How an expert's products are computed: `dot` reads each weight row once against a few tokens (bound by memory),
// `tile` multiplies panels of rows with packed tokens (bound by arithmetic).
enum class Form { dot, tile };

// One expert of a call, with its place in the shared scratch.
struct Task {
  fk_expert expert;
  const int32_t *tokens; // its routes
  const float *weights;
  Form form;
  int rows;     // row_end - row_begin
  int act_k;    // rows, padded to kStep
  int vectors;  // ceil(routes / kVector); tile form only
  void *packed; // tile form: x as [vectors][hidden_k / pair][16][pair] elements, pair = 2 for bf16 and 1 for f32
  void *act;    // dot form: [routes] rows over act_k; tile form: as packed, over act_k
};

// One call.
struct Job {
  fk_layer layer;
  int hidden_k; // layer.hidden, padded to kStep
  const float *x;
  float *y;
  void *rows_x; // dot form: x as [tokens] rows over hidden_k
};

// Scratch of one thread, aligned to 64 bytes.
struct Scratch {
  void *panel; // converted weights, kPanelBytes
  float *sums; // [kTokenBlock / 16][kPanelRows][16]
};
constexpr size_t kPanelBytes = size_t(kPanelRows) * 1280;
constexpr size_t kSumsBytes = size_t(kTokenBlock) * kPanelRows * sizeof(float);

// The functions for one type of weights at one precision.
struct Arithmetic {
  int dot_step;     // bytes that kStep elements of x or act take in the dot form
  int tile_element; // bytes of one in the tile form: 4 (float) or 2 (bf16)
  int dot_tokens;   // tokens up to which the dot form is the faster one
  // One token of x into rows_x.
  void (*convert_row)(const Job &, int token);
  // k in [k0, k1), multiples of kStep, of one vector of a task's tokens into packed.
  void (*pack)(const Job &, const Task &, int vector, int k0, int k1);
  // act rows [r0, r1), counted from row_begin, for a task of either form; r0 is a multiple of kStep.
  void (*gate_up)(const Job &, const Task &, const Scratch &, int r0, int r1);
  // y[..., c0 .. c1) += of one task. Only one thread at a time holds a column.
  void (*down)(const Job &, const Task &, const Scratch &, int c0, int c1);
  // A register-only loop of the tile form's multiply instruction; returns the FLOPs done.
  double (*peak)(int64_t rounds);
};

struct Kernel {
  const char *name;
  bool (*supported)();
  bool automatic; // whether selection by default and the list of kernels include it
  const Arithmetic *arithmetic[2]; // by fk_precision: four each, by fk_type
  uint64_t (*read)(const void *, size_t bytes); // streams through memory; returns a checksum
};

// Largest dot_tokens of any arithmetic.
constexpr int kMaxDotTokens = 16;

// Four each, by fk_type; kernels with faster units share FK_FULL_F32 with the instruction set below them.
extern const Arithmetic kPortableFull[4], kAvx2Full[4], kAvx512Full[4];
extern const Arithmetic kPortableFast[4], kAvx2Fast[4], kAvx512Fast[4];
extern const Arithmetic kAvx512Bf16Fast[4], kAmxBf16Fast[4], kAmxEmulatedFast[4];
uint64_t read_portable(const void *, size_t), read_avx2(const void *, size_t), read_avx512(const void *, size_t);

extern const Kernel *const kKernels[]; // best first, NULL-terminated

} // namespace fk
