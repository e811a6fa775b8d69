import type { GgufArchitecture } from './architecture.js';
import { decoderConfig } from './decoder-config.js';

/** LFM2 with experts; layers without heads of keys and values convolve. */
export const lfm2moe: GgufArchitecture = {
  name: 'lfm2moe',
  names: {
    'model.embedding_norm': 'token_embd_norm',
    operator_norm: 'attn_norm',
    ffn_norm: 'ffn_norm',
    'self_attn.out_proj': 'attn_output',
    'self_attn.q_layernorm': 'attn_q_norm',
    'self_attn.k_layernorm': 'attn_k_norm',
    'conv.in_proj': 'shortconv.in_proj',
    'conv.conv': 'shortconv.conv',
    'conv.out_proj': 'shortconv.out_proj',
    'feed_forward.w1': 'ffn_gate',
    'feed_forward.w3': 'ffn_up',
    'feed_forward.w2': 'ffn_down',
    'feed_forward.gate': 'ffn_gate_inp',
    'feed_forward.expert_bias': 'exp_probs_b.bias',
  },
  config(keys) {
    const kvHeads = keys.perLayer('attention.head_count_kv') ?? [keys.required('attention.head_count_kv')];
    const config = decoderConfig(keys, { kvHeads: Math.max(...kvHeads) });
    return {
      ...config,
      model_type: 'lfm2_moe',
      norm_eps: config.rms_norm_eps,
      layer_types: Array.from({ length: keys.layers }, (_, l) => (kvHeads[l] ? 'full_attention' : 'conv')),
      conv_L_cache: keys.required('shortconv.l_cache'),
      num_dense_layers: keys.integer('leading_dense_block_count') ?? 0,
      num_experts: keys.required('expert_count'),
      moe_intermediate_size: keys.required('expert_feed_forward_length'),
      norm_topk_prob: keys.flag('expert_weights_norm') ?? true,
      routed_scaling_factor: keys.number('expert_weights_scale') ?? 1,
    };
  },
};
