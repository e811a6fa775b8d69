import { z } from 'zod';
import { groupedQueryAttention } from './blocks/attention.js';
import { decoder } from './blocks/decoder.js';
import { gatedFeedForward } from './blocks/feed-forward.js';
import { lossFreeExperts, lossFreeFields, lossFreeOptions } from './blocks/loss-free-moe.js';
import { rmsNorm } from './blocks/norm.js';
import { rotary } from './blocks/rotary.js';
import { decoderFields, headsOf, readConfig, size } from './config.js';
import { denseFields, denseLayers } from './layer-kinds.js';
import type { Family } from './model.js';
import { readRotation, ropeFields } from './rope.js';

const schema = z.object({
  ...decoderFields,
  ...ropeFields,
  partial_rotary_factor: z.number().positive().max(1).default(0.5),
  ...lossFreeFields,
  ...denseFields,
  intermediate_size: size,
  n_routed_experts: size,
  n_shared_experts: size,
  attention_bias: z.boolean().default(false),
  use_qk_norm: z.boolean().default(false),
});

/** GLM-4.5 (arXiv 2508.06471). Reference: transformers, models/glm4_moe. */
export const glm4Moe: Family = {
  modelType: 'glm4_moe',
  describe(config, declare) {
    const c = readConfig(schema, config);
    const heads = headsOf(c);
    const { hidden, headSize } = heads;
    const rotate = rotary(declare, readRotation(c, { headSize, base: 1e4 }));
    const dense = denseLayers(c);
    const experts = lossFreeOptions(c, { experts: c.n_routed_experts, shared: c.n_shared_experts });
    return decoder(declare, c, {
      norm: (name) => rmsNorm(declare, name, hidden, c.rms_norm_eps),
      attention: (prefix) =>
        groupedQueryAttention(declare, prefix, {
          ...heads,
          rotate,
          bias: c.attention_bias,
          norm: c.use_qk_norm ? { over: 'head', epsilon: c.rms_norm_eps } : undefined,
        }),
      feedForward: (layer, l) =>
        dense(l)
          ? { dense: gatedFeedForward(declare, `${layer}.mlp`, hidden, c.intermediate_size) }
          : lossFreeExperts(declare, `${layer}.mlp`, experts),
    });
  },
};
