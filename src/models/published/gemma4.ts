import type { Shapes } from './shapes.js';

const LAYERS = 30;
const full = (l: number): boolean => (l + 1) % 6 === 0;

/** The text of google/gemma-4-26B-A4B-it. */
export const GEMMA4: Shapes = {
  'gemma-4-26b-a4b': {
    model_type: 'gemma4',
    tie_word_embeddings: true,
    text_config: {
      model_type: 'gemma4_text',
      vocab_size: 262144,
      hidden_size: 2816,
      intermediate_size: 2112,
      moe_intermediate_size: 704,
      num_hidden_layers: LAYERS,
      num_attention_heads: 16,
      num_key_value_heads: 8,
      head_dim: 256,
      num_global_key_value_heads: 2,
      global_head_dim: 512,
      attention_k_eq_v: true,
      hidden_activation: 'gelu_pytorch_tanh',
      max_position_embeddings: 262144,
      rms_norm_eps: 1e-6,
      rope_parameters: {
        full_attention: { rope_type: 'proportional', rope_theta: 1e6, partial_rotary_factor: 0.25 },
        sliding_attention: { rope_type: 'default', rope_theta: 1e4 },
      },
      sliding_window: 1024,
      layer_types: Array.from({ length: LAYERS }, (_, l) => (full(l) ? 'full_attention' : 'sliding_attention')),
      enable_moe_block: true,
      num_experts: 128,
      top_k_experts: 8,
      final_logit_softcapping: 30,
      hidden_size_per_layer_input: 0,
      num_kv_shared_layers: 0,
      use_bidirectional_attention: 'vision',
      tie_word_embeddings: true,
    },
  },
};
