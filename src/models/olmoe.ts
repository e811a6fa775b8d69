import { z } from 'zod';
import { groupedQueryAttention } from './blocks/attention.js';
import { decoder } from './blocks/decoder.js';
import { mixtureOfExperts, separateExperts } from './blocks/moe.js';
import { rmsNorm } from './blocks/norm.js';
import { rotary } from './blocks/rotary.js';
import { decoderFields, headsOf, readConfig, size } from './config.js';
import type { Family } from './model.js';
import { readRotation, ropeFields } from './rope.js';
import { scoreRouter } from './router-scores.js';

const schema = z.object({
  ...decoderFields,
  ...ropeFields,
  intermediate_size: size,
  num_experts: size,
  num_experts_per_tok: size,
  norm_topk_prob: z.boolean().default(false),
  attention_bias: z.boolean().default(false),
  clip_qkv: z.number().positive().nullish(),
});

/** OLMoE (arXiv 2409.02060). Reference: transformers, models/olmoe. */
export const olmoe: Family = {
  modelType: 'olmoe',
  describe(config, declare) {
    const c = readConfig(schema, config);
    const heads = headsOf(c);
    const { hidden, headSize } = heads;
    const rotate = rotary(declare, readRotation(c, { headSize, base: 1e4 }));
    return decoder(declare, c, {
      norm: (name) => rmsNorm(declare, name, hidden, c.rms_norm_eps),
      attention: (prefix) =>
        groupedQueryAttention(declare, prefix, {
          ...heads,
          rotate,
          bias: c.attention_bias,
          outputBias: c.attention_bias,
          norm: { over: 'width', epsilon: c.rms_norm_eps },
          clip: c.clip_qkv ?? undefined,
        }),
      feedForward: (layer) => ({
        moe: mixtureOfExperts(declare, {
          hidden,
          width: c.intermediate_size,
          count: c.num_experts,
          router: scoreRouter({
            chosen: c.num_experts_per_tok,
            score: 'softmax',
            renormalise: c.norm_topk_prob ? {} : undefined,
          }),
          gate: `${layer}.mlp.gate.weight`,
          ...separateExperts(`${layer}.mlp.experts`, c.intermediate_size),
        }),
      }),
    });
  },
};
