import type { JsonObject } from '../../weights/config.js';
import { decoderConfig, ropeConfig } from './decoder-config.js';
import type { GgufKeys } from './keys.js';
import { lossFreeConfig } from './loss-free.js';

/** The converter multiplies YaRN's `mscale_all_dim` by this. */
const LOG_MULTIPLIER = 0.1;

/**
 * The keys of config.json for multi-head latent attention and what DeepSeek-V2's heirs have beside it.
 * @param kvHeads of the latent that all share, where the file has a number for each layer
 */
export function latentConfig(keys: GgufKeys, kvHeads?: number): JsonObject {
  const latent = latentSizes(keys);
  return {
    ...decoderConfig(keys, { kvHeads }),
    ...latent,
    ...ropeConfig(keys, latent.qk_rope_head_dim),
    ...lossFreeConfig(keys),
    rope_scaling: ropeScaling(keys),
    head_dim: undefined,
    num_key_value_heads: keys.required('attention.head_count'), // the file counts the latent as the one head that all share
    n_routed_experts: keys.required('expert_count'),
    n_shared_experts: keys.integer('expert_shared_count') || undefined,
    norm_topk_prob: keys.flag('expert_weights_norm') ?? false,
  };
}

/** In files from before keys and values were absorbed, key_length and value_length are the heads' own. */
function latentSizes(keys: GgufKeys) {
  const rotated = keys.required('rope.dimension_count');
  const query = keys.integer('attention.key_length_mla') ?? keys.required('attention.key_length');
  return {
    q_lora_rank: keys.has('blk.0.attn_q_a.weight') ? keys.required('attention.q_lora_rank') : undefined,
    kv_lora_rank: keys.required('attention.kv_lora_rank'),
    qk_nope_head_dim: query - rotated,
    qk_rope_head_dim: rotated,
    v_head_dim: keys.integer('attention.value_length_mla') ?? keys.required('attention.value_length'),
  };
}

/** Of all published models `mscale` is `mscale_all_dim`, so that the file has one for both. */
function ropeScaling(keys: GgufKeys): JsonObject | undefined {
  const { rope_scaling: scaling } = ropeConfig(keys, keys.required('rope.dimension_count'));
  const multiplier = keys.number('rope.scaling.yarn_log_multiplier');
  if (!scaling || !multiplier) return scaling as JsonObject | undefined;
  const mscale = multiplier / LOG_MULTIPLIER;
  return { ...(scaling as JsonObject), mscale, mscale_all_dim: mscale };
}
