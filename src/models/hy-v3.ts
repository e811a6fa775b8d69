import { z } from 'zod';
import { groupedQueryAttention } from './blocks/attention.js';
import { decoder } from './blocks/decoder.js';
import { gatedFeedForward } from './blocks/feed-forward.js';
import { lossFreeExperts } from './blocks/loss-free-moe.js';
import { rmsNorm } from './blocks/norm.js';
import { rotary } from './blocks/rotary.js';
import { decoderFields, headsOf, readConfig, refuseUnless, size, unsupported } from './config.js';
import { denseFields, denseLayers } from './layer-kinds.js';
import type { Family } from './model.js';
import { readRotation, ropeFields } from './rope.js';

const schema = z.object({
  ...decoderFields,
  ...ropeFields,
  ...denseFields,
  intermediate_size: size,
  moe_intermediate_size: size.nullish(),
  /** What some configs have instead of that. */
  expert_hidden_dim: size.nullish(),
  num_experts: size,
  num_shared_experts: z.int().nonnegative().default(1),
  num_experts_per_tok: size,
  route_norm: z.literal(true).nullish(),
  router_scaling_factor: z.number(),
  moe_router_use_sigmoid: z.literal(true).nullish(),
  moe_router_enable_expert_bias: z.literal(true).nullish(),
  attention_bias: z.literal(false).default(false),
  mlp_bias: z.literal(false).default(false),
  qk_norm: z.literal(true).nullish(),
});

/** Hy3 (Tencent). Reference: transformers, models/hy_v3. */
export const hyV3: Family = {
  modelType: 'hy_v3',
  describe(config, declare) {
    const c = readConfig(schema, config);
    const heads = headsOf(c);
    const { hidden, headSize } = heads;
    const rotate = rotary(declare, readRotation(c, { headSize, base: 11_158_840 }));
    const dense = denseLayers(c);
    const width = c.moe_intermediate_size ?? c.expert_hidden_dim ?? unsupported('moe_intermediate_size', 'is missing');
    refuseUnless(
      (c.expert_hidden_dim ?? width) === width,
      'expert_hidden_dim',
      `is not moe_intermediate_size, ${width}`,
    );
    return decoder(declare, c, {
      norm: (name) => rmsNorm(declare, name, hidden, c.rms_norm_eps),
      attention: (prefix) =>
        groupedQueryAttention(declare, prefix, {
          ...heads,
          rotate,
          norm: { over: 'head', epsilon: c.rms_norm_eps },
        }),
      feedForward: (layer, l) =>
        dense(l)
          ? { dense: gatedFeedForward(declare, `${layer}.mlp`, hidden, c.intermediate_size) }
          : lossFreeExperts(declare, `${layer}.mlp`, {
              hidden,
              width,
              shared: c.num_shared_experts * width,
              count: c.num_experts,
              chosen: c.num_experts_per_tok,
              renormalise: { epsilon: 1e-20 },
              scale: c.router_scaling_factor,
              names: { gate: 'router.gate.weight', correction: 'expert_bias', shared: 'shared_mlp' },
            }),
    });
  },
};
