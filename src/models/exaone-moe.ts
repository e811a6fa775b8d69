import { z } from 'zod';
import { groupedQueryAttention } from './blocks/attention.js';
import { decoder } from './blocks/decoder.js';
import { gatedFeedForward } from './blocks/feed-forward.js';
import { lossFreeExperts, lossFreeFields, lossFreeOptions } from './blocks/loss-free-moe.js';
import { rmsNorm } from './blocks/norm.js';
import { rotary } from './blocks/rotary.js';
import { decoderFields, headsOf, readConfig, refuseUnless, size } from './config.js';
import { checkLayers, denseFields, denseLayers, slidingFields, slidingWindows } from './layer-kinds.js';
import type { Family } from './model.js';
import { readRotation, ropeFields } from './rope.js';

const schema = z.object({
  ...decoderFields,
  ...ropeFields,
  ...lossFreeFields,
  ...denseFields,
  ...slidingFields,
  /** Every so many layers one looks at all tokens, where `layer_types` does not list them; or a word of L and G. */
  sliding_window_pattern: z.union([size, z.string().regex(/^[LG]+$/)]).nullish(),
  /** Instead of `mlp_layer_types`, or of `first_k_dense_replace`. */
  is_moe_layer: z.array(z.boolean()).nullish(),
  first_last_k_dense_replace: z.int().nonnegative().nullish(),
  intermediate_size: size,
  num_experts: size,
  num_shared_experts: z.int().nonnegative(),
});

/**
 * K-EXAONE (LG AI Research, K-EXAONE Technical Report). Layers that look at all tokens know no positions. Reference:
 * transformers, models/exaone_moe.
 */
export const exaoneMoe: Family = {
  modelType: 'exaone_moe',
  describe(config, declare) {
    const c = readConfig(schema, config);
    const heads = headsOf(c);
    const { hidden, headSize } = heads;
    const rotate = rotary(declare, readRotation(c, { headSize, base: 1e6 }));
    const [dense, window] = [denseOf(c), slidingWindows(c, patternOf(c))];
    const experts = lossFreeOptions(c, { experts: c.num_experts, shared: c.num_shared_experts });
    return decoder(declare, c, {
      norm: (name) => rmsNorm(declare, name, hidden, c.rms_norm_eps),
      attention: (prefix, l) =>
        groupedQueryAttention(declare, prefix, {
          ...heads,
          rotate: window(l) === undefined ? undefined : rotate,
          norm: { over: 'head', epsilon: c.rms_norm_eps },
          window: window(l),
        }),
      feedForward: (layer, l) =>
        dense(l)
          ? { dense: gatedFeedForward(declare, `${layer}.mlp`, hidden, c.intermediate_size) }
          : lossFreeExperts(declare, `${layer}.mlp`, { ...experts, names: { correction: 'e_score_correction_bias' } }),
    });
  },
};

/** Whether layer `l` has a dense feed-forward. @throws FiddlerError `unsupported` */
function denseOf(c: z.infer<typeof schema>): (l: number) => boolean {
  const { is_moe_layer: sparse, num_hidden_layers: layers } = c;
  if (c.mlp_layer_types || !sparse) {
    return denseLayers({ ...c, first_k_dense_replace: c.first_k_dense_replace ?? c.first_last_k_dense_replace });
  }
  checkLayers('is_moe_layer', sparse.slice(0, layers), layers);
  return (l) => !sparse[l];
}

/** Whether layer `l` slides by the pattern. @throws FiddlerError `unsupported` */
function patternOf({ sliding_window_pattern: pattern, layer_types }: z.infer<typeof schema>): (l: number) => boolean {
  refuseUnless(Boolean(pattern ?? layer_types), 'layer_types', 'is missing, and so is sliding_window_pattern');
  if (typeof pattern === 'string') return (l) => pattern[l % pattern.length] === 'L';
  return (l) => (l + 1) % pattern! !== 0;
}
