import type { JsonObject } from '../../weights/config.js';
import type { Shapes } from './shapes.js';

/** Qwen/Qwen1.5-MoE-A2.7B-Chat and Qwen2-57B-A14B. */
export const QWEN2_MOE: Shapes = {
  'qwen1.5-moe-a2.7b': qwen2Moe({
    hidden_size: 2048,
    intermediate_size: 5632,
    moe_intermediate_size: 1408,
    shared_expert_intermediate_size: 5632,
    num_hidden_layers: 24,
    num_attention_heads: 16,
    num_key_value_heads: 16,
    max_position_embeddings: 32768,
    num_experts: 60,
    num_experts_per_tok: 4,
    sliding_window: 32768,
    max_window_layers: 21,
  }),
  'qwen2-57b-a14b': qwen2Moe({
    hidden_size: 3584,
    intermediate_size: 18944,
    moe_intermediate_size: 2560,
    shared_expert_intermediate_size: 20480,
    num_hidden_layers: 28,
    num_attention_heads: 28,
    num_key_value_heads: 4,
    max_position_embeddings: 131072,
    num_experts: 64,
    num_experts_per_tok: 8,
    sliding_window: 131072,
    max_window_layers: 28,
  }),
};

function qwen2Moe(sizes: JsonObject): JsonObject {
  return {
    model_type: 'qwen2_moe',
    vocab_size: 151936,
    ...sizes,
    hidden_act: 'silu',
    rms_norm_eps: 1e-6,
    rope_theta: 1e6,
    use_sliding_window: false,
    norm_topk_prob: false,
    decoder_sparse_step: 1,
    tie_word_embeddings: false,
  };
}
