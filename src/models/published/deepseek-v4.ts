import type { Shapes } from './shapes.js';

const common = {
  model_type: 'deepseek_v4',
  vocab_size: 129280,
  num_key_value_heads: 1,
  head_dim: 512,
  qk_rope_head_dim: 64,
  o_lora_rank: 1024,
  sliding_window: 128,
  index_n_heads: 64,
  index_head_dim: 128,
  index_topk: 512,
  num_hash_layers: 3,
  hc_mult: 4,
  hc_sinkhorn_iters: 20,
  hc_eps: 1e-6,
  n_shared_experts: 1,
  num_experts_per_tok: 6,
  topk_method: 'noaux_tc',
  scoring_func: 'sqrtsoftplus',
  norm_topk_prob: true,
  swiglu_limit: 10,
  hidden_act: 'silu',
  rms_norm_eps: 1e-6,
  max_position_embeddings: 1_048_576,
  tie_word_embeddings: false,
  rope_theta: 10_000,
  compress_rope_theta: 160_000,
  rope_scaling: { type: 'yarn', factor: 16, original_max_position_embeddings: 65_536, beta_fast: 32, beta_slow: 1 },
};

/** 4 and 128 in turn behind two layers of the same kind. */
const ratios = (layers: number, first: number) =>
  Array.from({ length: layers }, (_, l) => (l < 2 ? first : l % 2 === 0 ? 4 : 128));

/** deepseek-ai/DeepSeek-V4-Flash and Pro, whose FP8 blocks and MXFP4 experts are bf16 here. */
export const DEEPSEEK_V4: Shapes = {
  'deepseek-v4-flash': {
    ...common,
    hidden_size: 4096,
    num_hidden_layers: 43,
    compress_ratios: ratios(43, 0),
    num_attention_heads: 64,
    q_lora_rank: 1024,
    o_groups: 8,
    moe_intermediate_size: 2048,
    n_routed_experts: 256,
    routed_scaling_factor: 1.5,
  },
  'deepseek-v4-pro': {
    ...common,
    hidden_size: 7168,
    num_hidden_layers: 61,
    compress_ratios: ratios(61, 128),
    num_attention_heads: 128,
    q_lora_rank: 1536,
    o_groups: 16,
    moe_intermediate_size: 3072,
    n_routed_experts: 384,
    routed_scaling_factor: 2.5,
  },
};
