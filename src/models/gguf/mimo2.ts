import type { GgufArchitecture } from './architecture.js';
import { decoderConfig } from './decoder-config.js';
import { lossFreeConfig } from './loss-free.js';
import { slidingConfig } from './sliding.js';

/** MiMo-V2-Flash. Layers that slide have more key and value heads, and sinks. */
export const mimo2: GgufArchitecture = {
  name: 'mimo2',
  names: { 'self_attn.attention_sink_bias': 'attn_sinks.weight' },
  config(keys) {
    const sliding = slidingConfig(keys);
    const kinds = (sliding.layer_types as string[] | undefined) ?? [];
    const kvHeads = keys.perLayer('attention.head_count_kv') ?? [];
    const of = (kind: string) => kvHeads[kinds.indexOf(kind)];
    const sparse = (l: number) => keys.has(`blk.${l}.ffn_gate_inp.weight`);
    return {
      ...decoderConfig(keys, { kvHeads: of('full_attention') ?? kvHeads[0] }),
      ...sliding,
      ...lossFreeConfig(keys),
      model_type: 'mimo_v2_flash',
      swa_num_key_value_heads: of('sliding_attention'),
      swa_rope_theta: keys.number('rope.freq_base_swa'),
      v_head_dim: keys.required('attention.value_length'),
      attention_value_scale: keys.number('attention.value_scale'),
      attention_bias: keys.attentionBias,
      first_k_dense_replace: undefined,
      mlp_layer_types: Array.from({ length: keys.layers }, (_, l) => (sparse(l) ? 'sparse' : 'dense')),
      n_routed_experts: keys.required('expert_count'),
    };
  },
};
