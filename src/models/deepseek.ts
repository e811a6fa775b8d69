import { z } from 'zod';
import { groupedQueryAttention } from './blocks/attention.js';
import { decoder } from './blocks/decoder.js';
import { gatedFeedForward } from './blocks/feed-forward.js';
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
  moe_intermediate_size: size,
  n_routed_experts: size,
  n_shared_experts: size.nullish(),
  num_experts_per_tok: size,
  first_k_dense_replace: z.int().nonnegative().default(0),
  moe_layer_freq: size.default(1),
  norm_topk_prob: z.boolean().default(false),
  scoring_func: z.literal('softmax').default('softmax'),
  attention_bias: z.boolean().default(false),
});

/** DeepSeekMoE (arXiv 2401.06066). Reference: modeling_deepseek.py of deepseek-ai/deepseek-moe-16b-base. */
export const deepseek: Family = {
  modelType: 'deepseek',
  describe(config, declare) {
    const c = readConfig(schema, config);
    const heads = headsOf(c);
    const { hidden, headSize } = heads;
    const rotate = rotary(declare, readRotation(c, { headSize, base: 1e4 }));
    const sparse = (l: number) => l >= c.first_k_dense_replace && l % c.moe_layer_freq === 0;
    return decoder(declare, c, {
      norm: (name) => rmsNorm(declare, name, hidden, c.rms_norm_eps),
      attention: (prefix) =>
        groupedQueryAttention(declare, prefix, {
          ...heads,
          rotate,
          bias: c.attention_bias,
          outputBias: c.attention_bias,
        }),
      feedForward: (layer, l) => {
        const mlp = `${layer}.mlp`;
        if (!sparse(l)) return { dense: gatedFeedForward(declare, mlp, hidden, c.intermediate_size) };
        const width = c.moe_intermediate_size;
        const shared = c.n_shared_experts;
        return {
          dense: shared ? gatedFeedForward(declare, `${mlp}.shared_experts`, hidden, width * shared) : undefined,
          moe: mixtureOfExperts(declare, {
            hidden,
            width,
            count: c.n_routed_experts,
            router: scoreRouter({
              chosen: c.num_experts_per_tok,
              score: 'softmax',
              renormalise: c.norm_topk_prob && c.num_experts_per_tok > 1 ? { epsilon: 1e-20 } : undefined,
            }),
            gate: `${mlp}.gate.weight`,
            ...separateExperts(`${mlp}.experts`, width),
          }),
        };
      },
    });
  },
};
