import type { GgufArchitecture } from './architecture.js';
import { decoderConfig } from './decoder-config.js';

/** Hunyuan-A13B; the converter has scaled the base of its positions by alpha. */
export const hunyuanMoe: GgufArchitecture = {
  name: 'hunyuan-moe',
  names: {
    'self_attn.query_layernorm': 'attn_q_norm',
    'self_attn.key_layernorm': 'attn_k_norm',
    'mlp.gate.wg': 'ffn_gate_inp',
    'mlp.shared_mlp.gate_proj': 'ffn_gate_shexp',
    'mlp.shared_mlp.up_proj': 'ffn_up_shexp',
    'mlp.shared_mlp.down_proj': 'ffn_down_shexp',
  },
  config: (keys) => ({
    ...decoderConfig(keys),
    rope_scaling: undefined,
    model_type: 'hunyuan_v1_moe',
    moe_intermediate_size: keys.required('expert_feed_forward_length'),
    num_experts: keys.required('expert_count'),
    moe_topk: keys.required('expert_used_count'),
    num_shared_expert: keys.shape('blk.0.ffn_up_shexp.weight')[0]! / keys.required('expert_feed_forward_length'),
  }),
};
