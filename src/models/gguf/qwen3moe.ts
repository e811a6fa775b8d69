import type { GgufArchitecture } from './architecture.js';
import { decoderConfig } from './decoder-config.js';

export const qwen3moe: GgufArchitecture = {
  name: 'qwen3moe',
  config: (keys) => ({
    ...decoderConfig(keys),
    model_type: 'qwen3_moe',
    moe_intermediate_size: keys.integer('expert_feed_forward_length') ?? keys.shape('blk.0.ffn_up_exps.weight')[1],
    num_experts: keys.required('expert_count'),
    norm_topk_prob: keys.flag('expert_weights_norm') ?? true, // all published models do
    attention_bias: keys.attentionBias,
  }),
};
