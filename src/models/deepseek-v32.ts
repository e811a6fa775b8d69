import { describeDeepseekV3 } from './deepseek-v3.js';
import type { Family } from './model.js';
import { tokenIndexers } from './sparse-attention.js';

/**
 * DeepSeek-V3.2 (arXiv 2512.02556): DeepSeek-V3 whose tokens attend to what an indexer chooses, which rotates halves of its
 * heads where attention rotates neighbours. Reference: transformers, models/deepseek_v32.
 */
export const deepseekV32: Family = {
  modelType: 'deepseek_v32',
  describe: (config, declare) =>
    describeDeepseekV3(config, declare, { indexer: tokenIndexers(config, declare, { interleaved: false }) }),
};
