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
import { openMoe } from './openmoe.js';
import { phimoe } from './phimoe.js';
import { qwen2Moe } from './qwen2-moe.js';
import { qwen3Moe } from './qwen3-moe.js';
import { switchTransformers } from './switch-transformers.js';

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
  openMoe,
  switchTransformers,
];

/** The family that config.json names. @throws FiddlerError `unsupported`, listing those that are there */
export function familyOf(config: JsonObject): Family {
  const { model_type, architectures } = config;
  const family = FAMILIES.find(
    ({ modelType, architecture }) =>
      modelType === model_type &&
      (!architecture || (Array.isArray(architectures) && architectures.includes(architecture))),
  );
  if (!family) {
    const nameOf = (f: Family) => (f.architecture ? `${f.modelType} (${f.architecture})` : f.modelType);
    const known = FAMILIES.map(nameOf).join(', ');
    const named = `model_type ${JSON.stringify(model_type)} and architectures ${JSON.stringify(architectures)}`;
    const problem = `config.json names ${named}, which is not supported`;
    throw new FiddlerError('unsupported', problem, `use a model of one of: ${known}`);
  }
  return family;
}
