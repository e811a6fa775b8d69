import { FiddlerError } from '../errors.js';
import type { JsonObject } from '../weights/config.js';
import { deepseek } from './deepseek.js';
import { deepseekV2 } from './deepseek-v2.js';
import { deepseekV3 } from './deepseek-v3.js';
import { ernie45Moe } from './ernie4-5-moe.js';
import { glm4Moe } from './glm4-moe.js';
import { gptOss } from './gpt-oss.js';
import { graniteMoe } from './granitemoe.js';
import { mixtral } from './mixtral.js';
import type { Family } from './model.js';
import { olmoe } from './olmoe.js';
import { phimoe } from './phimoe.js';
import { qwen2Moe } from './qwen2-moe.js';
import { qwen3Moe } from './qwen3-moe.js';

/** Every family that this engine runs. */
export const FAMILIES: readonly Family[] = [
  mixtral,
  qwen2Moe,
  qwen3Moe,
  olmoe,
  phimoe,
  deepseek,
  deepseekV2,
  deepseekV3,
  gptOss,
  graniteMoe,
  glm4Moe,
  ernie45Moe,
];

/** The family that config.json names. @throws FiddlerError `unsupported`, listing those that are there */
export function familyOf(config: JsonObject): Family {
  const family = FAMILIES.find((f) => f.modelType === config.model_type);
  if (!family) {
    const known = FAMILIES.map((f) => f.modelType).join(', ');
    const problem = `config.json names model_type ${JSON.stringify(config.model_type)}, which is not supported`;
    throw new FiddlerError('unsupported', problem, `use a model of one of: ${known}`);
  }
  return family;
}
