import type { GgufArchitecture } from './architecture.js';
import { decoderConfig } from './decoder-config.js';

/** Granite 3 MoE; the converter interleaves the halves of each head's rows. */
export const granitemoe: GgufArchitecture = {
  name: 'granitemoe',
  config: (keys) => ({
    ...decoderConfig(keys),
    model_type: 'granitemoe',
    num_local_experts: keys.required('expert_count'),
    attention_multiplier: keys.number('attention.scale'),
    embedding_multiplier: keys.number('embedding_scale'),
    residual_multiplier: keys.number('residual_scale'),
    logits_scaling: keys.number('logit_scale'),
    attention_bias: keys.attentionBias,
    rope_interleave: true,
  }),
};
