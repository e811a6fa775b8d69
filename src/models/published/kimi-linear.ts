import type { Shapes } from './shapes.js';

const LAYERS = 27;
/** Each fourth layer, and the last. */
const FULL = [4, 8, 12, 16, 20, 24, LAYERS];

/** moonshotai/Kimi-Linear-48B-A3B-Instruct, as published. */
export const KIMI_LINEAR: Shapes = {
  'kimi-linear-48b-a3b': {
    model_type: 'kimi_linear',
    vocab_size: 163840,
    hidden_size: 2304,
    intermediate_size: 9216,
    moe_intermediate_size: 1024,
    num_hidden_layers: LAYERS,
    num_attention_heads: 32,
    num_key_value_heads: 32,
    hidden_act: 'silu',
    model_max_length: 1048576,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    rope_scaling: null,
    kv_lora_rank: 512,
    q_lora_rank: null,
    qk_nope_head_dim: 128,
    qk_rope_head_dim: 64,
    v_head_dim: 128,
    mla_use_nope: true,
    linear_attn_config: {
      kda_layers: Array.from({ length: LAYERS }, (_, l) => l + 1).filter((l) => !FULL.includes(l)),
      full_attn_layers: FULL,
      head_dim: 128,
      num_heads: 32,
      short_conv_kernel_size: 4,
    },
    num_experts: 256,
    num_experts_per_token: 8,
    num_shared_experts: 1,
    first_k_dense_replace: 1,
    moe_layer_freq: 1,
    num_expert_group: 1,
    topk_group: 1,
    moe_renormalize: true,
    moe_router_activation_func: 'sigmoid',
    routed_scaling_factor: 2.446,
    tie_word_embeddings: false,
  },
};
