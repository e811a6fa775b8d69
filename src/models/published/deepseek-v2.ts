import type { JsonObject } from '../../weights/config.js';
import type { Shapes } from './shapes.js';

// biome-ignore lint/suspicious/noApproximativeNumericConstant: as published
const MSCALE = 0.707;

/** deepseek-ai/DeepSeek-V2-Lite and DeepSeek-V2. */
export const DEEPSEEK_V2: Shapes = {
  'deepseek-v2-lite': deepseekV2({
    hidden_size: 2048,
    intermediate_size: 10944,
    moe_intermediate_size: 1408,
    num_hidden_layers: 27,
    num_attention_heads: 16,
    num_key_value_heads: 16,
    q_lora_rank: null,
    n_routed_experts: 64,
    topk_method: 'greedy',
    n_group: 1,
    topk_group: 1,
    routed_scaling_factor: 1,
  }),
  'deepseek-v2': deepseekV2({
    hidden_size: 5120,
    intermediate_size: 12288,
    moe_intermediate_size: 1536,
    num_hidden_layers: 60,
    num_attention_heads: 128,
    num_key_value_heads: 128,
    q_lora_rank: 1536,
    n_routed_experts: 160,
    topk_method: 'group_limited_greedy',
    n_group: 8,
    topk_group: 3,
    routed_scaling_factor: 16,
  }),
};

function deepseekV2(sizes: JsonObject): JsonObject {
  return {
    model_type: 'deepseek_v2',
    vocab_size: 102400,
    ...sizes,
    hidden_act: 'silu',
    max_position_embeddings: 163840,
    rms_norm_eps: 1e-6,
    kv_lora_rank: 512,
    qk_nope_head_dim: 128,
    qk_rope_head_dim: 64,
    v_head_dim: 128,
    attention_bias: false,
    n_shared_experts: 2,
    num_experts_per_tok: 6,
    first_k_dense_replace: 1,
    moe_layer_freq: 1,
    norm_topk_prob: false,
    scoring_func: 'softmax',
    rope_theta: 10000,
    rope_scaling: {
      type: 'yarn',
      factor: 40,
      original_max_position_embeddings: 4096,
      beta_fast: 32,
      beta_slow: 1,
      mscale: MSCALE,
      mscale_all_dim: MSCALE,
    },
    tie_word_embeddings: false,
  };
}
