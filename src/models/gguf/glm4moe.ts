import type { GgufArchitecture } from './architecture.js';
import { decoderConfig } from './decoder-config.js';
import { lossFreeConfig } from './loss-free.js';

/** GLM-4.5 and those that are built like it. */
export const glm4moe: GgufArchitecture = {
  name: 'glm4moe',
  names: { post_attention_layernorm: 'post_attention_norm' },
  config(keys) {
    const config = decoderConfig(keys);
    return {
      ...config,
      model_type: 'glm4_moe',
      partial_rotary_factor: config.partial_rotary_factor ?? 1, // config.json may leave out the family's 0.5
      ...lossFreeConfig(keys),
      n_routed_experts: keys.required('expert_count'),
      n_shared_experts: keys.required('expert_shared_count'),
      use_qk_norm: keys.has('blk.0.attn_q_norm.weight'),
      attention_bias: keys.attentionBias,
    };
  },
};
