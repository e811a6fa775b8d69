import type { GgufArchitecture } from './architecture.js';
import { deltaNetConfig, qwen3next } from './qwen3next.js';

/**
 * Qwen3.5 and Qwen3.6 with experts. The converter orders heads of the values so that those that share one of the keys lie
 * as far apart as there are of these.
 */
export const qwen35moe: GgufArchitecture = {
  name: 'qwen35moe',
  names: {
    ...qwen3next.names,
    'linear_attn.in_proj_qkv': 'attn_qkv',
    'linear_attn.in_proj_b': 'ssm_beta',
    'linear_attn.in_proj_a': 'ssm_alpha',
  },
  undo: qwen3next.undo,
  config(keys) {
    const { tie_word_embeddings, eos_token_id, ...text } = deltaNetConfig(keys);
    return {
      model_type: 'qwen3_5_moe',
      tie_word_embeddings,
      eos_token_id,
      text_config: { ...text, linear_value_heads_tiled: true },
    };
  },
};
