import type { GgufArchitecture } from './architecture.js';
import { decoderConfig } from './decoder-config.js';
import { lossFreeConfig } from './loss-free.js';

export const dots1: GgufArchitecture = {
  name: 'dots1',
  config: (keys) => ({
    ...decoderConfig(keys),
    ...lossFreeConfig(keys),
    model_type: 'dots1',
    n_routed_experts: keys.required('expert_count'),
    n_shared_experts: keys.integer('expert_shared_count') ?? 0,
  }),
};
