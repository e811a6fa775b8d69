import type { GgufArchitecture } from './architecture.js';
import { decoderConfig } from './decoder-config.js';

/** Mixtral, which the converter counts as a Llama with experts; it interleaves the halves of each head's rows. */
export const llama: GgufArchitecture = {
  name: 'llama',
  config(keys) {
    const experts = keys.integer('expert_count') ?? 0;
    if (experts === 0) keys.refuse('expert_count', 'is 0 or missing: the model has no experts');
    return { ...decoderConfig(keys), model_type: 'mixtral', num_local_experts: experts, rope_interleave: true };
  },
};
