import type { GgufArchitecture } from './architecture.js';
import { decoderConfig, ropeConfig } from './decoder-config.js';
import type { GgufKeys } from './keys.js';
import { slidingConfig } from './sliding.js';

/** Laguna. Keys without a suffix are those of layers that look at all tokens; these are each fourth from the first on. */
export const laguna: GgufArchitecture = {
  name: 'laguna',
  names: { 'self_attn.g_proj': 'attn_gate', 'mlp.experts.e_score_correction_bias': 'exp_probs_b.bias' },
  config(keys) {
    const heads = keys.perLayer('attention.head_count') ?? [keys.required('attention.head_count')];
    const headSize = keys.required('attention.key_length');
    const { rope_scaling: _, ...config } = decoderConfig(keys, { heads: heads[0], headSize });
    const perHead = (l: number) => keys.shape(`blk.${l}.attn_gate.weight`)[0] === heads[l];
    return {
      ...config,
      ...slidingConfig(keys, (l) => l % 4 !== 0),
      model_type: 'laguna',
      partial_rotary_factor: undefined,
      rope_parameters: rotations(keys, headSize),
      num_attention_heads_per_layer: heads,
      gating_types: heads.map((_, l) => (perHead(l) ? 'per_head' : 'per_element')),
      first_k_dense_replace: keys.integer('leading_dense_block_count') ?? 0,
      num_experts: keys.required('expert_count'),
      moe_intermediate_size: keys.required('expert_feed_forward_length'),
      shared_expert_intermediate_size: keys.required('expert_shared_feed_forward_length'),
      moe_routed_scaling_factor: keys.number('expert_weights_scale') ?? 1,
    };
  },
};

function rotations(keys: GgufKeys, headSize: number) {
  const { rope_theta, partial_rotary_factor, rope_scaling } = ropeConfig(keys, headSize);
  const turning = keys.integer('rope.dimension_count_swa') ?? headSize;
  return {
    full_attention: {
      rope_type: 'default',
      ...(rope_scaling as object | undefined),
      rope_theta,
      partial_rotary_factor,
    },
    sliding_attention: {
      rope_type: 'default',
      rope_theta: keys.number('rope.freq_base_swa') ?? rope_theta,
      partial_rotary_factor: turning / headSize,
    },
  };
}
