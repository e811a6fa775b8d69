import type { GgufArchitecture } from './architecture.js';
import { decoderConfig } from './decoder-config.js';

export const minimaxM2: GgufArchitecture = {
  name: 'minimax-m2',
  names: { 'block_sparse_moe.e_score_correction_bias': 'exp_probs_b.bias' },
  config: (keys) => ({
    ...decoderConfig(keys),
    model_type: 'minimax_m2',
    intermediate_size: keys.required('expert_feed_forward_length'),
    num_local_experts: keys.required('expert_count'),
  }),
};
