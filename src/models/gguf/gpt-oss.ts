import type { GgufArchitecture } from './architecture.js';
import { decoderConfig } from './decoder-config.js';

export const gptOss: GgufArchitecture = {
  name: 'gpt-oss',
  names: { post_attention_layernorm: 'post_attention_norm' },
  config(keys) {
    const config = decoderConfig(keys);
    const scaling = config.rope_scaling as object | undefined;
    return {
      ...config,
      model_type: 'gpt_oss',
      intermediate_size: keys.integer('expert_feed_forward_length') ?? config.intermediate_size,
      num_local_experts: keys.required('expert_count'),
      sliding_window: keys.required('attention.sliding_window'),
      // The file does not say so, but the model was trained without rounding the ramp's ends.
      rope_scaling: scaling && { ...scaling, truncate: false },
    };
  },
};
