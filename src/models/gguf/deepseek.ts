import type { GgufArchitecture } from './architecture.js';
import { decoderConfig } from './decoder-config.js';

/** DeepSeekMoE, the first; the converter interleaves the halves of each head's rows. */
export const deepseek: GgufArchitecture = {
  name: 'deepseek',
  config: (keys) => ({
    ...decoderConfig(keys),
    model_type: 'deepseek',
    moe_intermediate_size: keys.required('expert_feed_forward_length'),
    n_routed_experts: keys.required('expert_count'),
    n_shared_experts: keys.integer('expert_shared_count') || undefined,
    first_k_dense_replace: keys.integer('leading_dense_block_count') ?? 0,
    norm_topk_prob: keys.flag('expert_weights_norm') ?? false,
    attention_bias: keys.attentionBias,
    rope_interleave: true,
  }),
};
