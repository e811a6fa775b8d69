import { z } from 'zod';
import type { JsonObject } from '../weights/config.js';
import { readConfig, size, unsupported } from './config.js';
import { describeDeepseekV3 } from './deepseek-v3.js';
import { checkLayers } from './layer-kinds.js';
import type { Family } from './model.js';
import { tokenIndexers } from './sparse-attention.js';

const schema = z.object({
  num_hidden_layers: size,
  indexer_types: z.array(z.enum(['full', 'shared'])).nullish(),
  /** A letter for each layer, F or S; else each so many-th has an indexer, behind the first ones. */
  index_topk_pattern: z.union([z.string(), z.array(z.enum(['F', 'S']))]).nullish(),
  index_topk_freq: size.default(1),
  index_skip_topk_offset: z.int().nonnegative().default(2),
});

/**
 * GLM-5: DeepSeek-V3.2's layers in other sizes, of which some take what an earlier one's indexer chose. Reference:
 * transformers, models/glm_moe_dsa.
 */
export const glmMoeDsa: Family = {
  modelType: 'glm_moe_dsa',
  describe: (config, declare) =>
    describeDeepseekV3(config, declare, {
      indexer: tokenIndexers(config, declare, { interleaved: true, shares: sharingLayers(config) }),
    }),
};

/** Whether layer `l` has no indexer of its own. @throws FiddlerError `unsupported` */
function sharingLayers(config: JsonObject): (l: number) => boolean {
  const c = readConfig(schema, config);
  if (c.indexer_types) checkLayers('indexer_types', c.indexer_types, c.num_hidden_layers);
  if (c.indexer_types) return (l) => c.indexer_types![l] === 'shared';
  const pattern = c.index_topk_pattern && [...c.index_topk_pattern];
  if (pattern) {
    checkLayers('index_topk_pattern', pattern, c.num_hidden_layers);
    if (pattern.some((letter) => letter !== 'F' && letter !== 'S')) {
      unsupported('index_topk_pattern', 'has other letters than F and S');
    }
    return (l) => pattern[l] === 'S';
  }
  return (l) => l < c.num_hidden_layers && Math.max(l - c.index_skip_topk_offset + 1, 0) % c.index_topk_freq !== 0;
}
