import type { Shapes } from './shapes.js';

/** arcee-ai/Trinity-Mini. */
export const AFMOE: Shapes = {
  'trinity-mini': {
    model_type: 'afmoe',
    vocab_size: 200192,
    hidden_size: 2048,
    intermediate_size: 6144,
    moe_intermediate_size: 1024,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 4,
    head_dim: 128,
    hidden_act: 'silu',
    max_position_embeddings: 131072,
    rms_norm_eps: 1e-5,
    rope_theta: 1e4,
    rope_scaling: null,
    sliding_window: 2048,
    global_attn_every_n_layers: 4,
    num_dense_layers: 2,
    num_experts: 128,
    num_shared_experts: 1,
    num_experts_per_tok: 8,
    route_norm: true,
    route_scale: 2.826,
    score_func: 'sigmoid',
    mup_enabled: true,
    tie_word_embeddings: false,
  },
};
