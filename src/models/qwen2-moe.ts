import { z } from 'zod';
import { groupedQueryAttention } from './blocks/attention.js';
import { decoder } from './blocks/decoder.js';
import { gatedFeedForward } from './blocks/feed-forward.js';
import { gatedSharedExperts, gatedSharedFields } from './blocks/gated-shared-moe.js';
import { rmsNorm } from './blocks/norm.js';
import { rotary } from './blocks/rotary.js';
import { decoderFields, headsOf, readConfig, size, sparseLayers, sparseStepFields } from './config.js';
import type { Family } from './model.js';
import { readRotation, ropeFields } from './rope.js';

const schema = z.object({
  ...decoderFields,
  ...ropeFields,
  ...sparseStepFields,
  ...gatedSharedFields,
  intermediate_size: size,
  norm_topk_prob: z.boolean().default(false),
  qkv_bias: z.boolean().default(true),
  use_sliding_window: z.literal(false).default(false),
  layer_types: z.array(z.literal('full_attention')).nullish(),
});

/** Qwen1.5-MoE and Qwen2-MoE (arXiv 2407.10671). Reference: transformers, models/qwen2_moe. */
export const qwen2Moe: Family = {
  modelType: 'qwen2_moe',
  describe(config, declare) {
    const c = readConfig(schema, config);
    const heads = headsOf(c);
    const { hidden, headSize } = heads;
    const rotate = rotary(declare, readRotation(c, { headSize, base: 1e4 }));
    const sparse = sparseLayers(c);
    return decoder(declare, c, {
      norm: (name) => rmsNorm(declare, name, hidden, c.rms_norm_eps),
      attention: (prefix) =>
        groupedQueryAttention(declare, prefix, {
          ...heads,
          rotate,
          bias: c.qkv_bias,
        }),
      feedForward: (layer, l) => {
        const mlp = `${layer}.mlp`;
        if (!sparse(l)) return { dense: gatedFeedForward(declare, mlp, hidden, c.intermediate_size) };
        return gatedSharedExperts(declare, mlp, c);
      },
    });
  },
};
