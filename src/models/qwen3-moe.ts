import { z } from 'zod';
import type { JsonObject } from '../weights/config.js';
import { groupedQueryAttention } from './blocks/attention.js';
import { type DecoderOptions, decoder } from './blocks/decoder.js';
import { gatedFeedForward } from './blocks/feed-forward.js';
import { mixtureOfExperts, separateExperts } from './blocks/moe.js';
import { rmsNorm } from './blocks/norm.js';
import { rotary } from './blocks/rotary.js';
import { decoderFields, headsOf, readConfig, size, sparseLayers, sparseStepFields, unsupported } from './config.js';
import type { Family, ModelSpec } from './model.js';
import { NESTED_NAMES, textConfig } from './nested.js';
import type { Declarations } from './parameters.js';
import { readRotation, ropeFields } from './rope.js';
import { scoreRouter } from './router-scores.js';

const schema = z.object({
  ...decoderFields,
  ...ropeFields,
  ...sparseStepFields,
  intermediate_size: size,
  moe_intermediate_size: size,
  /** Published configs; newer ones have `num_local_experts`. */
  num_experts: size.optional(),
  num_local_experts: size.optional(),
  num_experts_per_tok: size,
  norm_topk_prob: z.boolean().default(false),
  attention_bias: z.boolean().default(false),
  use_sliding_window: z.literal(false).default(false),
  layer_types: z.array(z.literal('full_attention')).nullish(),
});

/** Qwen3-MoE (arXiv 2505.09388). Reference: transformers, models/qwen3_moe. */
export const qwen3Moe: Family = { modelType: 'qwen3_moe', describe: describeQwen3Moe };

/** The text of Qwen3-VL-MoE, whose weights are always renormalised. Reference: transformers, models/qwen3_vl_moe. */
export const qwen3VlMoe: Family = {
  modelType: 'qwen3_vl_moe',
  describe: (config, declare) =>
    describeQwen3Moe({ rope_theta: 5e5, ...textConfig(config), norm_topk_prob: true }, declare, NESTED_NAMES),
};

function describeQwen3Moe(config: JsonObject, declare: Declarations, names?: DecoderOptions['names']): ModelSpec {
  const c = readConfig(schema, config);
  const heads = headsOf(c);
  const { hidden, headSize } = heads;
  const rotate = rotary(declare, readRotation(c, { headSize, base: 1e4 }));
  const sparse = sparseLayers(c);
  const count = c.num_experts ?? c.num_local_experts ?? unsupported('num_experts', 'is missing');
  return decoder(declare, c, {
    names,
    norm: (name) => rmsNorm(declare, name, hidden, c.rms_norm_eps),
    attention: (prefix) =>
      groupedQueryAttention(declare, prefix, {
        ...heads,
        rotate,
        bias: c.attention_bias,
        outputBias: c.attention_bias,
        norm: { over: 'head', epsilon: c.rms_norm_eps },
      }),
    feedForward: (layer, l) => {
      const mlp = `${layer}.mlp`;
      if (!sparse(l)) return { dense: gatedFeedForward(declare, mlp, hidden, c.intermediate_size) };
      return {
        moe: mixtureOfExperts(declare, {
          hidden,
          width: c.moe_intermediate_size,
          count,
          router: scoreRouter({
            chosen: c.num_experts_per_tok,
            score: 'softmax',
            renormalise: c.norm_topk_prob ? {} : undefined,
          }),
          gate: `${mlp}.gate.weight`,
          ...separateExperts(`${mlp}.experts`, c.moe_intermediate_size),
        }),
      };
    },
  });
}
