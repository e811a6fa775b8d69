import type { Shapes } from './shapes.js';

/** LGAI-EXAONE/K-EXAONE-236B-A23B. */
export const EXAONE_MOE: Shapes = {
  'k-exaone-236b-a23b': {
    model_type: 'exaone_moe',
    vocab_size: 153600,
    hidden_size: 6144,
    intermediate_size: 18432,
    moe_intermediate_size: 2048,
    num_hidden_layers: 48,
    num_attention_heads: 64,
    num_key_value_heads: 8,
    head_dim: 128,
    hidden_act: 'silu',
    max_position_embeddings: 262144,
    rms_norm_eps: 1e-5,
    rope_theta: 1e6,
    rope_scaling: null,
    sliding_window: 128,
    sliding_window_pattern: 'LLLG',
    num_experts: 128,
    num_shared_experts: 1,
    num_experts_per_tok: 8,
    first_k_dense_replace: 1,
    n_group: 1,
    topk_group: 1,
    norm_topk_prob: true,
    scoring_func: 'sigmoid',
    routed_scaling_factor: 2.5,
    tie_word_embeddings: false,
  },
};
