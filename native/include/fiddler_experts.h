/* Feed-forward experts of a Mixture-of-Experts layer on the CPU.
 *
 * An expert maps a hidden state x of d floats to
 *     down · (f(gate · x + gate_bias) * (up · x + up_bias)) + down_bias        gated
 *     down ·  f(up · x + up_bias) + down_bias                                  ungated
 * Matrices are row-major as PyTorch stores them: gate and up [ff, d], down [d, ff]. They are used where
 * they lie (a mapped file will do), at any alignment.
 *
 * Functions return 0 or a negative fk_status. A pool serves one caller at a time. */
#ifndef FIDDLER_EXPERTS_H
#define FIDDLER_EXPERTS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FK_API_VERSION 6

typedef enum fk_status {
  FK_OK = 0,
  FK_INVALID = -1,   /* an argument makes no sense */
  FK_NO_MEMORY = -2, /* scratch or threads could not be had */
  FK_UNSUPPORTED = -3, /* no such kernel, or this CPU lacks its instructions; a type that is not quantized to */
  FK_NOT_FINITE = -4,  /* a number is infinite or none */
} fk_status;

/* Stored types: floats, and ggml's blocks as its files lay them out. */
typedef enum fk_type {
  FK_F32 = 0,
  FK_F16 = 1,
  FK_BF16 = 2,
  FK_Q8_0 = 3, /* an f16 scale and 32 signed bytes */
  FK_Q4_0 = 4,
  FK_Q4_1 = 5,
  FK_Q5_0 = 6,
  FK_Q5_1 = 7,
  FK_Q2_K = 8,
  FK_Q3_K = 9,
  FK_Q4_K = 10,
  FK_Q5_K = 11,
  FK_Q6_K = 12,
  FK_IQ2_XXS = 13,
  FK_IQ2_XS = 14,
  FK_IQ3_XXS = 15,
  FK_IQ3_S = 16,
  FK_IQ4_NL = 17,
  FK_IQ4_XS = 18,
  FK_MXFP4 = 19,
  FK_NVFP4 = 20,
  FK_TYPES = 21, /* how many there are */
} fk_type;

typedef enum fk_activation {
  FK_SILU = 0,
  FK_SWIGLU_CLAMPED = 1, /* gpt-oss: g = min(gate, limit), u = clamp(up, ±limit); g σ(alpha g) (u + 1) */
  FK_GELU = 2,           /* x Φ(x), by erf */
  FK_GELU_TANH = 3,
  FK_RELU = 4,
  FK_RELU_SQUARED = 5, /* max(0, x)² */
  FK_SILU_LIMITED = 6, /* silu(min(gate, limit)) clamp(up, ±limit) */
} fk_activation;

typedef enum fk_precision {
  FK_AUTO = 0,     /* fast: tokens may round to bf16 (with Q8_0 to 16 bits, with other blocks to 8 bits with a scale for
                      every 32), f16 weights and those in blocks to bf16 too */
  FK_FULL_F32 = 1, /* weights upcast, all arithmetic in f32 */
} fk_precision;

/* What the experts of one call have in common. */
typedef struct fk_layer {
  int32_t hidden;     /* d */
  int32_t gate_type, up_type, down_type; /* fk_type; gate's is ignored of ungated experts */
  int32_t activation; /* fk_activation */
  int32_t precision;  /* fk_precision */
  float alpha, limit; /* of FK_SWIGLU_CLAMPED; limit of FK_SILU_LIMITED too */
  int32_t overwrite;  /* not 0: what y holds counts as 0, in every row of it */
} fk_layer;

/* One expert, or the part of it made of rows [row_begin, row_end) of gate and up, which are columns of down.
 * Pointers and biases are those of the whole expert; biases are f32 or NULL. Of an expert in several parts only one
 * should carry down_bias. hidden must be a multiple of the blocks of gate and up, row_begin and row_end of down's. */
