// What a kernel is to the rest of the library: a table of functions over plain structs. Every kernel is one translation
// unit compiled for its own instruction set, so nothing inline may be shared with it but these plain types.
#pragma once
#include "fiddler_experts.h"
#include "quantize/quantize.h"

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

// How the dot form's tokens lie in rows: for every type of weights the operand that it multiplies.
enum class Rows { f32, bf16, int16, int8 };
constexpr int kRowsLayouts = 4;
// Sixteen-bit integers with a scale for every 32; finer than bf16, and Q8_0's bytes multiply them as integers.
constexpr int kInt16StepBytes = 2 * kStep + 4;
// Elements of an Int8Chunk (kernels/tokens.h), and its bytes.
constexpr int kInt8Chunk = 256, kInt8ChunkBytes = 704;

// Elements that are stored together: rows are filled with zeros up to a multiple.
constexpr int row_unit(Rows rows) { return rows == Rows::int8 ? kInt8Chunk : kStep; }
constexpr int64_t row_bytes(Rows rows, int k) {
  const int64_t units = (k + row_unit(rows) - 1) / row_unit(rows);
  return units * (rows == Rows::int8    ? kInt8ChunkBytes
                  : rows == Rows::int16 ? kInt16StepBytes
                  : rows == Rows::bf16  ? 2 * kStep
                                        : 4 * kStep);
}

struct Arithmetic;

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
  void *act;    // dot form: [routes] rows over `rows`; tile form: as packed, over act_k

  // Where gate's row r (up's, where there is no gate), counted from row_begin, and down's row c from there on begin.
  const uint8_t *first_row(int r) const {
    const int64_t row = expert.row_begin + r;
    return (const uint8_t *)(expert.gate ? expert.gate : expert.up) +
           row * (expert.gate ? expert.gate_stride : expert.up_stride);
  }
  const uint8_t *down_row(const Arithmetic &down, int c) const;
};

// What a thread computes behind what it has at hand: rows [begin, end) of a task, or columns; no task behind its last.
struct Following {
  const Task *task = nullptr;
  int begin = 0, end = 0;
};

// Rows that a panel's first stretch will be read of.
struct NextRows {
  const uint8_t *rows[kPanelRows];
  int count = 0;
};

// One call.
struct Job {
  fk_layer layer;
  const Arithmetic *gate, *up, *down;
  int hidden_k; // layer.hidden, padded to kStep
  const float *x;
  float *y;
  void *rows_x[kRowsLayouts]; // dot form: x as [tokens] rows over hidden, where an expert wants them so
};

// Scratch of one thread, aligned to 64 bytes.
struct Scratch {
  void *panel; // converted weights, kPanelBytes
  float *sums; // [kTokenBlock / 16][kPanelRows][16]
};
constexpr size_t kPanelBytes = size_t(kPanelRows) * 1280;
constexpr int64_t kSumsStride = int64_t(kPanelRows) * kVector; // from one vector's sums to the next
constexpr size_t kSumsBytes = size_t(kTokenBlock) * kPanelRows * sizeof(float);

// The functions for one type of weights at one precision.
struct Arithmetic {
  int block, block_bytes; // elements of a stored block, of which a row is a multiple, and its bytes
  Rows rows;              // the dot form's tokens
  int tile_element;       // bytes of one in the tile form: 4 (float) or 2 (bf16)
  int dot_tokens;         // tokens up to which the dot form is the faster one
  // out[t][r] = row r · token t over k elements, for `count` <= kStep rows and n <= kMaxDotTokens tokens; out is
  // [n][kStep]. `next` is where the thread reads on behind these rows, or null.
  void (*dot)(const uint8_t *rows, int64_t stride, int count, int k, const void *const *tokens, int n, float *out,
              const uint8_t *next);
  // `elements` of a row from p on, both ends being those of blocks, as the tile form's elements; then zeros up to `padded`.
  void (*convert)(const uint8_t *p, int elements, int padded, void *to);
  bool in_place; // stored weights are the tile form's elements
  // scratch.sums[v][first + r][t] = rows[r] · token t of vector v0 + v, over k elements of this type; writes up to 31
  // rows more. `next` are those that the thread multiplies behind them.
  void (*panel)(const Arithmetic &type, const uint8_t *const *rows, int first, int count, int k, const void *tokens,
                int v0, int v1, const Scratch &scratch, const NextRows &next);
  // A register-only loop of the tile form's multiply instruction; returns the FLOPs done.
  double (*peak)(int64_t rounds);
};

inline const uint8_t *Task::down_row(const Arithmetic &down, int c) const {
  return (const uint8_t *)expert.down + c * expert.down_stride + int64_t(expert.row_begin) / down.block * down.block_bytes;
}

// One call of fk_route.
struct Routing {
  fk_routing rule;
  const float *bias, *correction, *scales, *logits;
  int experts;
  int32_t *ids;
  float *weights;
};

// What all types share; compiled for an instruction set.
struct Common {
  // One token of x into rows of a layout.
  void (*convert_row)(const Job &, Rows layout, int token);
  // k in [k0, k1), multiples of kStep, of one vector of a task's tokens into packed.
  void (*pack)(const Job &, const Task &, int vector, int k0, int k1);
  // act rows [r0, r1), counted from row_begin, for a task of either form; r0 is a multiple of kStep.
  void (*gate_up)(const Job &, const Task &, const Scratch &, int r0, int r1, Following);
  // y[..., c0 .. c1) += of one task. Only one thread at a time holds a column.
  void (*down)(const Job &, const Task &, const Scratch &, int c0, int c1, Following);
  // Experts of tokens [t0, t1).
  void (*route)(const Routing &, int t0, int t1);
  uint64_t (*read)(const void *, size_t bytes); // streams through memory; returns a checksum
};

struct Kernel {
  const char *name;
  bool (*supported)();
  bool automatic; // whether selection by default and the list of kernels include it
  const Arithmetic *arithmetic[2]; // by fk_precision: FK_TYPES each, by fk_type
  const Common *common;
  QuantizeRow *quantize;
};

// Most dot_tokens of any arithmetic.
constexpr int kMaxDotTokens = 16;

// By fk_type; kernels with faster units share FK_FULL_F32 with the instruction set below them.
extern const Arithmetic kPortableFull[FK_TYPES], kAvx2Full[FK_TYPES], kAvx512Full[FK_TYPES];
extern const Arithmetic kPortableFast[FK_TYPES], kAvx2Fast[FK_TYPES], kAvx512Fast[FK_TYPES];
extern const Arithmetic kAvx512VnniFast[FK_TYPES], kAvx512Bf16Fast[FK_TYPES];
extern const Arithmetic kAmxBf16Fast[FK_TYPES], kAmxEmulatedFast[FK_TYPES];
extern const Common kPortableCommon, kAvx2Common, kAvx512Common;

extern const Kernel *const kKernels[]; // best first, NULL-terminated

} // namespace fk
