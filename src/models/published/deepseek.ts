import type { Shapes } from './shapes.js';

/** deepseek-ai/deepseek-moe-16b-base and chat. */
export const DEEPSEEK: Shapes = {
  'deepseek-moe-16b': {
    model_type: 'deepseek',
    vocab_size: 102400,
    hidden_size: 2048,
    intermediate_size: 10944,
    moe_intermediate_size: 1408,
    num_hidden_layers: 28,
    num_attention_heads: 16,
    num_key_value_heads: 16,
    hidden_act: 'silu',
    attention_bias: false,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-6,
    rope_theta: 10000,
    rope_scaling: null,
    n_routed_experts: 64,
    n_shared_experts: 2,
    num_experts_per_tok: 6,
    first_k_dense_replace: 1,
    moe_layer_freq: 1,
    norm_topk_prob: false,
    scoring_func: 'softmax',
    tie_word_embeddings: false,
  },
};
