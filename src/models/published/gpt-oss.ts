import type { JsonObject } from '../../weights/config.js';
import type { Shapes } from './shapes.js';

/** openai/gpt-oss-20b and 120b. */
export const GPT_OSS: Shapes = {
  'gpt-oss-20b': gptOss(24, 32),
  'gpt-oss-120b': gptOss(36, 128),
};

function gptOss(layers: number, experts: number): JsonObject {
  return {
    model_type: 'gpt_oss',
    vocab_size: 201088,
    hidden_size: 2880,
    intermediate_size: 2880,
    num_hidden_layers: layers,
    num_attention_heads: 64,
    num_key_value_heads: 8,
    head_dim: 64,
    hidden_act: 'silu',
    attention_bias: true,
    max_position_embeddings: 131072,
    rms_norm_eps: 1e-5,
    sliding_window: 128,
    swiglu_limit: 7,
    num_local_experts: experts,
    num_experts_per_tok: 4,
    rope_theta: 150000,
    rope_scaling: {
      rope_type: 'yarn',
      factor: 32,
      original_max_position_embeddings: 4096,
      beta_fast: 32,
      beta_slow: 1,
      truncate: false,
    },
    quantization_config: { quant_method: 'mxfp4' },
    tie_word_embeddings: false,
  };
}
