import type { JsonObject } from '../../weights/config.js';
import type { GgufKeys } from './keys.js';

/** The keys of config.json for experts balanced without an auxiliary loss, and layers before them that have none. */
export function lossFreeConfig(keys: GgufKeys): JsonObject {
  return {
    moe_intermediate_size: keys.required('expert_feed_forward_length'),
    first_k_dense_replace: keys.integer('leading_dense_block_count') ?? 0,
    n_group: keys.integer('expert_group_count') ?? 1,
    topk_group: keys.integer('expert_group_used_count') ?? 1,
    norm_topk_prob: keys.flag('expert_weights_norm') ?? true,
    routed_scaling_factor: keys.number('expert_weights_scale') ?? 1,
  };
}
