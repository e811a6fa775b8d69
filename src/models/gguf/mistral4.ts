import type { GgufArchitecture } from './architecture.js';
import { latentConfig } from './latent.js';

/** Of Mistral Small 4; most files do not say it, and llama.cpp then leaves it out. */
const GROWTH = 0.1;

/** Mistral Small 4, whose latent attention is DeepSeek-V2's. */
export const mistral4: GgufArchitecture = {
  name: 'mistral4',
  config(keys) {
    const { gating } = keys;
    if (gating !== undefined && gating !== 'softmax') keys.refuse('expert_gating_func', `is ${gating}`);
    const { rope_scaling: scaling, partial_rotary_factor: _, rope_theta, ...config } = latentConfig(keys);
    return {
      ...config,
      model_type: 'mistral4',
      rope_parameters: {
        rope_theta,
        ...(scaling as object | undefined),
        llama_4_scaling_beta: keys.number('attention.temperature_scale') ?? GROWTH,
        original_max_position_embeddings: keys.required('rope.scaling.original_context_length'),
      },
    };
  },
};
