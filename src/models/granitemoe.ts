import { z } from 'zod';
import { groupedQueryAttention } from './blocks/attention.js';
import { decoder } from './blocks/decoder.js';
import { fusedExperts, mixtureOfExperts } from './blocks/moe.js';
import { rmsNorm } from './blocks/norm.js';
import { rotary } from './blocks/rotary.js';
import { decoderFields, headsOf, readConfig, size } from './config.js';
import type { Family } from './model.js';
import { readRotation, ropeFields } from './rope.js';
import { softmaxOverChosen } from './router.js';

/** What configs of Granite's models with experts have in common. */
export const graniteFields = {
  ...decoderFields,
  ...ropeFields,
  intermediate_size: size,
  num_experts_per_tok: size,
  num_local_experts: size,
  attention_bias: z.boolean().default(false),
  attention_multiplier: z.number().default(1),
  embedding_multiplier: z.number().default(1),
  residual_multiplier: z.number().default(1),
  logits_scaling: z.number().positive().default(1),
};

const schema = z.object({
  ...graniteFields,
  position_embedding_type: z.literal('rope').nullish(),
});

/** Granite 3 MoE (IBM, Granite 3.0 Language Models). Reference: transformers, models/granitemoe. */
export const graniteMoe: Family = {
  modelType: 'granitemoe',
  describe(config, declare) {
    const c = readConfig(schema, config);
    const heads = headsOf(c);
    const { hidden, headSize } = heads;
    const rotate = rotary(declare, readRotation(c, { headSize, base: 1e4 }));
    return decoder(declare, c, {
      embeddingScale: c.embedding_multiplier,
      logitScale: 1 / c.logits_scaling,
      norm: (name) => rmsNorm(declare, name, hidden, c.rms_norm_eps),
      attention: (prefix) =>
        groupedQueryAttention(declare, prefix, {
          ...heads,
          rotate,
          bias: c.attention_bias,
          outputBias: c.attention_bias,
          scale: c.attention_multiplier,
          outputScale: c.residual_multiplier,
        }),
      feedForward: (layer) => ({
        moe: mixtureOfExperts(declare, {
          hidden,
          width: c.intermediate_size,
          count: c.num_local_experts,
          // What the layer adds is multiplied as a whole in the reference; here each expert's weight is.
          router: softmaxOverChosen(c.num_experts_per_tok, { scale: c.residual_multiplier }),
          gate: `${layer}.block_sparse_moe.router.layer.weight`,
          matrices: fusedExperts(
            `${layer}.block_sparse_moe.input_linear.weight`,
            `${layer}.block_sparse_moe.output_linear.weight`,
            c.intermediate_size,
          ),
        }),
      }),
    });
  },
};
