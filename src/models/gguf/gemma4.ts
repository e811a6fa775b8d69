import type { GgufArchitecture } from './architecture.js';
import { decoderConfig } from './decoder-config.js';
import type { GgufKeys } from './keys.js';
import { slidingConfig } from './sliding.js';

/** Gemma 4 with experts. Keys without a suffix are those of layers that look at all tokens. */
export const gemma4: GgufArchitecture = {
  name: 'gemma4',
  names: {
    post_attention_layernorm: 'post_attention_norm',
    pre_feedforward_layernorm: 'ffn_norm',
    pre_feedforward_layernorm_2: 'pre_ffw_norm_2',
    post_feedforward_layernorm: 'post_ffw_norm',
    post_feedforward_layernorm_1: 'post_ffw_norm_1',
    post_feedforward_layernorm_2: 'post_ffw_norm_2',
    layer_scalar: 'layer_output_scale.weight',
    'router.proj': 'ffn_gate_inp',
    'router.scale': 'ffn_gate_inp.scale',
    'router.per_expert_scale': 'ffn_down_exps.scale',
  },
  config(keys) {
    const sliding = slidingConfig(keys);
    const kinds = (sliding.layer_types as string[] | undefined) ?? [];
    const full = kinds.indexOf('full_attention');
    const kvHeads = keys.perLayer('attention.head_count_kv') ?? [];
    const slides = kinds.indexOf('sliding_attention');
    const headSize = keys.integer('attention.key_length_swa') ?? keys.required('attention.key_length');
    return {
      model_type: 'gemma4',
      text_config: {
        ...decoderConfig(keys, { headSize, kvHeads: kvHeads[slides] ?? kvHeads[0] }),
        ...sliding,
        hidden_activation: 'gelu_pytorch_tanh',
        partial_rotary_factor: undefined,
        rope_scaling: undefined,
        rope_parameters: rotations(keys),
        global_head_dim: keys.required('attention.key_length'),
        num_global_key_value_heads: kvHeads[full],
        attention_k_eq_v: full >= 0 && !keys.has(`blk.${full}.attn_v.weight`),
        enable_moe_block: (keys.integer('expert_count') ?? 0) > 0,
        num_experts: keys.integer('expert_count'),
        top_k_experts: keys.integer('expert_used_count'),
        moe_intermediate_size: keys.integer('expert_feed_forward_length'),
        final_logit_softcapping: keys.number('final_logit_softcapping'),
        num_kv_shared_layers: keys.integer('attention.shared_kv_layers') ?? 0,
        hidden_size_per_layer_input: keys.integer('embedding_length_per_layer_input') ?? 0,
      },
    };
  },
};

/** The part of a head that turns is not in the metadata, but in `rope_freqs`: what does not has a divisor of 1e30. */
function rotations(keys: GgufKeys) {
  const divisors = keys.floats('rope_freqs.weight') ?? [1];
  const turning = divisors.filter((divisor) => divisor === 1).length;
  return {
    full_attention: {
      rope_type: 'proportional',
      rope_theta: keys.number('rope.freq_base'),
      partial_rotary_factor: turning / divisors.length,
    },
    sliding_attention: { rope_type: 'default', rope_theta: keys.number('rope.freq_base_swa') ?? 10_000 },
  };
}
