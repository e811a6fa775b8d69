import { z } from 'zod';
import type { JsonObject } from '../weights/config.js';
import { type DecoderOptions, decoder } from './blocks/decoder.js';
import { gatedFeedForward } from './blocks/feed-forward.js';
import { lossFreeExperts, lossFreeFields, lossFreeOptions } from './blocks/loss-free-moe.js';
import { latentAttention } from './blocks/mla.js';
import { rmsNorm } from './blocks/norm.js';
import { rotary } from './blocks/rotary.js';
import type { LatentIndexer } from './blocks/token-indexer.js';
import { decoderFields, readConfig, size } from './config.js';
import { latentFields, latentHeadsOf } from './latent.js';
import { denseFields, denseLayers } from './layer-kinds.js';
import type { Family, ModelSpec } from './model.js';
import type { Declarations } from './parameters.js';
import { readRotation, ropeFields } from './rope.js';

const schema = z.object({
  ...decoderFields,
  ...ropeFields,
  ...latentFields,
  ...lossFreeFields,
  ...denseFields,
  intermediate_size: size,
  n_routed_experts: size,
  n_shared_experts: size,
  moe_layer_freq: z.literal(1).default(1),
});

/**
 * DeepSeek-V3 (arXiv 2412.19437). The layers behind `num_hidden_layers`, which predict further tokens, are left out.
 * Reference: transformers, models/deepseek_v3.
 */
export const deepseekV3: Family = {
  modelType: 'deepseek_v3',
  describe: (config, declare) => describeDeepseekV3(config, declare),
};

/** What others have than DeepSeek-V3. */
export interface DeepseekV3Layout {
  names?: DecoderOptions['names'];
  /** Has tokens of layer `l` attend to some of those before them. @param prefix `model.layers.${l}.self_attn` */
  indexer?(prefix: string, l: number): LatentIndexer;
}

/** What several families share with DeepSeek-V3: all of it but the sizes. @throws FiddlerError `file` or `unsupported` */
export function describeDeepseekV3(
  config: JsonObject,
  declare: Declarations,
  { names, indexer }: DeepseekV3Layout = {},
): ModelSpec {
  const c = readConfig(schema, config);
  const hidden = c.hidden_size;
  const rotation = { headSize: c.qk_rope_head_dim, interleaved: true, base: 1e4 };
  const rotate = rotary(declare, readRotation(c, rotation));
  const dense = denseLayers(c);
  const experts = lossFreeOptions(c, { experts: c.n_routed_experts, shared: c.n_shared_experts });
  return decoder(declare, c, {
    names,
    norm: (name) => rmsNorm(declare, name, hidden, c.rms_norm_eps),
    attention: (prefix, l) =>
      latentAttention(declare, prefix, { ...latentHeadsOf(c), rotate, indexer: indexer?.(prefix, l) }),
    feedForward: (layer, l) =>
      dense(l)
        ? { dense: gatedFeedForward(declare, `${layer}.mlp`, hidden, c.intermediate_size) }
        : lossFreeExperts(declare, `${layer}.mlp`, experts),
  });
}
