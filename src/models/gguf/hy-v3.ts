import type { GgufArchitecture } from './architecture.js';
import { decoderConfig } from './decoder-config.js';

export const hyV3: GgufArchitecture = {
  name: 'hy_v3',
  names: {
    'mlp.router.gate': 'ffn_gate_inp',
    'mlp.expert_bias': 'exp_probs_b',
    'mlp.shared_mlp.gate_proj': 'ffn_gate_shexp',
    'mlp.shared_mlp.up_proj': 'ffn_up_shexp',
    'mlp.shared_mlp.down_proj': 'ffn_down_shexp',
  },
  config(keys) {
    const width = keys.required('expert_feed_forward_length');
    const sparse = (l: number) => keys.has(`blk.${l}.ffn_gate_inp.weight`);
    return {
      ...decoderConfig(keys),
      model_type: 'hy_v3',
      moe_intermediate_size: width,
      num_experts: keys.required('expert_count'),
      num_shared_experts: (keys.integer('expert_shared_feed_forward_length') ?? 0) / width,
      mlp_layer_types: Array.from({ length: keys.layers }, (_, l) => (sparse(l) ? 'sparse' : 'dense')),
      router_scaling_factor: keys.number('expert_weights_scale') ?? 1,
    };
  },
};
