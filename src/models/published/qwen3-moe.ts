import type { JsonObject } from '../../weights/config.js';
import type { Shapes } from './shapes.js';

/** Qwen/Qwen3-30B-A3B and 235B-A22B, as first published. */
export const QWEN3_MOE: Shapes = {
  'qwen3-30b-a3b': qwen3Moe({
    hidden_size: 2048,
    intermediate_size: 6144,
    moe_intermediate_size: 768,
    num_hidden_layers: 48,
    num_attention_heads: 32,
  }),
  'qwen3-235b-a22b': qwen3Moe({
    hidden_size: 4096,
    intermediate_size: 12288,
    moe_intermediate_size: 1536,
    num_hidden_layers: 94,
    num_attention_heads: 64,
  }),
};

function qwen3Moe(sizes: JsonObject): JsonObject {
  return {
    model_type: 'qwen3_moe',
    vocab_size: 151936,
    ...sizes,
    num_key_value_heads: 4,
    head_dim: 128,
    hidden_act: 'silu',
    attention_bias: false,
    max_position_embeddings: 40960,
    rms_norm_eps: 1e-6,
    rope_theta: 1e6,
    rope_scaling: null,
    use_sliding_window: false,
    num_experts: 128,
    num_experts_per_tok: 8,
    norm_topk_prob: true,
    decoder_sparse_step: 1,
    mlp_only_layers: [],
    tie_word_embeddings: false,
  };
}
