import { z } from 'zod';
import { groupedQueryAttention } from './blocks/attention.js';
import { decoder } from './blocks/decoder.js';
import { mixtureOfExperts, separateExperts } from './blocks/moe.js';
import { layerNorm } from './blocks/norm.js';
import { rotary } from './blocks/rotary.js';
import { decoderFields, headsOf, readConfig, size } from './config.js';
import type { Family } from './model.js';
import { readRotation, ropeFields } from './rope.js';
import { sparseMixer } from './router-sparsemixer.js';

const schema = z.object({
  ...decoderFields,
  ...ropeFields,
  intermediate_size: size,
  num_experts_per_tok: z.literal(2).default(2),
  num_local_experts: size,
  router_jitter_noise: z.number().nonnegative().default(0.01),
  attention_bias: z.boolean().default(false),
  lm_head_bias: z.boolean().default(false),
  sliding_window: size.nullish(),
});

/** Phi-3.5-MoE (arXiv 2404.14219; its router: GRIN, arXiv 2409.12136). Reference: transformers, models/phimoe. */
export const phimoe: Family = {
  modelType: 'phimoe',
  renamings: [
    ['.block_sparse_moe.gate.', '.mlp.router.'],
    ['.block_sparse_moe.', '.mlp.'],
  ],
  describe(config, declare) {
    const c = readConfig(schema, config);
    const heads = headsOf(c);
    const { hidden, headSize } = heads;
    const rotate = rotary(declare, readRotation(c, { headSize, base: 1e6 }));
    return decoder(declare, c, {
      headBias: c.lm_head_bias,
      norm: (name) => layerNorm(declare, name, hidden, c.rms_norm_eps),
      attention: (prefix) =>
        groupedQueryAttention(declare, prefix, {
          ...heads,
          rotate,
          bias: c.attention_bias,
          outputBias: c.attention_bias,
          window: c.sliding_window ?? undefined,
        }),
      feedForward: (layer) => ({
        moe: mixtureOfExperts(declare, {
          hidden,
          width: c.intermediate_size,
          count: c.num_local_experts,
          router: sparseMixer(c.num_experts_per_tok, c.router_jitter_noise),
          gate: `${layer}.block_sparse_moe.gate.weight`,
          ...separateExperts(`${layer}.block_sparse_moe.experts`, c.intermediate_size, ['w1', 'w3', 'w2']),
        }),
      }),
    });
  },
};
