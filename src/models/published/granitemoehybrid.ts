import type { JsonObject } from '../../weights/config.js';
import type { Shapes } from './shapes.js';

const ATTENTION: readonly number[] = [5, 15, 25, 35];

const SHARED: JsonObject = {
  model_type: 'granitemoehybrid',
  vocab_size: 100352,
  num_hidden_layers: 40,
  layer_types: Array.from({ length: 40 }, (_, l) => (ATTENTION.includes(l) ? 'attention' : 'mamba')),
  hidden_act: 'silu',
  attention_bias: false,
  attention_multiplier: 0.0078125,
  embedding_multiplier: 12,
  residual_multiplier: 0.22,
  mamba_conv_bias: true,
  mamba_d_conv: 4,
  mamba_d_head: 64,
  mamba_d_state: 128,
  mamba_expand: 2,
  mamba_n_groups: 1,
  mamba_proj_bias: false,
  max_position_embeddings: 131072,
  position_embedding_type: 'nope',
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  rope_scaling: null,
  tie_word_embeddings: true,
};

/** ibm-granite/granite-4.0-h-tiny and -h-small. */
export const GRANITEMOEHYBRID: Shapes = {
  'granite-4.0-h-tiny': {
    ...SHARED,
    hidden_size: 1536,
    intermediate_size: 512,
    shared_intermediate_size: 1024,
    num_attention_heads: 12,
    num_key_value_heads: 4,
    mamba_n_heads: 48,
    num_local_experts: 64,
    num_experts_per_tok: 6,
    logits_scaling: 6,
  },
  'granite-4.0-h-small': {
    ...SHARED,
    hidden_size: 4096,
    intermediate_size: 768,
    shared_intermediate_size: 1536,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    mamba_n_heads: 128,
    num_local_experts: 72,
    num_experts_per_tok: 10,
    logits_scaling: 16,
  },
};
