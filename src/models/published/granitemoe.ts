import type { Shapes } from './shapes.js';

/** ibm-granite/granite-3.1-1b-a400m-base and instruct. */
export const GRANITEMOE: Shapes = {
  'granite-3.1-1b-a400m': {
    model_type: 'granitemoe',
    vocab_size: 49155,
    hidden_size: 1024,
    intermediate_size: 512,
    num_hidden_layers: 24,
    num_attention_heads: 16,
    num_key_value_heads: 8,
    hidden_act: 'silu',
    attention_bias: false,
    attention_multiplier: 0.015625,
    embedding_multiplier: 12,
    logits_scaling: 6,
    residual_multiplier: 0.22,
    max_position_embeddings: 131072,
    rms_norm_eps: 1e-6,
    rope_theta: 1.5e6,
    rope_scaling: null,
    num_local_experts: 32,
    num_experts_per_tok: 8,
    tie_word_embeddings: true,
  },
};
