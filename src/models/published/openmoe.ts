import type { Shapes } from './shapes.js';

/** OpenMoE-8B/32E. ColossalAI, examples/language/openmoe/model/openmoe_8b_config.json. */
export const OPENMOE: Shapes = {
  'openmoe-8b': {
    model_type: 'llama',
    architectures: ['OpenMoeForCausalLM'],
    vocab_size: 256384,
    hidden_size: 2048,
    intermediate_size: 8192,
    num_hidden_layers: 24,
    num_attention_heads: 24,
    num_key_value_heads: 24,
    head_dim: 128,
    hidden_act: 'swiglu',
    attention_bias: false,
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-6,
    rope_theta: 10000,
    rope_scaling: null,
    num_experts: 32,
    moe_layer_interval: 6,
    mlp_gated: true,
    router_topk: 2,
    router_capacity_factor_eval: 2,
    router_min_capacity: 4,
    router_drop_tks: true,
    tie_word_embeddings: false,
  },
};
