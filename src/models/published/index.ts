import { DEEPSEEK } from './deepseek.js';
import { DEEPSEEK_V2 } from './deepseek-v2.js';
import { DEEPSEEK_V3 } from './deepseek-v3.js';
import { ERNIE4_5_MOE } from './ernie4-5-moe.js';
import { GLM4_MOE } from './glm4-moe.js';
import { GPT_OSS } from './gpt-oss.js';
import { GRANITEMOE } from './granitemoe.js';
import { MIXTRAL } from './mixtral.js';
import { OLMOE } from './olmoe.js';
import { OPENMOE } from './openmoe.js';
import { PHIMOE } from './phimoe.js';
import { QWEN2_MOE } from './qwen2-moe.js';
import { QWEN3_MOE } from './qwen3-moe.js';
import type { Shapes } from './shapes.js';
import { SWITCH_TRANSFORMERS } from './switch-transformers.js';

/** Shapes of published models, as their config.json has them: what `--synthetic` runs without any weights. */
export const PUBLISHED: Shapes = {
  ...MIXTRAL,
  ...QWEN2_MOE,
  ...QWEN3_MOE,
  ...OLMOE,
  ...PHIMOE,
  ...DEEPSEEK,
  ...DEEPSEEK_V2,
  ...DEEPSEEK_V3,
  ...GPT_OSS,
  ...GRANITEMOE,
  ...GLM4_MOE,
  ...ERNIE4_5_MOE,
  ...OPENMOE,
  ...SWITCH_TRANSFORMERS,
};
