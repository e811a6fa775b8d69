import { FiddlerError } from '../errors.js';
import type { JsonObject } from '../weights/config.js';
import { afmoe } from './afmoe.js';
import { cohere2Moe } from './cohere2-moe.js';
import { deepseek } from './deepseek.js';
import { deepseekV2 } from './deepseek-v2.js';
import { deepseekV3 } from './deepseek-v3.js';
import { deepseekV4 } from './deepseek-v4.js';
import { deepseekV32 } from './deepseek-v32.js';
import { dots1 } from './dots1.js';
import { ernie45Moe } from './ernie4-5-moe.js';
import { exaoneMoe } from './exaone-moe.js';
import { gemma4 } from './gemma4.js';
import { glmMoeDsa } from './glm-moe-dsa.js';
import { glm4Moe } from './glm4-moe.js';
import { glm4MoeLite } from './glm4-moe-lite.js';
import { gptOss } from './gpt-oss.js';
import { graniteMoe } from './granitemoe.js';
import { graniteMoeHybrid } from './granitemoehybrid.js';
import { hunyuanV1Moe } from './hunyuan-v1-moe.js';
import { hyV3 } from './hy-v3.js';
import { kimiK2, kimiK25 } from './kimi-k2.js';
import { kimiLinear } from './kimi-linear.js';
import { laguna } from './laguna.js';
import { lfm2Moe } from './lfm2-moe.js';
import { mimoV2Flash } from './mimo-v2-flash.js';
import { minimaxM2 } from './minimax-m2.js';
import { mistral4 } from './mistral4.js';
import { mixtral } from './mixtral.js';
import type { Family } from './model.js';
import { nemotronH } from './nemotron-h.js';
import { olmoe } from './olmoe.js';
import { openMoe } from './openmoe.js';
import { phimoe } from './phimoe.js';
import { qwen2Moe } from './qwen2-moe.js';
import { qwen35Moe } from './qwen3-5-moe.js';
import { qwen3Moe, qwen3VlMoe } from './qwen3-moe.js';
import { qwen3Next } from './qwen3-next.js';
import { qwen4Exp } from './qwen4-exp.js';
import { solarOpen } from './solar-open.js';
import { switchTransformers } from './switch-transformers.js';

/** Every family that this engine runs. */
export const FAMILIES: readonly Family[] = [
  mixtral,
  qwen2Moe,
  qwen3Moe,
  qwen3VlMoe,
  olmoe,
  phimoe,
  deepseek,
  deepseekV2,
  deepseekV3,
  deepseekV32,
  deepseekV4,
  glmMoeDsa,
  gptOss,
  graniteMoe,
  glm4Moe,
  ernie45Moe,
  openMoe,
  dots1,
  exaoneMoe,
  glm4MoeLite,
  hunyuanV1Moe,
  hyV3,
  laguna,
  mimoV2Flash,
  minimaxM2,
  solarOpen,
  kimiK2,
  kimiK25,
  kimiLinear,
  mistral4,
  afmoe,
  gemma4,
  cohere2Moe,
  qwen3Next,
  qwen35Moe,
  qwen4Exp,
  lfm2Moe,
  graniteMoeHybrid,
  nemotronH,
  switchTransformers,
];

/** `model_type` of the text in a config of more. */
function textType({ text_config: text }: JsonObject): unknown {
  return typeof text === 'object' && text !== null && 'model_type' in text ? text.model_type : undefined;
}

/** The family that config.json names. @throws FiddlerError `unsupported`, listing those that are there */
export function familyOf(config: JsonObject): Family {
  const { model_type, architectures } = config;
  const family = FAMILIES.find(
    ({ modelType, within, architecture }) =>
      (modelType === model_type || (within !== undefined && within === model_type && modelType === textType(config))) &&
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
