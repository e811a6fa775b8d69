import type { Shapes } from './shapes.js';

/** baidu/ERNIE-4.5-21B-A3B-PT. */
export const ERNIE4_5_MOE: Shapes = {
  'ernie-4.5-21b-a3b': {
    model_type: 'ernie4_5_moe',
    vocab_size: 103424,
    hidden_size: 2560,
    intermediate_size: 12288,
    moe_intermediate_size: 1536,
    num_hidden_layers: 28,
    num_attention_heads: 20,
    num_key_value_heads: 4,
    hidden_act: 'silu',
    use_bias: false,
    max_position_embeddings: 131072,
    rms_norm_eps: 1e-5,
    rope_theta: 500000,
    moe_num_experts: 64,
    moe_num_shared_experts: 2,
    moe_k: 6,
    moe_layer_start_index: 1,
    moe_layer_end_index: 27,
    moe_layer_interval: 1,
    tie_word_embeddings: true,
  },
};