typedef struct fk_expert {
  const void *gate; /* NULL: ungated */
  const void *up;
  const void *down;
  const float *gate_bias, *up_bias, *down_bias;
  int64_t gate_stride, up_stride, down_stride; /* bytes from one row to the next */
  int32_t row_begin, row_end;
  int32_t first_route, routes; /* its tokens: this stretch of the call's routes */
} fk_expert;

typedef struct fk_pool fk_pool;

int fk_api_version(void);

/* The best kernel of this CPU unless another was selected: "amx-bf16", "avx512-bf16", "avx512-vnni", "avx512",
 * "avx2" or "portable". */
const char *fk_kernel_name(void);
/* Elements of a block of an fk_type and its bytes; FK_INVALID where there is no such type. */
int fk_type_block(int type, int32_t *elements, int32_t *bytes);
/* Names of the kernels that this build has and this CPU runs, best first, separated by commas. */
const char *fk_kernels_available(void);
/* Selects a kernel by name for all pools, NULL the best. Not while a call is under way. "amx-emulated" runs the AMX
 * kernel's logic on software tiles, for tests. */
int fk_select_kernel(const char *name);

/* A pool of `threads` threads: the caller of fk_experts_run and threads - 1 workers. Worker i is pinned to cpus[i];
 * cpus[0] is left to the caller, which is not pinned. With cpus NULL no worker is pinned. Thread i is on
 * NUMA node nodes[i], from 0 to 15, with NULL all on one: a node's threads take the same rows of each expert every time,
 * and others' once theirs are done. NULL where threads cannot be had. */
fk_pool *fk_pool_create(int threads, const int32_t *cpus, const int32_t *nodes);
void fk_pool_free(fk_pool *pool);
int fk_pool_threads(const fk_pool *pool);
/* Between begin and end workers wait for work spinning, as long as it comes at least every 100 ms; otherwise they fall
 * asleep 200 µs after the last. */
void fk_pool_begin(fk_pool *pool);
void fk_pool_end(fk_pool *pool);

/* y[token] += weight · expert(x[token]) for every route of every expert, from zero where the layer overwrites; route i
 * serves token route_tokens[i] with weight route_weights[i]. x and y are [tokens, hidden] f32 and do not overlap. Experts
 * may share tokens. The order of every sum depends on nothing but the arguments and the kernel: not on threads or
 * timing. */
int fk_experts_run(fk_pool *pool, const fk_layer *layer, const fk_expert *experts, int count,
                   const int32_t *route_tokens, const float *route_weights, int routes, const float *x, float *y,
                   int tokens);
/* The same in two halves: start hands the work to the workers and returns; wait joins them and returns when y is
 * complete. The arrays must live until then; layer and experts are copied. */
int fk_experts_start(fk_pool *pool, const fk_layer *layer, const fk_expert *experts, int count,
                     const int32_t *route_tokens, const float *route_weights, int routes, const float *x, float *y,
                     int tokens);
int fk_experts_wait(fk_pool *pool);

/* Plain numbers (FK_F32, FK_F16, FK_BF16) as blocks of FK_Q4_K or FK_Q5_K, bit for bit as ggml's quantizer gives them
 * without importance; `elements` is a multiple of a block. On the calling thread. */
int fk_quantize(int type, int from_type, const void *from, void *to, int64_t elements);

/* How a router's logits become scores. */
typedef enum fk_score {
  FK_SCORE_LOGIT = 0,        /* the logits themselves; the weights of the chosen are softmax over these alone */
  FK_SCORE_SOFTMAX = 1,      /* over all experts */
  FK_SCORE_SIGMOID = 2,
  FK_SCORE_SQRT_SOFTPLUS = 3,
} fk_score;

