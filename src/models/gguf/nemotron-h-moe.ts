import type { GgufArchitecture } from './architecture.js';
import { decoderConfig } from './decoder-config.js';
import { mamba2Names, mamba2Sizes } from './hybrid.js';
import type { GgufKeys } from './keys.js';
import { lossFreeConfig } from './loss-free.js';

const { names, undo } = mamba2Names('mixer');

/** Nemotron H with experts; each layer has a norm and one of Mamba-2, attention and a feed-forward. */
export const nemotronHMoe: GgufArchitecture = {
  name: 'nemotron_h_moe',
  names: {
    ...names,
    'model.embeddings': 'token_embd',
    'model.norm_f': 'output_norm',
    norm: 'attn_norm',
    'mixer.q_proj': 'attn_q',
    'mixer.k_proj': 'attn_k',
    'mixer.v_proj': 'attn_v',
    'mixer.o_proj': 'attn_output',
    'mixer.gate': 'ffn_gate_inp',
    'mixer.gate.e_score_correction_bias': 'exp_probs_b.bias',
    'mixer.shared_experts.up_proj': 'ffn_up_shexp',
    'mixer.shared_experts.down_proj': 'ffn_down_shexp',
    'mixer.fc1_latent_proj': 'ffn_latent_down',
    'mixer.fc2_latent_proj': 'ffn_latent_up',
    'mixer.up_proj': 'ffn_up',
    'mixer.down_proj': 'ffn_down',
  },
  undo,
  config(keys) {
    const kvHeads = keys.perLayer('attention.head_count_kv') ?? [];
    const widths = keys.perLayer('feed_forward_length') ?? [];
    const kinds = Array.from({ length: keys.layers }, (_, l) => kindOf(keys, l, kvHeads[l]!, widths[l]!));
    const mamba = mamba2Sizes(keys, kinds.indexOf('mamba'));
    return {
      ...decoderConfig(keys, { kvHeads: Math.max(1, ...kvHeads), width: Math.max(1, ...widths) }),
      ...lossFreeConfig(keys),
      model_type: 'nemotron_h',
      layers_block_type: kinds,
      layer_norm_epsilon:
        keys.number('attention.layer_norm_rms_epsilon') ?? keys.number('attention.layer_norm_epsilon'),
      attention_bias: keys.has(`blk.${kinds.indexOf('attention')}.attn_q.bias`),
      n_routed_experts: keys.required('expert_count'),
      n_shared_experts: keys.integer('expert_shared_count') ?? 1,
      moe_shared_expert_intermediate_size: keys.required('expert_shared_feed_forward_length'),
      moe_latent_size: keys.integer('moe_latent_size'),
      mamba_num_heads: mamba.heads,
      mamba_head_dim: mamba.headSize,
      ssm_state_size: mamba.stateSize,
      n_groups: mamba.groups,
      conv_kernel: mamba.kernel,
      use_conv_bias: mamba.biased,
    };
  },
};

function kindOf(keys: GgufKeys, l: number, kvHeads: number, width: number): string {
  if (width > 0) return keys.has(`blk.${l}.ffn_gate_inp.weight`) ? 'moe' : 'mlp';
  return kvHeads > 0 ? 'attention' : 'mamba';
}
