import { z } from 'zod';
import type { JsonObject } from '../weights/config.js';
import { rotary } from './blocks/rotary.js';
import { type LatentIndexer, type SharedChoice, sharedIndexer, tokenIndexer } from './blocks/token-indexer.js';
import { readConfig, size, unsupported } from './config.js';
import type { Declarations } from './parameters.js';
import { readRotation, ropeFields } from './rope.js';

const schema = z.object({
  ...ropeFields,
  max_position_embeddings: size,
  hidden_size: size,
  q_lora_rank: size.nullish(),
  qk_rope_head_dim: size,
  index_n_heads: size.max(4096),
  index_head_dim: size,
  index_topk: size,
});

/**
 * What the config says of DeepSeek-V3.2's indexers: that of each layer, by the prefix of its attention.
 * @param interleaved pairs of dimensions that are rotated are neighbours
 * @param shares layer `l` takes what the last layer before it chose that has an indexer
 * @throws FiddlerError `unsupported`
 */
export function tokenIndexers(
  config: JsonObject,
  declare: Declarations,
  { interleaved, shares = () => false }: { interleaved: boolean; shares?: (l: number) => boolean },
): (prefix: string, l: number) => LatentIndexer {
  const c = readConfig(schema, config);
  const { qk_rope_head_dim: rotated, index_head_dim: headSize } = c;
  if (headSize < rotated) unsupported('index_head_dim', `is ${headSize}, less than the ${rotated} that are rotated`);
  const rotation = readRotation({ ...c, rope_interleave: interleaved }, { headSize: rotated, base: 1e4 });
  const rotate = rotary(declare, rotation);
  let last: SharedChoice | undefined;
  return (prefix, l) => {
    if (shares(l)) {
      return sharedIndexer(last ?? unsupported('indexer_types', `says that layer ${l} shares what no layer chose`));
    }
    const indexer = tokenIndexer(
      declare,
      `${prefix}.indexer`,
      {
        hidden: c.hidden_size,
        queryRank: c.q_lora_rank ?? unsupported('q_lora_rank', 'is missing'),
        heads: c.index_n_heads,
        headSize,
        kept: c.index_topk,
        rotate,
      },
      shares(l + 1),
    );
    last = indexer.shared;
    return indexer.choose;
  };
}
