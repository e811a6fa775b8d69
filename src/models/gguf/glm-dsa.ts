import type { GgufArchitecture } from './architecture.js';
import type { GgufKeys } from './keys.js';
import { latentConfig } from './latent.js';
import { INDEXER_NAMES, indexerConfig } from './sparse.js';

/** GLM-5; files of 5.0 and 5.1, in which every layer has an indexer, do not list which do. */
export const glmDsa: GgufArchitecture = {
  name: 'glm-dsa',
  names: INDEXER_NAMES,
  config: (keys) => ({
    ...latentConfig(keys),
    ...indexerConfig(keys),
    model_type: 'glm_moe_dsa',
    indexer_types: indexerTypes(keys),
  }),
};

function indexerTypes(keys: GgufKeys): string[] {
  const own = keys.flags('attention.indexer.types');
  return Array.from({ length: keys.layers }, (_, l) => (own?.[l] === false ? 'shared' : 'full'));
}
