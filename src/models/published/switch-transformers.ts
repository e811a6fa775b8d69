import type { JsonObject } from '../../weights/config.js';
import type { Shapes } from './shapes.js';

/** google/switch-base-8 to 256. */
export const SWITCH_TRANSFORMERS: Shapes = Object.fromEntries(
  [8, 16, 32, 64, 128, 256].map((experts) => [`switch-base-${experts}`, switchBase(experts)]),
);

function switchBase(experts: number): JsonObject {
  return {
    model_type: 'switch_transformers',
    vocab_size: 32128,
    d_model: 768,
    d_kv: 64,
    d_ff: 3072,
    num_heads: 12,
    num_layers: 12,
    num_decoder_layers: 12,
    num_experts: experts,
    expert_capacity: 64,
    num_sparse_encoder_layers: 6,
    num_sparse_decoder_layers: 6,
    encoder_sparse_step: 2,
    decoder_sparse_step: 2,
    relative_attention_num_buckets: 32,
    relative_attention_max_distance: 128,
    layer_norm_epsilon: 1e-6,
    dense_act_fn: 'relu',
    router_bias: false,
    router_dtype: 'float32',
    is_encoder_decoder: true,
    decoder_start_token_id: 0,
    pad_token_id: 0,
    eos_token_id: 1,
    tie_word_embeddings: true,
  };
}
