import { describeDeepseekV3 } from './deepseek-v3.js';
import type { Family } from './model.js';

/** GLM-4.7-Flash: DeepSeek-V3's layers in a small size. Reference: transformers, models/glm4_moe_lite. */
export const glm4MoeLite: Family = {
  modelType: 'glm4_moe_lite',
  describe: (config, declare) => describeDeepseekV3(config, declare),
};
