import type { Shapes } from './shapes.js';

const ATTENTION: readonly number[] = [2, 6, 10, 14, 18, 21];

/** LiquidAI/LFM2-8B-A1B, as published. */
export const LFM2_MOE: Shapes = {
  'lfm2-8b-a1b': {
    model_type: 'lfm2_moe',
    vocab_size: 65536,
    hidden_size: 2048,
    intermediate_size: 7168,
    moe_intermediate_size: 1792,
    num_hidden_layers: 24,
    num_dense_layers: 2,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    max_position_embeddings: 128000,
    norm_eps: 1e-5,
    rope_theta: 1e6,
    conv_L_cache: 3,
    conv_bias: false,
    layer_types: Array.from({ length: 24 }, (_, l) => (ATTENTION.includes(l) ? 'full_attention' : 'conv')),
    num_experts: 32,
    num_experts_per_tok: 4,
    norm_topk_prob: true,
    routed_scaling_factor: 1,
    use_expert_bias: true,
    tie_word_embeddings: true,
  },
};
