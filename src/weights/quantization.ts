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

const NVFP4 = ['NVFP4', 'W4A16_NVFP4'] as const;
/** Numbers of NVFP4, whatever is said of inputs: these are computed with as they are. */
const nvfp4 = z.looseObject({
  num_bits: z.literal(4).optional(),
  type: z.literal('float').optional(),
  group_size: z.literal(16).optional(),
  symmetric: z.literal(true).optional(),
});
const noTransforms = z.object({}).strict().nullish();

/** NVIDIA's Model Optimizer. */
const modelopt = z.looseObject({
  quant_algo: z.enum([...NVFP4, 'MIXED_PRECISION']),
  group_size: nvfp4.shape.group_size,
  config_groups: z.record(z.string(), z.looseObject({ weights: nvfp4.optional() })).nullish(),
  quantized_layers: z.record(z.string(), z.looseObject({ quant_algo: z.enum(NVFP4) }).extend(nvfp4.shape)).nullish(),
});

const format = z.literal('nvfp4-pack-quantized');
/** What llm-compressor writes. */
const compressedTensors = z.looseObject({
  format: z.enum(['nvfp4-pack-quantized', 'mixed-precision']),
  config_groups: z.record(
    z.string(),
    z.looseObject({
      format: format.nullish(),
      weights: nvfp4.required({ num_bits: true, type: true, group_size: true }),
    }),
  ),
  sparsity_config: z.looseObject({ format: z.literal('dense').optional() }).nullish(),
  transform_config: noTransforms,
});

/** What is read of each method, by its name. */
const METHODS: Readonly<Record<string, (quantization: JsonObject) => Quantization>> = {
  mxfp4: () => ({}),
  fp8: (quantization) => ({ scaleBlock: read(fp8, quantization).weight_block_size }),
  modelopt: (quantization) => nothingFurther(read(modelopt, quantization)),
  modelopt_fp4: (quantization) => nothingFurther(read(modelopt, quantization)),
  'compressed-tensors': (quantization) => nothingFurther(read(compressedTensors, quantization)),
};

/** Such tensors say by their names and types how they hold numbers. */
const nothingFurther = (_: unknown): Quantization => ({});

/**
 * How the safetensors files of a model hold quantized weights, by its config.json, which may be missing.
 * @throws FiddlerError `unsupported`, naming the key: a quantization that is not read
 */
export function readQuantization(config: JsonObject | undefined): Quantization {
  const quantization = config && validate(schema, config, 'config.json').quantization_config;
  if (!quantization) return {};
  const method = quantization.quant_method ?? unnamedMethod(quantization);
  if (method !== undefined && Object.hasOwn(METHODS, method)) return METHODS[method]!(quantization);
  return refuse('quant_method', method, `only ${Object.keys(METHODS).join(', ')} are`);
}

/** @throws FiddlerError `unsupported`, naming the first key that does not fit */
function read<T>(method: z.ZodType<T>, quantization: JsonObject): T {
  const result = method.safeParse(quantization);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const path = issue!.code === 'unrecognized_keys' ? [...issue!.path, issue!.keys[0]!] : issue!.path;
  const value = path.reduce<unknown>(
    (at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key],
    quantization,
  );
  const fitting = issue!.code === 'invalid_value' ? issue!.values.join(' and ') : 'another value';
  return refuse(path.join('.'), value, `only ${fitting} is`);
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
