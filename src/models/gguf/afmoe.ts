import type { GgufArchitecture } from './architecture.js';
import { decoderConfig } from './decoder-config.js';
import { slidingConfig } from './sliding.js';

/** Trinity; embeddings are multiplied by the root of their width, as of all published models. */
export const afmoe: GgufArchitecture = {
  name: 'afmoe',
  names: {
    post_attention_layernorm: 'post_attention_norm',
    pre_mlp_layernorm: 'ffn_norm',
    post_mlp_layernorm: 'post_ffw_norm',
    'self_attn.gate_proj': 'attn_gate',
    'mlp.router.gate': 'ffn_gate_inp',
    'mlp.expert_bias': 'exp_probs_b.bias',
  },
  config: (keys) => ({
    ...decoderConfig(keys),
    ...slidingConfig(keys),
    model_type: 'afmoe',
    mup_enabled: true,
    moe_intermediate_size: keys.required('expert_feed_forward_length'),
    num_dense_layers: keys.integer('leading_dense_block_count') ?? 0,
    num_experts: keys.required('expert_count'),
    num_shared_experts: keys.integer('expert_shared_count') ?? 0,
    route_scale: keys.number('expert_weights_scale') ?? 1,
    route_norm: keys.flag('expert_weights_norm'),
    score_func: keys.gating,
  }),
};
