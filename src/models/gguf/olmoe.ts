import type { GgufArchitecture } from './architecture.js';
import { decoderConfig } from './decoder-config.js';

export const olmoe: GgufArchitecture = {
  name: 'olmoe',
  config: (keys) => ({
    ...decoderConfig(keys),
    model_type: 'olmoe',
    num_experts: keys.required('expert_count'),
    norm_topk_prob: keys.flag('expert_weights_norm') ?? false,
    attention_bias: keys.attentionBias,
    clip_qkv: keys.number('attention.clamp_kqv'),
  }),
};
