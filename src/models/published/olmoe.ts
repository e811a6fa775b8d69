import type { Shapes } from './shapes.js';

/** allenai/OLMoE-1B-7B-0924 and 0125. */
export const OLMOE: Shapes = {
  'olmoe-1b-7b': {
    model_type: 'olmoe',
    vocab_size: 50304,
    hidden_size: 2048,
    intermediate_size: 1024,
    num_hidden_layers: 16,
    num_attention_heads: 16,
    num_key_value_heads: 16,
    hidden_act: 'silu',
    attention_bias: false,
    clip_qkv: null,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    rope_scaling: null,
    num_experts: 64,
    num_experts_per_tok: 8,
    norm_topk_prob: false,
    tie_word_embeddings: false,
  },
};
