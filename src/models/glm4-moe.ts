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
import { expertGroups, scoreRouter } from './router-scores.js';

const schema = z.object({
  ...decoderFields,
  ...ropeFields,
  partial_rotary_factor: z.number().positive().max(1).default(0.5),
  intermediate_size: size,
  moe_intermediate_size: size,
  n_routed_experts: size,
  n_shared_experts: size,
  num_experts_per_tok: size,
  first_k_dense_replace: z.int().nonnegative(),
  n_group: size.default(1),
  topk_group: size.default(1),
  norm_topk_prob: z.boolean().default(true),
  routed_scaling_factor: z.number().default(1),
  scoring_func: z.literal('sigmoid').nullish(),
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
    const [experts, chosen] = [c.n_routed_experts, c.num_experts_per_tok];
    const groups = expertGroups('best two', { experts, chosen, count: c.n_group, kept: c.topk_group });
    return decoder(declare, c, {
      norm: (name) => rmsNorm(declare, name, hidden, c.rms_norm_eps),
      attention: (prefix) =>
        groupedQueryAttention(declare, prefix, {
          ...heads,
          rotate,
          bias: c.attention_bias,
          norm: c.use_qk_norm ? { over: 'head', epsilon: c.rms_norm_eps } : undefined,
        }),
      feedForward: (layer, l) => {
        const mlp = `${layer}.mlp`;
        if (l < c.first_k_dense_replace) return { dense: gatedFeedForward(declare, mlp, hidden, c.intermediate_size) };
        const width = c.moe_intermediate_size;
        return {
          dense: gatedFeedForward(declare, `${mlp}.shared_experts`, hidden, width * c.n_shared_experts),
          moe: mixtureOfExperts(declare, {
            hidden,
            width,
            count: experts,
            router: scoreRouter({
              chosen,
              score: 'sigmoid',
              correction: declare.hostVector(`${mlp}.gate.e_score_correction_bias`, experts),
              groups,
              renormalise: c.norm_topk_prob ? { epsilon: 1e-20 } : undefined,
              scale: c.routed_scaling_factor,
            }),
            gate: `${mlp}.gate.weight`,
            matrices: separateExperts(`${mlp}.experts`),
          }),
        };
      },
    });
  },
};