/* How experts are chosen by their scores, and weighed. */
typedef struct fk_routing {
  int32_t chosen;      /* experts of a token, at most FK_MAX_CHOSEN */
  int32_t score;       /* fk_score */
  int32_t groups;      /* experts are chosen from the `kept` best of so many equal groups; 1: from all */
  int32_t kept;
  int32_t group_best;  /* a group is as good as its best expert (1) or its two best (2) */
  int32_t renormalise; /* not 0: weights are divided by their sum plus epsilon, or by minimum where that is more */
  float epsilon, minimum;
  float scale; /* factor of the weights */
} fk_routing;
#define FK_MAX_CHOSEN 64
#define FK_MAX_ROUTED 4096 /* experts */

/* For each token of logits [tokens, experts] the chosen experts, best first (of equals the lower number), and their
 * weights: ids and weights are [tokens, chosen]. bias is added to the logits, correction to the scores for choosing only,
 * scales are further factors of the weights: [experts] each, or NULL. By the threads of the pool where there is one and
 * tokens are many. */
int fk_route(fk_pool *pool, const fk_routing *routing, const float *bias, const float *correction, const float *scales,
             const float *logits, int tokens, int experts, int32_t *ids, float *weights);

/* The order in which experts that are computed together on an accelerator take their assignments. On the calling thread.
 * What is written must have room; src/native/order-loops.ts says what it is for, src/experts/order-loops.ts has the same in
 * JavaScript. */

/* counts [experts]: how often each of ids [n] occurs, of which -1 stands for none. */
int fk_order_count(const int32_t *ids, int n, int experts, int32_t *counts);
/* Tokens and weights of ids [tokens, chosen], each behind those of its expert that came before: nexts [experts] says where. */
int fk_order_sort(const int32_t *ids, const float *weights, int tokens, int chosen, int32_t *nexts, int32_t *rows,
                  float *sorted);
/* A group's assignments one behind the other. members [count, 3]: slot, where in rows and weights its assignments begin, how
 * many they are; n tokens; sizes [depth]: how many tokens have a first, a second, ... of them. seen [n] is scratch. */
int fk_order_gather(const int32_t *members, int count, const int32_t *rows, const float *weights, int n, int32_t *slots,
                    int32_t *tokens, float *gathered, int32_t *seen, int32_t *sizes, int depth);
/* The same down the columns of [rows, abreast], the last places filled up with slots that their rows have not. */
int fk_order_lay_out(int32_t *ids, int32_t *tokens, int rows, int abreast, int total, const int32_t *slots,
                     const int32_t *gathered);
/* For each round where its tokens lie, and where their assignments do; and the weights as they lie. */
int fk_order_rounds(int32_t *numbers, float *weights, const int32_t *tokens, int rows, int abreast, int total, int n,
                    const float *gathered, const int32_t *orders, const int32_t *targets, int32_t *found, int32_t *seen,
                    int32_t *places);
/* order and weights [n, columns]: where each token's assignments lie, and their weights, 0 where it has no more. */
int fk_order_at_once(int32_t *order, float *weights, int rows, int abreast, int total, int columns, int n,
                     const int32_t *tokens, const float *gathered, int32_t *seen);

/* A matrix's rows, before they are first written, on the NUMA nodes 0 to nodes - 1 whose threads compute them: the first
 * part of as many as there are nodes on the first. A hint: pages that cannot be had so are ordinary. */
void fk_memory_place(void *address, size_t bytes, int nodes);

/* What the machine can do with this pool's threads; the measure for the kernels and for cost models. */
double fk_measure_read(fk_pool *pool, const void *address, size_t bytes); /* bytes a second of a plain streaming read */
/* FLOP/s of the kernel's multiply instruction for weights of an fk_type, on registers alone. */
double fk_measure_peak(fk_pool *pool, int type);

/* From the first call on: where a read of mapped memory finds nothing there (SIGBUS, since a file was cut), `line` goes to
 * standard error before the process ends by the signal. */
void fk_say_bus_error(const char *line);

/* For tests: overwrites all scratch, so that a kernel reading what it did not write is found out. */
void fk_poison_scratch(fk_pool *pool, int byte);

#ifdef __cplusplus
}
#endif
#endif
