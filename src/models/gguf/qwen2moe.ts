import type { GgufArchitecture } from './architecture.js';
import { decoderConfig } from './decoder-config.js';

export const qwen2moe: GgufArchitecture = {
  name: 'qwen2moe',
  config: (keys) => ({
    ...decoderConfig(keys),
    model_type: 'qwen2_moe',
    // Early files leave the widths to the tensors.
    moe_intermediate_size: keys.integer('expert_feed_forward_length') ?? keys.shape('blk.0.ffn_up_exps.weight')[1],
    shared_expert_intermediate_size:
      keys.integer('expert_shared_feed_forward_length') ?? keys.shape('blk.0.ffn_up_shexp.weight')[0],
    num_experts: keys.required('expert_count'),
    norm_topk_prob: keys.flag('expert_weights_norm') ?? false,
    qkv_bias: keys.attentionBias,
  }),
};
