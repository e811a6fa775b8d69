import type { Shapes } from './shapes.js';

/** upstage/Solar-Open-100B. */
export const SOLAR_OPEN: Shapes = {
  'solar-open-100b': {
    model_type: 'solar_open',
    vocab_size: 196608,
    hidden_size: 4096,
    moe_intermediate_size: 1280,
    num_hidden_layers: 48,
    num_attention_heads: 64,
    num_key_value_heads: 8,
    head_dim: 128,
    hidden_act: 'silu',
    attention_bias: false,
    max_position_embeddings: 131072,
    rms_norm_eps: 1e-5,
    rope_theta: 1e6,
    rope_scaling: null,
    n_routed_experts: 128,
    n_shared_experts: 1,
    num_experts_per_tok: 8,
    first_k_dense_replace: 0,
    n_group: 1,
    topk_group: 1,
    norm_topk_prob: true,
    routed_scaling_factor: 1,
    tie_word_embeddings: false,
  },
};
