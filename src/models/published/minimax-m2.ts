import type { Shapes } from './shapes.js';

/** MiniMaxAI/MiniMax-M2. */
export const MINIMAX_M2: Shapes = {
  'minimax-m2': {
    model_type: 'minimax_m2',
    vocab_size: 200064,
    hidden_size: 3072,
    intermediate_size: 1536,
    num_hidden_layers: 62,
    num_attention_heads: 48,
    num_key_value_heads: 8,
    head_dim: 128,
    hidden_act: 'silu',
    max_position_embeddings: 196608,
    rms_norm_eps: 1e-6,
    rope_theta: 5e6,
    rotary_dim: 64,
    num_local_experts: 256,
    num_experts_per_tok: 8,
    scoring_func: 'sigmoid',
    use_routing_bias: true,
    use_qk_norm: true,
    qk_norm_type: 'per_layer',
    shared_intermediate_size: 0,
    tie_word_embeddings: false,
  },
};
