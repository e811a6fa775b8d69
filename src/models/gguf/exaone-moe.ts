import type { GgufArchitecture } from './architecture.js';
import { decoderConfig } from './decoder-config.js';
import { lossFreeConfig } from './loss-free.js';
import { slidingConfig } from './sliding.js';

export const exaoneMoe: GgufArchitecture = {
  name: 'exaone-moe',
  names: { 'mlp.e_score_correction_bias': 'exp_probs_b.bias' },
  config: (keys) => ({
    ...decoderConfig(keys),
    ...lossFreeConfig(keys),
    ...slidingConfig(keys),
    model_type: 'exaone_moe',
    num_experts: keys.required('expert_count'),
    num_shared_experts: keys.integer('expert_shared_count') ?? 0,
  }),
};
