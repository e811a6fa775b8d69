import type { GgufArchitecture } from './architecture.js';
import { decoderConfig } from './decoder-config.js';
import { slidingConfig } from './sliding.js';

export const cohere2moe: GgufArchitecture = {
  name: 'cohere2moe',
  config: (keys) => ({
    ...decoderConfig(keys),
    ...slidingConfig(keys),
    model_type: 'cohere2_moe',
    layer_norm_eps: keys.number('attention.layer_norm_epsilon'),
    first_k_dense_replace: keys.integer('leading_dense_block_count') ?? 0,
    prefix_dense_intermediate_size: keys.integer('feed_forward_length'),
    intermediate_size: keys.required('expert_feed_forward_length'),
    num_experts: keys.required('expert_count'),
    num_shared_experts: keys.integer('expert_shared_count') ?? 0,
    expert_selection_fn: keys.gating ?? 'sigmoid',
    norm_topk_prob: keys.flag('expert_weights_norm') ?? false,
    logit_scale: keys.number('logit_scale') ?? 1,
  }),
};
