import { z } from 'zod';
import { groupedQueryAttention } from './blocks/attention.js';
import { decoder } from './blocks/decoder.js';
import { mixtureOfExperts, separateExperts } from './blocks/moe.js';
import { rmsNorm } from './blocks/norm.js';
import { rotary } from './blocks/rotary.js';
import { decoderFields, headsOf, readConfig, size } from './config.js';
import type { Family } from './model.js';
import { readRotation, ropeFields } from './rope.js';
import { softmaxOverChosen } from './router.js';

const schema = z.object({
  ...decoderFields,
  ...ropeFields,
  intermediate_size: size,
  num_experts_per_tok: size,
  num_local_experts: size,
  sliding_window: size.nullish(),
});

/** Mixtral of Experts (arXiv 2401.04088). Reference: transformers, models/mixtral. */
export const mixtral: Family = {
  modelType: 'mixtral',
  renamings: [['.block_sparse_moe.', '.mlp.']],
  describe(config, declare) {
    const c = readConfig(schema, config);
    const heads = headsOf(c);
    const { hidden, headSize } = heads;
    const rotate = rotary(declare, readRotation(c, { headSize, base: 1e6 }));
    return decoder(declare, c, {
      norm: (name) => rmsNorm(declare, name, hidden, c.rms_norm_eps),
      attention: (prefix) =>
        groupedQueryAttention(declare, prefix, {
          ...heads,
          rotate,
          window: c.sliding_window ?? undefined,
        }),
      feedForward: (layer) => ({
        moe: mixtureOfExperts(declare, {
          hidden,
          width: c.intermediate_size,
          count: c.num_local_experts,
          router: softmaxOverChosen(c.num_experts_per_tok),
          gate: `${layer}.block_sparse_moe.gate.weight`,
          ...separateExperts(`${layer}.block_sparse_moe.experts`, c.intermediate_size, ['w1', 'w3', 'w2']),
        }),
      }),
    });
  },
};
