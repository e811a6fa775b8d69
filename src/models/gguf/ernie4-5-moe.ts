import type { GgufArchitecture } from './architecture.js';
import { decoderConfig } from './decoder-config.js';

export const ernie45Moe: GgufArchitecture = {
  name: 'ernie4_5-moe',
  config: (keys) => ({
    ...decoderConfig(keys),
    model_type: 'ernie4_5_moe',
    moe_intermediate_size: keys.required('expert_feed_forward_length'),
    moe_num_experts: keys.required('expert_count'),
    moe_num_shared_experts: keys.integer('expert_shared_count') ?? 0,
    moe_k: keys.required('expert_used_count'),
    moe_layer_start_index: keys.integer('leading_dense_block_count') ?? 0,
    moe_layer_interval: keys.integer('interleave_moe_layer_step') ?? 1,
  }),
};
