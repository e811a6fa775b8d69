import { AFMOE } from './afmoe.js';
import { COHERE2_MOE } from './cohere2-moe.js';
import { DEEPSEEK } from './deepseek.js';
import { DEEPSEEK_V2 } from './deepseek-v2.js';
import { DEEPSEEK_V3 } from './deepseek-v3.js';
import { DEEPSEEK_V4 } from './deepseek-v4.js';
import { DEEPSEEK_V32 } from './deepseek-v32.js';
import { DOTS1 } from './dots1.js';
import { ERNIE4_5_MOE } from './ernie4-5-moe.js';
import { EXAONE_MOE } from './exaone-moe.js';
import { GEMMA4 } from './gemma4.js';
import { GLM_MOE_DSA } from './glm-moe-dsa.js';
import { GLM4_MOE } from './glm4-moe.js';
import { GLM4_MOE_LITE } from './glm4-moe-lite.js';
import { GPT_OSS } from './gpt-oss.js';
import { GRANITEMOE } from './granitemoe.js';
import { GRANITEMOEHYBRID } from './granitemoehybrid.js';
import { HUNYUAN_V1_MOE } from './hunyuan-v1-moe.js';
import { HY_V3 } from './hy-v3.js';
import { KIMI_K2 } from './kimi-k2.js';
import { KIMI_LINEAR } from './kimi-linear.js';
import { LAGUNA } from './laguna.js';
import { LFM2_MOE } from './lfm2-moe.js';
import { MIMO_V2_FLASH } from './mimo-v2-flash.js';
import { MINIMAX_M2 } from './minimax-m2.js';
import { MISTRAL4 } from './mistral4.js';
import { MIXTRAL } from './mixtral.js';
import { NEMOTRON_H } from './nemotron-h.js';
import { OLMOE } from './olmoe.js';
import { OPENMOE } from './openmoe.js';
import { PHIMOE } from './phimoe.js';
import { QWEN2_MOE } from './qwen2-moe.js';
import { QWEN3_5_MOE } from './qwen3-5-moe.js';
import { QWEN3_MOE } from './qwen3-moe.js';
import { QWEN3_NEXT } from './qwen3-next.js';
import { QWEN3_VL_MOE } from './qwen3-vl-moe.js';
import { QWEN4_EXP } from './qwen4-exp.js';
import type { Shapes } from './shapes.js';
import { SOLAR_OPEN } from './solar-open.js';
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
  ...DEEPSEEK_V32,
  ...DEEPSEEK_V4,
  ...GLM_MOE_DSA,
  ...GPT_OSS,
  ...GRANITEMOE,
  ...GLM4_MOE,
  ...ERNIE4_5_MOE,
  ...OPENMOE,
  ...DOTS1,
  ...EXAONE_MOE,
  ...GLM4_MOE_LITE,
  ...HUNYUAN_V1_MOE,
  ...HY_V3,
  ...KIMI_K2,
  ...KIMI_LINEAR,
  ...LAGUNA,
  ...MIMO_V2_FLASH,
  ...MINIMAX_M2,
  ...SOLAR_OPEN,
  ...MISTRAL4,
  ...QWEN3_VL_MOE,
  ...AFMOE,
  ...COHERE2_MOE,
  ...GEMMA4,
  ...QWEN3_NEXT,
  ...QWEN3_5_MOE,
  ...QWEN4_EXP,
  ...LFM2_MOE,
  ...GRANITEMOEHYBRID,
  ...NEMOTRON_H,
  ...SWITCH_TRANSFORMERS,
};
