import koffi from 'koffi';
import { bind, type Calls } from '../calls.js';
import { loadLibraries } from './libraries.js';

/** Address of a native object. */
export type Pointer = bigint;

// size_t and int64_t arguments are passed as JavaScript numbers: every size in this project is below 2^53.
const DECLARATIONS = {
  base: {
    init: 'void* ggml_init(ggml_init_params params)',
    free: 'void ggml_free(void* ctx)',
    tensorOverhead: 'size_t ggml_tensor_overhead()',
    graphOverhead: 'size_t ggml_graph_overhead_custom(size_t size, bool grads)',
    newGraph: 'void* ggml_new_graph_custom(void* ctx, size_t size, bool grads)',
    expand: 'void ggml_build_forward_expand(void* graph, void* tensor)',
    graphNodes: 'int ggml_graph_n_nodes(void* graph)',
    graphNode: 'void* ggml_graph_node(void* graph, int i)',
    getData: 'void* ggml_get_data(void* tensor)',
    setOutput: 'void ggml_set_output(void* tensor)',
    newTensor4d: 'void* ggml_new_tensor_4d(void* ctx, int type, int64_t n0, int64_t n1, int64_t n2, int64_t n3)',
    view4d:
      'void* ggml_view_4d(void* ctx, void* a, int64_t n0, int64_t n1, int64_t n2, int64_t n3, size_t nb1, size_t nb2, size_t nb3, size_t offset)',
    reshape4d: 'void* ggml_reshape_4d(void* ctx, void* a, int64_t n0, int64_t n1, int64_t n2, int64_t n3)',
    permute: 'void* ggml_permute(void* ctx, void* a, int a0, int a1, int a2, int a3)',
    cont: 'void* ggml_cont(void* ctx, void* a)',
    cpy: 'void* ggml_cpy(void* ctx, void* a, void* b)',
    concat: 'void* ggml_concat(void* ctx, void* a, void* b, int dim)',
    add: 'void* ggml_add(void* ctx, void* a, void* b)',
    addInplace: 'void* ggml_add_inplace(void* ctx, void* a, void* b)',
    mul: 'void* ggml_mul(void* ctx, void* a, void* b)',
    div: 'void* ggml_div(void* ctx, void* a, void* b)',
    scale: 'void* ggml_scale(void* ctx, void* a, float s)',
    scaleBias: 'void* ggml_scale_bias(void* ctx, void* a, float s, float b)',
    clamp: 'void* ggml_clamp(void* ctx, void* a, float min, float max)',
    silu: 'void* ggml_silu(void* ctx, void* a)',
    relu: 'void* ggml_relu(void* ctx, void* a)',
    tanh: 'void* ggml_tanh(void* ctx, void* a)',
    sigmoid: 'void* ggml_sigmoid(void* ctx, void* a)',
    softplus: 'void* ggml_softplus(void* ctx, void* a)',
    exp: 'void* ggml_exp(void* ctx, void* a)',
    abs: 'void* ggml_abs(void* ctx, void* a)',
    sgn: 'void* ggml_sgn(void* ctx, void* a)',
    sqrt: 'void* ggml_sqrt(void* ctx, void* a)',
    sumRows: 'void* ggml_sum_rows(void* ctx, void* a)',
    fill: 'void* ggml_fill(void* ctx, void* a, float value)',
    arange: 'void* ggml_arange(void* ctx, float start, float stop, float step)',
    cast: 'void* ggml_cast(void* ctx, void* a, int type)',
    topK: 'void* ggml_top_k(void* ctx, void* a, int k)',
    lightningIndexer: 'void* ggml_lightning_indexer(void* ctx, void* q, void* k, void* weights, void* mask)',
    repeat: 'void* ggml_repeat_4d(void* ctx, void* a, int64_t n0, int64_t n1, int64_t n2, int64_t n3)',
    pad: 'void* ggml_pad(void* ctx, void* a, int p0, int p1, int p2, int p3)',
    sinkhorn: 'void* ggml_dsv4_hc_comb(void* ctx, void* mixes, void* scale, void* base, float eps, int32_t iterations)',
    weighStreams: 'void* ggml_dsv4_hc_pre(void* ctx, void* x, void* weights)',
    mixStreams: 'void* ggml_dsv4_hc_post(void* ctx, void* x, void* residual, void* post, void* comb)',
    convolve: 'void* ggml_ssm_conv(void* ctx, void* x, void* kernel)',
    gatedDeltaNet:
      'void* ggml_gated_delta_net(void* ctx, void* q, void* k, void* v, void* decay, void* beta, void* state, int64_t snapshots)',
    selectiveScan:
      'void* ggml_ssm_scan(void* ctx, void* state, void* x, void* dt, void* a, void* b, void* c, void* ids, int64_t snapshots)',
    swiglu: 'void* ggml_swiglu_split(void* ctx, void* gate, void* up)',
    swigluOai: 'void* ggml_swiglu_oai(void* ctx, void* gate, void* up, float alpha, float limit)',
    rmsNorm: 'void* ggml_rms_norm(void* ctx, void* a, float eps)',
    layerNorm: 'void* ggml_norm(void* ctx, void* a, float eps)',
    mulMat: 'void* ggml_mul_mat(void* ctx, void* a, void* b)',
    mulMatId: 'void* ggml_mul_mat_id(void* ctx, void* matrices, void* b, void* ids)',
    addId: 'void* ggml_add_id(void* ctx, void* a, void* rows, void* ids)',
    accumulateIn: 'bool ggml_prec_set_acc(void* a, int prec)',
    getRows: 'void* ggml_get_rows(void* ctx, void* a, void* rows)',
    setRows: 'void* ggml_set_rows(void* ctx, void* a, void* b, void* rows)',
    rope: 'void* ggml_rope_ext(void* ctx, void* a, void* positions, void* factors, int n_dims, int mode, int n_ctx_orig, float base, float scale, float ext, float attn, float beta_fast, float beta_slow)',
    ropeBack:
      'void* ggml_rope_ext_back(void* ctx, void* a, void* positions, void* factors, int n_dims, int mode, int n_ctx_orig, float base, float scale, float ext, float attn, float beta_fast, float beta_slow)',
    ropeOffset: 'void* ggml_rope_set_offset(void* a, int n_offs)',
    softMax: 'void* ggml_soft_max_ext(void* ctx, void* a, void* mask, float scale, float max_bias)',
    softMaxSinks: 'void ggml_soft_max_add_sinks(void* a, void* sinks)',
    flashAttention:
      'void* ggml_flash_attn_ext(void* ctx, void* q, void* k, void* v, void* mask, float scale, float max_bias, float softcap)',
    flashAttentionSinks: 'void ggml_flash_attn_ext_add_sinks(void* a, void* sinks)',
    allocatorNew: 'void* ggml_gallocr_new(void* buft)',
    allocatorFree: 'void ggml_gallocr_free(void* allocator)',
    allocatorReserve: 'bool ggml_gallocr_reserve(void* allocator, void* graph)',
    allocatorSizes:
      'void ggml_gallocr_reserve_n_size(void* allocator, void* graph, void* nodeBuffers, void* leafBuffers, _Out_ size_t* sizes)',
    allocatorAlloc: 'bool ggml_gallocr_alloc_graph(void* allocator, void* graph)',
    allocatorSize: 'size_t ggml_gallocr_get_buffer_size(void* allocator, int buffer)',
    allocTensors: 'void* ggml_backend_alloc_ctx_tensors_from_buft(void* ctx, void* buft)',
    bufferAlignment: 'size_t ggml_backend_buft_get_alignment(void* buft)',
    allocSize: 'size_t ggml_backend_buft_get_alloc_size(void* buft, void* tensor)',
    allocTensorsSize: 'size_t ggml_backend_alloc_ctx_tensors_from_buft_size(void* ctx, void* buft)',
    tensorAlloc: 'int ggml_backend_tensor_alloc(void* buffer, void* tensor, void* addr)',
    bufferFromPointer: 'void* ggml_backend_cpu_buffer_from_ptr(void* ptr, size_t size)',
    bufferFree: 'void ggml_backend_buffer_free(void* buffer)',
    bufferSize: 'size_t ggml_backend_buffer_get_size(void* buffer)',
    bufferType: 'void* ggml_backend_buffer_get_type(void* buffer)',
    bufferUsage: 'void ggml_backend_buffer_set_usage(void* buffer, int usage)',
    bufferClear: 'void ggml_backend_buffer_clear(void* buffer, uint8_t value)',
    tensorSet: 'void ggml_backend_tensor_set(void* tensor, void* data, size_t offset, size_t size)',
    tensorGet: 'void ggml_backend_tensor_get(void* tensor, void* data, size_t offset, size_t size)',
    tensorMemset: 'void ggml_backend_tensor_memset(void* tensor, uint8_t value, size_t offset, size_t size)',
    tensorSetAsync:
      'void ggml_backend_tensor_set_async(void* backend, void* tensor, void* data, size_t offset, size_t size)',
    tensorSet2dAsync:
      'void ggml_backend_tensor_set_2d_async(void* backend, void* tensor, void* data, size_t offset, size_t size, size_t n_copies, size_t stride_tensor, size_t stride_data)',
    tensorGetAsync:
      'void ggml_backend_tensor_get_async(void* backend, void* tensor, void* data, size_t offset, size_t size)',
    synchronize: 'void ggml_backend_synchronize(void* backend)',
    compute: 'int ggml_backend_graph_compute(void* backend, void* graph)',
    computeAsync: 'int ggml_backend_graph_compute_async(void* backend, void* graph)',
    supportsOp: 'bool ggml_backend_supports_op(void* backend, void* op)',
    backendFree: 'void ggml_backend_free(void* backend)',
    deviceInit: 'void* ggml_backend_dev_init(void* device, const char* params)',
    deviceName: 'const char* ggml_backend_dev_name(void* device)',
    deviceDescription: 'const char* ggml_backend_dev_description(void* device)',
    deviceMemory: 'void ggml_backend_dev_memory(void* device, _Out_ size_t* free, _Out_ size_t* total)',
    deviceType: 'int ggml_backend_dev_type(void* device)',
    deviceBufferType: 'void* ggml_backend_dev_buffer_type(void* device)',
    deviceHostBufferType: 'void* ggml_backend_dev_host_buffer_type(void* device)',
    deviceRegistry: 'void* ggml_backend_dev_backend_reg(void* device)',
    registryName: 'const char* ggml_backend_reg_name(void* reg)',
    procAddress: 'void* ggml_backend_reg_get_proc_address(void* reg, const char* name)',
    eventNew: 'void* ggml_backend_event_new(void* device)',
    eventFree: 'void ggml_backend_event_free(void* event)',
    eventRecord: 'void ggml_backend_event_record(void* event, void* backend)',
    eventWait: 'void ggml_backend_event_wait(void* backend, void* event)',
    eventSynchronize: 'void ggml_backend_event_synchronize(void* event)',
    typeTraits: 'void* ggml_get_type_traits(int type)',
    quantizeChunk:
      'size_t ggml_quantize_chunk(int type, const float* numbers, void* blocks, int64_t start, int64_t rows, int64_t columns, const float* importance)',
    threadpoolParams: 'void ggml_threadpool_params_init(void* params, int threads)',
    logSet: 'void ggml_log_set(void* callback, void* data)',
  },
  registry: {
    load: 'void* ggml_backend_load(const char* path)',
    loadAllFrom: 'void ggml_backend_load_all_from_path(const char* folder)',
    deviceCount: 'size_t ggml_backend_dev_count()',
    device: 'void* ggml_backend_dev_get(size_t index)',
  },
} as const;

export type Api = Calls<keyof typeof DECLARATIONS.base | keyof typeof DECLARATIONS.registry>;

let bound: Api | undefined;

/** ggml's functions, declared once; loads the libraries at the first call. */
export function api(): Api {
  if (bound) return bound;
  const { base, registry } = loadLibraries();
  koffi.struct('ggml_init_params', { mem_size: 'size_t', mem_buffer: 'void*', no_alloc: 'bool' });
  const declarations = { ...DECLARATIONS.base, ...DECLARATIONS.registry };
  const ofRegistry = new Set<string>(Object.values(DECLARATIONS.registry));
  bound = bind(declarations, (declaration) => (ofRegistry.has(declaration) ? registry : base).func(declaration));
  return bound;
}

/** A function that a device's library gives by its name only: called with the device in front of its own arguments. */
export function byAddress(declaration: string): Calls[string] {
  const name = /(\w+)\(/.exec(declaration)![1]!;
  const prototype = koffi.proto(declaration);
  return (device: Pointer, ...args) => {
    const address = api().procAddress(api().deviceRegistry(device), name);
    return address === null ? null : koffi.decode(address, prototype)(...args);
  };
}
