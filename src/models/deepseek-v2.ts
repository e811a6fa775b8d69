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
  n_shared_experts: size.nullish(),
  num_experts_per_tok: size,
  first_k_dense_replace: z.int().nonnegative().default(0),
  moe_layer_freq: size.default(1),
  topk_method: z.enum(['greedy', 'group_limited_greedy']).default('greedy'),
  n_group: size.nullish(),
  topk_group: size.nullish(),
  norm_topk_prob: z.boolean().default(false),
  routed_scaling_factor: z.number().default(1),
  scoring_func: z.literal('softmax').default('softmax'),
  mlp_bias: z.literal(false).default(false),
});

/** DeepSeek-V2 (arXiv 2405.04434). Reference: modeling_deepseek.py of deepseek-ai/DeepSeek-V2; transformers. */
export const deepseekV2: Family = {
  modelType: 'deepseek_v2',
  describe(config, declare) {
    const c = readConfig(schema, config);
    const hidden = c.hidden_size;
    const rotate = rotary(declare, readRotation(c, { headSize: c.qk_rope_head_dim, interleaved: true, base: 1e4 }));
    const sparse = (l: number) => l >= c.first_k_dense_replace && l % c.moe_layer_freq === 0;
    const [experts, chosen] = [c.n_routed_experts, c.num_experts_per_tok];
    const limited = c.topk_method === 'group_limited_greedy';
    const grouping = { experts, chosen, count: c.n_group ?? 1, kept: c.topk_group ?? 1 };
    const groups = limited ? expertGroups('best', grouping) : undefined;
    const renormalised = c.norm_topk_prob && chosen > 1;
    return decoder(declare, c, {
      norm: (name) => rmsNorm(declare, name, hidden, c.rms_norm_eps),
      attention: (prefix) => latentAttention(declare, prefix, { ...latentHeadsOf(c), rotate }),
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
            count: experts,
            router: scoreRouter({
              chosen,
              score: 'softmax',
              groups,
              // The published code scales weights only where it does not divide them by their sum.
              renormalise: renormalised ? { epsilon: 1e-20 } : undefined,
              scale: renormalised ? 1 : c.routed_scaling_factor,
            }),
            gate: `${mlp}.gate.weight`,
            ...separateExperts(`${mlp}.experts`, width),
          }),
        };
      },
    });
  },
};
