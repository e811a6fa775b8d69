import type { JsonObject } from '../../weights/config.js';
import type { Shapes } from './shapes.js';

/** The text of Qwen/Qwen3.5-35B-A3B (Qwen3.6 has the same sizes) and of Qwen3.5-397B-A17B. */
export const QWEN3_5_MOE: Shapes = {
  'qwen3.5-35b-a3b': qwen35Moe({
    hidden_size: 2048,
    moe_intermediate_size: 512,
    shared_expert_intermediate_size: 512,
    num_hidden_layers: 40,
    num_attention_heads: 16,
    linear_num_value_heads: 32,
    num_experts: 256,
    num_experts_per_tok: 8,
  }),
  'qwen3.5-397b-a17b': qwen35Moe({
    hidden_size: 4096,
    moe_intermediate_size: 1024,
    shared_expert_intermediate_size: 1024,
    num_hidden_layers: 60,
    num_attention_heads: 32,
    linear_num_value_heads: 64,
    num_experts: 512,
    num_experts_per_tok: 10,
  }),
};

function qwen35Moe(sizes: JsonObject): JsonObject {
  return {
    model_type: 'qwen3_5_moe',
    tie_word_embeddings: false,
    text_config: {
      model_type: 'qwen3_5_moe_text',
      vocab_size: 248320,
      ...sizes,
      num_key_value_heads: 2,
      head_dim: 256,
      hidden_act: 'silu',
      max_position_embeddings: 262144,
      rms_norm_eps: 1e-6,
      rope_parameters: {
        rope_type: 'default',
        rope_theta: 1e7,
        partial_rotary_factor: 0.25,
        mrope_interleaved: true,
        mrope_section: [11, 11, 10],
      },
      full_attention_interval: 4,
      linear_conv_kernel_dim: 4,
      linear_key_head_dim: 128,
      linear_value_head_dim: 128,
      linear_num_key_heads: 16,
    },
  };
}
