import type { GgufArchitecture } from './architecture.js';
import { latentConfig } from './latent.js';
import { INDEXER_NAMES, indexerConfig } from './sparse.js';

/** DeepSeek-V3.2. */
export const deepseek32: GgufArchitecture = {
  name: 'deepseek32',
  names: INDEXER_NAMES,
  config: (keys) => ({ ...latentConfig(keys), ...indexerConfig(keys), model_type: 'deepseek_v32' }),
};
