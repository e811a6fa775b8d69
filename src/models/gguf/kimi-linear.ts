import type { GgufArchitecture } from './architecture.js';
import { latentConfig } from './latent.js';
import { decayLogOf } from './undo.js';

/** Kimi Linear; layers without heads of keys and values have Kimi delta attention. */
export const kimiLinear: GgufArchitecture = {
  name: 'kimi-linear',
  names: {
    'self_attn.q_conv1d': 'ssm_conv1d_q',
    'self_attn.k_conv1d': 'ssm_conv1d_k',
    'self_attn.v_conv1d': 'ssm_conv1d_v',
    'self_attn.f_a_proj': 'ssm_f_a',
    'self_attn.f_b_proj': 'ssm_f_b',
    'self_attn.g_a_proj': 'ssm_g_a',
    'self_attn.g_b_proj': 'ssm_g_b',
    'self_attn.b_proj': 'ssm_beta',
    'self_attn.A_log': 'ssm_a',
    'self_attn.dt_bias': 'ssm_dt.bias',
    'self_attn.o_norm': 'ssm_norm',
    'block_sparse_moe.gate': 'ffn_gate_inp',
    'block_sparse_moe.gate.e_score_correction_bias': 'exp_probs_b.bias',
    'block_sparse_moe.shared_experts.gate_proj': 'ffn_gate_shexp',
    'block_sparse_moe.shared_experts.up_proj': 'ffn_up_shexp',
    'block_sparse_moe.shared_experts.down_proj': 'ffn_down_shexp',
  },
  undo: { 'self_attn.A_log': decayLogOf },
  config(keys) {
    const kvHeads = keys.perLayer('attention.head_count_kv') ?? [];
    const { n_routed_experts, n_shared_experts, n_group, norm_topk_prob, num_experts_per_tok, ...config } =
      latentConfig(keys, 1);
    return {
      ...config,
      model_type: 'kimi_linear',
      num_experts: n_routed_experts,
      num_shared_experts: n_shared_experts ?? 0,
      num_expert_group: n_group,
      moe_renormalize: norm_topk_prob,
      num_experts_per_token: num_experts_per_tok,
      layer_types: kvHeads.map((heads) => (heads > 0 ? 'full_attention' : 'linear_attention')),
      linear_head_dim: keys.required('kda.head_dim'),
      linear_num_heads: keys.required('attention.head_count'),
      linear_conv_kernel_dim: keys.required('ssm.conv_kernel'),
    };
  },
};
