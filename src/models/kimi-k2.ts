import { describeDeepseekV3 } from './deepseek-v3.js';
import type { Family } from './model.js';
import { textConfig } from './nested.js';

/** Kimi K2 (arXiv 2507.20534): DeepSeek-V3's layers with other sizes. Reference: its published modeling_deepseek.py. */
export const kimiK2: Family = {
  modelType: 'kimi_k2',
  describe: (config, declare) => describeDeepseekV3(config, declare),
};

/** The language model of Kimi K2.5, without what sees pictures. */
export const kimiK25: Family = {
  modelType: 'kimi_k25',
  describe: (config, declare) =>
    describeDeepseekV3(textConfig(config), declare, {
      names: { model: 'language_model.model', head: 'language_model.lm_head' },
    }),
};
