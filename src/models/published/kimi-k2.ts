import type { JsonObject } from '../../weights/config.js';
import type { Shapes } from './shapes.js';

/** moonshotai/Kimi-K2-Instruct-0905 and Kimi-K2.5, whose experts are published in other types. */
export const KIMI_K2: Shapes = {
  'kimi-k2': { model_type: 'kimi_k2', ...kimiK2() },
  'kimi-k2.5': { model_type: 'kimi_k25', text_config: { model_type: 'kimi_k2', ...kimiK2() } },
};

function kimiK2(): JsonObject {
  return {
    vocab_size: 163840,
    hidden_size: 7168,
    intermediate_size: 18432,
    moe_intermediate_size: 2048,
    num_hidden_layers: 61,
    num_attention_heads: 64,
    num_key_value_heads: 64,
    q_lora_rank: 1536,
    kv_lora_rank: 512,
    qk_nope_head_dim: 128,
    qk_rope_head_dim: 64,
    v_head_dim: 128,
    hidden_act: 'silu',
    attention_bias: false,
    max_position_embeddings: 262144,
    rms_norm_eps: 1e-6,
    rope_theta: 5e4,
    rope_scaling: {
      type: 'yarn',
      factor: 64,
      beta_fast: 1,
      beta_slow: 1,
      mscale: 1,
      mscale_all_dim: 1,
      original_max_position_embeddings: 4096,
    },
    n_routed_experts: 384,
    n_shared_experts: 1,
    num_experts_per_tok: 8,
    first_k_dense_replace: 1,
    moe_layer_freq: 1,
    n_group: 1,
    topk_group: 1,
    topk_method: 'noaux_tc',
    scoring_func: 'sigmoid',
    norm_topk_prob: true,
    routed_scaling_factor: 2.827,
    tie_word_embeddings: false,
  };
}
