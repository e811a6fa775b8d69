import type { GgufArchitecture } from './architecture.js';
import { decoderConfig } from './decoder-config.js';
import { mamba2Names, mamba2Sizes } from './hybrid.js';

const { names, undo } = mamba2Names('mamba');

/** Granite 4.0 H with experts; layers without heads of keys and values are Mamba-2. */
export const granitehybrid: GgufArchitecture = {
  name: 'granitehybrid',
  names: {
    ...names,
    'shared_mlp.gate_proj': 'ffn_gate_shexp',
    'shared_mlp.up_proj': 'ffn_up_shexp',
    'shared_mlp.output_linear': 'ffn_down_shexp',
  },
  undo,
  config(keys) {
    const kvHeads = keys.perLayer('attention.head_count_kv') ?? [keys.required('attention.head_count_kv')];
    const attends = kvHeads.findIndex((heads) => heads > 0);
    const mamba = mamba2Sizes(keys, kvHeads.indexOf(0));
    const hidden = keys.required('embedding_length');
    return {
      ...decoderConfig(keys, { kvHeads: Math.max(...kvHeads) }),
      model_type: 'granitemoehybrid',
      layer_types: kvHeads.map((heads) => (heads > 0 ? 'attention' : 'mamba')),
      // The converter interleaves the halves of each head's rows; where nothing is rotated that changes nothing.
      position_embedding_type: keys.flag('rope.scaling.finetuned') === false ? 'nope' : 'rope',
      rope_interleave: true,
      num_local_experts: keys.required('expert_count'),
      shared_intermediate_size: keys.required('expert_shared_feed_forward_length'),
      attention_multiplier: keys.number('attention.scale'),
      embedding_multiplier: keys.number('embedding_scale'),
      residual_multiplier: keys.number('residual_scale'),
      logits_scaling: keys.number('logit_scale'),
      attention_bias: keys.has(`blk.${attends}.attn_q.bias`),
      mamba_n_heads: mamba.heads,
      mamba_d_head: mamba.headSize,
      mamba_d_state: mamba.stateSize,
      mamba_n_groups: mamba.groups,
      mamba_d_conv: mamba.kernel,
      mamba_expand: (mamba.heads * mamba.headSize) / hidden,
      mamba_conv_bias: mamba.biased,
    };
  },
};
