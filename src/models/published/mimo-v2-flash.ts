import type { Shapes } from './shapes.js';

const LAYERS = 48;
const layers = (bit: (l: number) => boolean): number[] => Array.from({ length: LAYERS }, (_, l) => (bit(l) ? 1 : 0));

/** XiaomiMiMo/MiMo-V2-Flash. */
export const MIMO_V2_FLASH: Shapes = {
  'mimo-v2-flash': {
    model_type: 'mimo_v2_flash',
    vocab_size: 152576,
    hidden_size: 4096,
    intermediate_size: 16384,
    moe_intermediate_size: 2048,
    num_hidden_layers: LAYERS,
    num_attention_heads: 64,
    num_key_value_heads: 4,
    head_dim: 192,
    v_head_dim: 128,
    swa_num_attention_heads: 64,
    swa_num_key_value_heads: 8,
    swa_head_dim: 192,
    swa_v_head_dim: 128,
    hidden_act: 'silu',
    attention_bias: false,
    attention_value_scale: 707e-3,
    max_position_embeddings: 262144,
    layernorm_epsilon: 1e-5,
    rope_theta: 5e6,
    swa_rope_theta: 1e4,
    partial_rotary_factor: 0.334,
    sliding_window: 128,
    hybrid_layer_pattern: layers((l) => l > 0 && (l + 1) % 6 !== 0),
    moe_layer_freq: layers((l) => l > 0),
    n_routed_experts: 256,
    n_shared_experts: null,
    num_experts_per_tok: 8,
    n_group: 1,
    topk_group: 1,
    topk_method: 'noaux_tc',
    scoring_func: 'sigmoid',
    norm_topk_prob: true,
    routed_scaling_factor: null,
    tie_word_embeddings: false,
  },
};
