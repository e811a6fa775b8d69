import type { Shapes } from './shapes.js';

/** tencent/Hy3. */
export const HY_V3: Shapes = {
  hy3: {
    model_type: 'hy_v3',
    vocab_size: 120832,
    hidden_size: 4096,
    intermediate_size: 13312,
    moe_intermediate_size: 1536,
    num_hidden_layers: 80,
    num_attention_heads: 64,
    num_key_value_heads: 8,
    head_dim: 128,
    hidden_act: 'silu',
    max_position_embeddings: 262144,
    rms_norm_eps: 1e-5,
    rope_parameters: { rope_type: 'default', rope_theta: 11158840 },
    num_experts: 192,
    num_shared_experts: 1,
    num_experts_per_tok: 8,
    first_k_dense_replace: 1,
    router_scaling_factor: 2.826,
    tie_word_embeddings: false,
  },
};
