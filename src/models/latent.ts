import { z } from 'zod';
import { refuseUnless, size } from './config.js';
import { ropeFields, yarnMagnitude } from './rope.js';

/** The keys of config.json for multi-head latent attention. */
export const latentFields = {
  q_lora_rank: size.nullish(),
  kv_lora_rank: size,
  qk_nope_head_dim: size,
  qk_rope_head_dim: size,
  v_head_dim: size,
  attention_bias: z.boolean().default(false),
};

const scaled = z.object({ ...ropeFields, ...latentFields });

/**
 * Factor of attention's scores: 1/√(size of a head's query), and where the context is extended by YaRN, the square of
 * its magnitude for `mscale_all_dim` (arXiv 2405.04434, section 3.1.4, and the published code).
 * @throws FiddlerError `unsupported`
 */
export function latentScale(c: z.infer<typeof scaled>): number {
  const { factor = 1, mscale_all_dim: mscale = 0 } = c.rope_parameters ?? c.rope_scaling ?? {};
  refuseUnless(typeof factor === 'number' && typeof mscale === 'number', 'rope_scaling.mscale_all_dim', 'is no number');
  const magnitude = mscale ? yarnMagnitude(factor as number, mscale as number) : 1;
  return magnitude ** 2 / Math.sqrt(c.qk_nope_head_dim + c.qk_rope_head_dim);
}
