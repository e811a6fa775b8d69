import { z } from 'zod';
import { groupedQueryAttention } from './blocks/attention.js';
import { decoder } from './blocks/decoder.js';
import { lossFreeExperts, lossFreeFields, lossFreeOptions } from './blocks/loss-free-moe.js';
import { rmsNorm } from './blocks/norm.js';
import { rotary } from './blocks/rotary.js';
import { decoderFields, headsOf, readConfig, size } from './config.js';
import type { Family } from './model.js';
import { readRotation, ropeFields } from './rope.js';

const schema = z.object({
  ...decoderFields,
  ...ropeFields,
  ...lossFreeFields,
  n_routed_experts: size,
  n_shared_experts: z.int().nonnegative().default(1),
  /** Every layer has experts. */
  first_k_dense_replace: z.literal(0).nullish(),
  attention_bias: z.boolean().default(false),
  use_qk_norm: z.literal(false).nullish(),
});

/** Solar Open (Upstage, Solar Open Technical Report). Reference: transformers, models/solar_open. */
export const solarOpen: Family = {
  modelType: 'solar_open',
  describe(config, declare) {
    const c = readConfig(schema, config);
    const heads = headsOf(c);
    const { hidden, headSize } = heads;
    const rotate = rotary(declare, readRotation(c, { headSize, base: 1e6 }));
    const experts = lossFreeOptions(c, { experts: c.n_routed_experts, shared: c.n_shared_experts });
    return decoder(declare, c, {
      norm: (name) => rmsNorm(declare, name, hidden, c.rms_norm_eps),
      attention: (prefix) => groupedQueryAttention(declare, prefix, { ...heads, rotate, bias: c.attention_bias }),
      feedForward: (layer) => lossFreeExperts(declare, `${layer}.mlp`, experts),
    });
  },
};
