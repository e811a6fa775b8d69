import type { JsonObject } from '../../weights/config.js';
import type { Shapes } from './shapes.js';

/** zai-org/GLM-4.5-Air and GLM-4.5. */
export const GLM4_MOE: Shapes = {
  'glm-4.5-air': glm4Moe({
    hidden_size: 4096,
    intermediate_size: 10944,
    moe_intermediate_size: 1408,
    num_hidden_layers: 46,
    n_routed_experts: 128,
    first_k_dense_replace: 1,
    routed_scaling_factor: 1,
    use_qk_norm: false,
  }),
  'glm-4.5': glm4Moe({
    hidden_size: 5120,
    intermediate_size: 12288,
    moe_intermediate_size: 1536,
    num_hidden_layers: 92,
    n_routed_experts: 160,
    first_k_dense_replace: 3,
    routed_scaling_factor: 2.5,
    use_qk_norm: true,
  }),
};

function glm4Moe(sizes: JsonObject): JsonObject {
  return {
    model_type: 'glm4_moe',
    vocab_size: 151552,
    ...sizes,
    num_attention_heads: 96,
    num_key_value_heads: 8,
    head_dim: 128,
    hidden_act: 'silu',
    attention_bias: true,
    partial_rotary_factor: 0.5,
    max_position_embeddings: 131072,
    rms_norm_eps: 1e-5,
    rope_theta: 1e6,
    rope_scaling: null,
    n_shared_experts: 1,
    num_experts_per_tok: 8,
    n_group: 1,
    topk_group: 1,
    norm_topk_prob: true,
    tie_word_embeddings: false,
  };
}
