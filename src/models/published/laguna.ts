import type { Shapes } from './shapes.js';

const LAYERS = 40;
const full = (l: number): boolean => l % 4 === 0;
const layers = <T>(of: (l: number) => T): T[] => Array.from({ length: LAYERS }, (_, l) => of(l));

/** poolside/Laguna-XS.2. */
export const LAGUNA: Shapes = {
  'laguna-xs.2': {
    model_type: 'laguna',
    vocab_size: 100352,
    hidden_size: 2048,
    intermediate_size: 8192,
    moe_intermediate_size: 512,
    shared_expert_intermediate_size: 512,
    num_hidden_layers: LAYERS,
    num_attention_heads: 48,
    num_attention_heads_per_layer: layers((l) => (full(l) ? 48 : 64)),
    num_key_value_heads: 8,
    head_dim: 128,
    hidden_act: 'silu',
    gating: true,
    max_position_embeddings: 131072,
    rms_norm_eps: 1e-6,
    rope_parameters: {
      full_attention: {
        rope_type: 'yarn',
        rope_theta: 5e5,
        partial_rotary_factor: 0.5,
        factor: 32,
        original_max_position_embeddings: 4096,
      },
      sliding_attention: { rope_type: 'default', rope_theta: 1e4, partial_rotary_factor: 1 },
    },
    sliding_window: 512,
    layer_types: layers((l) => (full(l) ? 'full_attention' : 'sliding_attention')),
    mlp_layer_types: layers((l) => (l === 0 ? 'dense' : 'sparse')),
    num_experts: 256,
    num_experts_per_tok: 8,
    moe_routed_scaling_factor: 2.5,
    tie_word_embeddings: false,
  },
};
