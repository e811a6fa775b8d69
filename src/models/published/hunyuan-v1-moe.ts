import type { Shapes } from './shapes.js';

const LAYERS = 32;
const each = (value: number): number[] => Array<number>(LAYERS).fill(value);

/** tencent/Hunyuan-A13B-Instruct. */
export const HUNYUAN_V1_MOE: Shapes = {
  'hunyuan-a13b': {
    model_type: 'hunyuan_v1_moe',
    vocab_size: 128167,
    hidden_size: 4096,
    intermediate_size: 3072,
    moe_intermediate_size: each(3072),
    num_hidden_layers: LAYERS,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    head_dim: 128,
    hidden_act: 'silu',
    attention_bias: false,
    max_position_embeddings: 32768,
    rms_norm_eps: 1e-5,
    rope_theta: 1e4,
    rope_scaling: {
      type: 'dynamic',
      alpha: 1000,
      factor: 1,
      beta_fast: 32,
      beta_slow: 1,
      mscale: 1,
      mscale_all_dim: 1,
    },
    num_experts: 64,
    num_shared_expert: each(1),
    moe_topk: each(8),
    use_mixed_mlp_moe: true,
    use_qk_norm: true,
    use_cla: false,
    tie_word_embeddings: true,
  },
};
