import type { Shapes } from './shapes.js';

const LAYERS = 49;

/** CohereLabs/North-Mini-Code-1.0. */
export const COHERE2_MOE: Shapes = {
  'north-mini': {
    model_type: 'cohere2_moe',
    vocab_size: 262144,
    hidden_size: 2048,
    intermediate_size: 768,
    prefix_dense_intermediate_size: 3072,
    prefix_dense_sliding_window_pattern: 1,
    first_k_dense_replace: 1,
    num_hidden_layers: LAYERS,
    num_attention_heads: 32,
    num_key_value_heads: 4,
    head_dim: 128,
    hidden_act: 'silu',
    max_position_embeddings: 262144,
    layer_norm_eps: 1e-5,
    rope_theta: 5e4,
    rope_scaling: null,
    sliding_window: 4096,
    layer_types: Array.from({ length: LAYERS }, (_, l) => (l % 4 === 0 ? 'full_attention' : 'sliding_attention')),
    num_experts: 128,
    num_shared_experts: 0,
    num_experts_per_tok: 8,
    expert_selection_fn: 'sigmoid',
    norm_topk_prob: true,
    logit_scale: 0.25,
    tie_word_embeddings: true,
  },
};
