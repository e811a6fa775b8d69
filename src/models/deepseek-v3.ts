import { z } from 'zod';
import { decoder } from './blocks/decoder.js';
import { gatedFeedForward } from './blocks/feed-forward.js';
import { latentAttention } from './blocks/mla.js';
import { mixtureOfExperts, separateExperts } from './blocks/moe.js';
import { rmsNorm } from './blocks/norm.js';
import { rotary } from './blocks/rotary.js';
import { decoderFields, readConfig, size } from './config.js';
import { latentFields, latentHeadsOf } from './latent.js';
import type { Family } from './model.js';
import { readRotation, ropeFields } from './rope.js';
import { expertGroups, scoreRouter } from './router-scores.js';

const schema = z.object({
  ...decoderFields,
  ...ropeFields,
  ...latentFields,
  intermediate_size: size,
  moe_intermediate_size: size,
  n_routed_experts: size,
  n_shared_experts: size,
  num_experts_per_tok: size,
  first_k_dense_replace: z.int().nonnegative(),
  moe_layer_freq: z.literal(1).default(1),
  topk_method: z.literal('noaux_tc').default('noaux_tc'),
  scoring_func: z.literal('sigmoid').default('sigmoid'),
  n_group: size.default(1),
  topk_group: size.default(1),
  norm_topk_prob: z.boolean().default(true),
  routed_scaling_factor: z.number().default(1),
  rope_interleave: z.boolean().default(true),
});

/**
 * DeepSeek-V3 (arXiv 2412.19437). The layers behind `num_hidden_layers`, which predict further tokens, are left out.
 * Reference: transformers, models/deepseek_v3.
 */
export const deepseekV3: Family = {
  modelType: 'deepseek_v3',
  describe(config, declare) {
    const c = readConfig(schema, config);
    const hidden = c.hidden_size;
    const rotation = { headSize: c.qk_rope_head_dim, interleaved: c.rope_interleave, base: 1e4 };
    const rotate = rotary(declare, readRotation(c, rotation));
    const [experts, chosen] = [c.n_routed_experts, c.num_experts_per_tok];
    const groups = expertGroups('best two', { experts, chosen, count: c.n_group, kept: c.topk_group });
    return decoder(declare, c, {
      norm: (name) => rmsNorm(declare, name, hidden, c.rms_norm_eps),
      attention: (prefix) => latentAttention(declare, prefix, { ...latentHeadsOf(c), rotate }),
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
