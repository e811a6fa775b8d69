import type { JsonObject } from '../../weights/config.js';
import type { Shapes } from './shapes.js';

/** mistralai/Mixtral-8x7B-v0.1 and 8x22B-v0.1. */
export const MIXTRAL: Shapes = {
  'mixtral-8x7b': mixtral({
    hidden_size: 4096,
    intermediate_size: 14336,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    max_position_embeddings: 32768,
  }),
  'mixtral-8x22b': mixtral({
    hidden_size: 6144,
    intermediate_size: 16384,
    num_hidden_layers: 56,
    num_attention_heads: 48,
    max_position_embeddings: 65536,
  }),
};

function mixtral(sizes: JsonObject): JsonObject {
  return {
    model_type: 'mixtral',
    vocab_size: 32000,
    ...sizes,
    num_key_value_heads: 8,
    hidden_act: 'silu',
    rms_norm_eps: 1e-5,
    rope_theta: 1e6,
    num_experts_per_tok: 2,
    num_local_experts: 8,
    sliding_window: null,
    tie_word_embeddings: false,
  };
}
