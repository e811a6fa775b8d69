import { z } from 'zod';
import { groupedQueryAttention } from './blocks/attention.js';
import { decoder } from './blocks/decoder.js';
import { lossFreeExperts } from './blocks/loss-free-moe.js';
import { rmsNorm } from './blocks/norm.js';
import { rotary } from './blocks/rotary.js';
import { decoderFields, headsOf, readConfig, size } from './config.js';
import type { Family } from './model.js';
import { readRotation, ropeFields } from './rope.js';

const schema = z.object({
  ...decoderFields,
  ...ropeFields,
  /** Published configs; newer ones have `partial_rotary_factor`. */
  rotary_dim: size.nullish(),
  intermediate_size: size,
  num_local_experts: size,
  num_experts_per_tok: size,
  scoring_func: z.literal('sigmoid').nullish(),
  use_routing_bias: z.literal(true).nullish(),
  use_qk_norm: z.literal(true).nullish(),
  qk_norm_type: z.literal('per_layer').nullish(),
  attn_type_list: z.array(z.literal(1)).nullish(),
  shared_intermediate_size: z.literal(0).nullish(),
  sliding_window: z.literal(null).optional(),
});

/** MiniMax-M2. Reference: transformers, models/minimax_m2. */
export const minimaxM2: Family = {
  modelType: 'minimax_m2',
  describe(config, declare) {
    const c = readConfig(schema, config);
    const heads = headsOf(c);
    const { hidden, headSize } = heads;
    const part = c.partial_rotary_factor ?? (c.rotary_dim ?? headSize) / headSize;
    const rotate = rotary(declare, readRotation({ ...c, partial_rotary_factor: part }, { headSize, base: 5e6 }));
    return decoder(declare, c, {
      norm: (name) => rmsNorm(declare, name, hidden, c.rms_norm_eps),
      attention: (prefix) =>
        groupedQueryAttention(declare, prefix, {
          ...heads,
          rotate,
          norm: { over: 'width', epsilon: c.rms_norm_eps },
        }),
      feedForward: (layer) =>
        lossFreeExperts(declare, `${layer}.block_sparse_moe`, {
          hidden,
          width: c.intermediate_size,
          shared: 0,
          count: c.num_local_experts,
          chosen: c.num_experts_per_tok,
          renormalise: {},
          names: { correction: 'e_score_correction_bias' },
          projections: ['w1', 'w3', 'w2'],
        }),
    });
  },
};
