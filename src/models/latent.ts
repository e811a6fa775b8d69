import { z } from 'zod';
import { validate } from '../weights/config.js';
import type { LatentAttentionOptions } from './blocks/mla.js';
import { type decoderFields, refuseUnless, size } from './config.js';
import { type ropeFields, yarnMagnitude } from './rope.js';

/** The keys of config.json for multi-head latent attention. */
export const latentFields = {
  q_lora_rank: size.nullish(),
  kv_lora_rank: size,
  qk_nope_head_dim: size,
  qk_rope_head_dim: size,
  v_head_dim: size,
  attention_bias: z.boolean().default(false),
};

/** `readRotation` checks the rest. */
const yarn = z.object({ factor: z.number().optional(), mscale_all_dim: z.number().nullish() });

type LatentConfig = z.infer<z.ZodObject<typeof decoderFields & typeof ropeFields & typeof latentFields>>;

/** What the config says of latent attention. @throws FiddlerError `unsupported` */
export function latentHeadsOf(c: LatentConfig): Omit<LatentAttentionOptions, 'rotate'> {
  const heads = c.num_attention_heads;
  refuseUnless(
    (c.num_key_value_heads ?? heads) === heads,
    'num_key_value_heads',
    `is not the number of heads, ${heads}`,
  );
  return {
    hidden: c.hidden_size,
    heads,
    rank: c.kv_lora_rank,
    queryRank: c.q_lora_rank ?? undefined,
    unrotated: c.qk_nope_head_dim,
    rotated: c.qk_rope_head_dim,
    valueSize: c.v_head_dim,
    scale: scoreFactor(c),
    bias: c.attention_bias,
  };
}

/**
 * 1/√(size of a head's query), and where YaRN extends the context, times the square of its magnitude for
 * `mscale_all_dim` (the published code; transformers, models/deepseek_v3).
 */
function scoreFactor(c: LatentConfig): number {
  const { factor, mscale_all_dim: mscale } = validate(
    yarn,
    c.rope_parameters ?? c.rope_scaling ?? {},
    'config.json: rope_parameters',
  );
  const magnitude = factor && mscale ? yarnMagnitude(factor, mscale) : 1;
  return magnitude ** 2 / Math.sqrt(c.qk_nope_head_dim + c.qk_rope_head_dim);
}
