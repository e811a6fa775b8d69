import { z } from 'zod';
import { groupedQueryAttention } from './blocks/attention.js';
import { decoder } from './blocks/decoder.js';
import { gatedFeedForward } from './blocks/feed-forward.js';
import { lossFreeExperts, lossFreeFields, lossFreeOptions } from './blocks/loss-free-moe.js';
import { rmsNorm } from './blocks/norm.js';
import { rotary } from './blocks/rotary.js';
import { decoderFields, headsOf, readConfig, size } from './config.js';
import { denseFields, denseLayers, slidingFields, slidingWindows } from './layer-kinds.js';
import type { Family } from './model.js';
import { readRotation, ropeFields } from './rope.js';

const schema = z.object({
  ...decoderFields,
  ...ropeFields,
  ...lossFreeFields,
  ...denseFields,
  ...slidingFields,
  intermediate_size: size,
  n_routed_experts: size,
  n_shared_experts: z.int().nonnegative().nullish(),
  moe_layer_freq: z.literal(1).default(1),
  attention_bias: z.boolean().default(false),
  /** Where layers are not listed and there is a window, those from here on have it. */
  max_window_layers: z.int().nonnegative().default(62),
});

/** dots.llm1 (arXiv 2506.05767). Reference: transformers, models/dots1. */
export const dots1: Family = {
  modelType: 'dots1',
  describe(config, declare) {
    const c = readConfig(schema, config);
    const heads = headsOf(c);
    const { hidden, headSize } = heads;
    const rotate = rotary(declare, readRotation(c, { headSize, base: 1e4 }));
    const [dense, window] = [
      denseLayers(c),
      slidingWindows(c, (l) => Boolean(c.sliding_window) && l >= c.max_window_layers),
    ];
    const experts = lossFreeOptions(c, { experts: c.n_routed_experts, shared: c.n_shared_experts ?? 0 });
    return decoder(declare, c, {
      norm: (name) => rmsNorm(declare, name, hidden, c.rms_norm_eps),
      attention: (prefix, l) =>
        groupedQueryAttention(declare, prefix, {
          ...heads,
          rotate,
          bias: c.attention_bias,
          outputBias: c.attention_bias,
          norm: { over: 'head', epsilon: c.rms_norm_eps },
          window: window(l),
        }),
      feedForward: (layer, l) =>
        dense(l)
          ? { dense: gatedFeedForward(declare, `${layer}.mlp`, hidden, c.intermediate_size) }
          : lossFreeExperts(declare, `${layer}.mlp`, experts),
    });
  },
};
