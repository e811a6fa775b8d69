import type { JsonObject } from '../../weights/config.js';
import type { GgufArchitecture } from './architecture.js';
import { decoderConfig } from './decoder-config.js';
import { linearLayers } from './hybrid.js';
import type { GgufKeys } from './keys.js';
import { decayLogOf, lessOne } from './undo.js';

/** Qwen3-Next. Files of today hold a gated delta net's projections apart, early ones (`ssm_in`) as they are published. */
export const qwen3next: GgufArchitecture = {
  name: 'qwen3next',
  names: {
    post_attention_layernorm: 'post_attention_norm',
    'linear_attn.in_proj_qkvz': 'ssm_in',
    'linear_attn.q_proj': 'attn_q',
    'linear_attn.k_proj': 'attn_k',
    'linear_attn.v_proj': 'attn_v',
    'linear_attn.in_proj_z': 'attn_gate',
    'linear_attn.in_proj_ba': 'ssm_ba',
    'linear_attn.conv1d': 'ssm_conv1d',
    'linear_attn.A_log': 'ssm_a',
    'linear_attn.dt_bias': 'ssm_dt.bias',
    'linear_attn.norm': 'ssm_norm',
    'linear_attn.out_proj': 'ssm_out',
  },
  undo: {
    'model.norm': lessOne,
    input_layernorm: lessOne,
    post_attention_layernorm: lessOne,
    'self_attn.q_norm': lessOne,
    'self_attn.k_norm': lessOne,
    'linear_attn.A_log': decayLogOf,
  },
  config: (keys) => ({ ...deltaNetConfig(keys), model_type: 'qwen3_next' }),
};

/** What config.json says of a model of attention and gated delta nets. */
export function deltaNetConfig(keys: GgufKeys): JsonObject {
  const heads = keys.required('ssm.time_step_rank');
  return {
    ...decoderConfig(keys),
    layer_types: linearLayers(keys),
    moe_intermediate_size: keys.integer('expert_feed_forward_length') ?? keys.shape('blk.0.ffn_up_exps.weight')[1],
    shared_expert_intermediate_size:
      keys.integer('expert_shared_feed_forward_length') ?? keys.shape('blk.0.ffn_up_shexp.weight')[0],
    num_experts: keys.required('expert_count'),
    norm_topk_prob: keys.flag('expert_weights_norm') ?? true,
    linear_conv_kernel_dim: keys.required('ssm.conv_kernel'),
    linear_key_head_dim: keys.required('ssm.state_size'),
    linear_value_head_dim: keys.required('ssm.inner_size') / heads,
    linear_num_key_heads: keys.required('ssm.group_count'),
    linear_num_value_heads: heads,
  };
}
