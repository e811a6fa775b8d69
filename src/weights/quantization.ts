import { z } from 'zod';
import { FiddlerError } from '../errors.js';
import type { ScaleBlock } from './checkpoint.js';
import { type JsonObject, validate } from './config.js';

export interface Quantization {
  /** Of FP8 matrices. */
  scaleBlock?: ScaleBlock;
}

const schema = z.object({ quantization_config: z.looseObject({ quant_method: z.string().optional() }).nullish() });

/** FP8 as DeepSeek-V3 is published (arXiv 2412.19437, section 3.3). */
const fp8 = z.object({
  fmt: z.literal('e4m3').default('e4m3'),
  weight_block_size: z.tuple([z.int().positive(), z.int().positive()]),
});

/**
 * How the safetensors files of a model hold quantized weights, by its config.json, which may be missing.
 * @throws FiddlerError `unsupported`, naming the key: a quantization that is not read
 */
export function readQuantization(config: JsonObject | undefined): Quantization {
  const quantization = config && validate(schema, config, 'config.json').quantization_config;
  if (!quantization) return {};
  const method = quantization.quant_method ?? unnamedMethod(quantization);
  if (method === 'mxfp4') return {};
  if (method === 'fp8') {
    const read = fp8.safeParse(quantization);
    if (read.success) return { scaleBlock: read.data.weight_block_size };
    const key = String(read.error.issues[0]!.path[0]);
    return refuse(key, quantization[key], 'only e4m3 with a scale for each block of a matrix is');
  }
  return refuse('quant_method', method, 'only fp8 and mxfp4 are');
}

/** Early configs of bitsandbytes do not name it. */
function unnamedMethod(quantization: JsonObject): string | undefined {
  return Object.keys(quantization).some((key) => /^_?load_in_[48]bit$|^bnb_/.test(key)) ? 'bitsandbytes' : undefined;
}

function refuse(key: string, value: unknown, supported: string): never {
  throw new FiddlerError(
    'unsupported',
    `config.json: quantization_config.${key} is ${JSON.stringify(value) ?? 'missing'}, but ${supported} supported`,
    'use the same model in bf16',
  );
}
