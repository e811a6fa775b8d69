import { z } from 'zod';
import { readConfig, refuseUnless, size, unsupported } from './config.js';

/** How heads are rotated by positions (RoFormer, arXiv 2104.09864). */
export interface Rotation {
  /** Rotated dimensions of a head: the first, or `trailing` the last. */
  dimensions: number;
  trailing?: boolean;
  /** Pairs are neighbours (2i, 2i+1) instead of halves (i, i + dimensions/2). */
  interleaved: boolean;
  base: number;
  /** Frequency i is base^(−2i / dimensions) / divisors[i]; all 1 where undefined. */
  divisors?: Float32Array;
  /** Cosines and sines are multiplied by this. */
  magnitude: number;
  /** What holds instead for sequences of more than `beyond` tokens. */
  extended?: { beyond: number; divisors: Float32Array; magnitude: number };
}

const scaling = z.record(z.string(), z.unknown()).nullish();

/** The keys of config.json that `readRotation` reads beside the context, for a family's schema. */
export const ropeFields = {
  original_max_position_embeddings: size.nullish(),
  partial_rotary_factor: z.number().positive().max(1).nullish(),
  rope_theta: z.number().positive().nullish(),
  /** Pairs are neighbours, whatever the family's are: DeepSeek-V3's own key, and of files whose rows are in that order. */
  rope_interleave: z.boolean().nullish(),
  /** Published configs. */
  rope_scaling: scaling,
  /** Newer ones. */
  rope_parameters: scaling,
};

export type RopeConfig = z.infer<z.ZodObject<typeof ropeFields>> & { max_position_embeddings: number };

const positive = z.number().positive();
const common = {
  rope_type: z.string().optional(),
  type: z.string().optional(),
  rope_theta: positive.optional(),
  partial_rotary_factor: positive.max(1).optional(),
  original_max_position_embeddings: size.nullish(),
  /** Pictures have positions in three dimensions, of which each rotates a section; for text all three are the same. */
  mrope_section: z.array(z.int().nonnegative()).optional(),
  mrope_interleaved: z.boolean().optional(),
};
const factorList = z.array(positive);

/** Every key that each type may have: one more could change what is computed. */
const types = {
  default: z.strictObject(common),
  linear: z.strictObject({ ...common, factor: positive }),
  proportional: z.strictObject(common),
  yarn: z.strictObject({
    ...common,
    factor: positive,
    beta_fast: positive.nullish(),
    beta_slow: positive.nullish(),
    mscale: z.number().nonnegative().nullish(),
    mscale_all_dim: z.number().nonnegative().nullish(),
    attention_factor: positive.nullish(),
    truncate: z.boolean().nullish(),
    /** Read by those families whose queries grow with their position. */
    llama_4_scaling_beta: z.number().nonnegative().nullish(),
  }),
  longrope: z.strictObject({
    ...common,
    factor: positive.nullish(),
    short_factor: factorList,
    long_factor: factorList,
    short_mscale: positive.nullish(),
    long_mscale: positive.nullish(),
    attention_factor: positive.nullish(),
  }),
};

/** The config of one kind of layers, where `rope_parameters` has an entry for each. @throws FiddlerError `unsupported` */
export function ropeOfKind<C extends RopeConfig>(config: C, kind: string): C {
  const parameters = config.rope_parameters?.[kind];
  if (!config.rope_parameters) return config;
  if (typeof parameters !== 'object' || parameters === null) unsupported(`rope_parameters.${kind}`, 'is missing');
  return { ...config, rope_parameters: parameters };
}

export interface RotationOptions {
  /** Dimensions of a head, or of the part of it that positions rotate. */
  headSize: number;
  interleaved?: boolean;
  /** `rope_theta` where the config has none. */
  base: number;
}

/** Heads have some hundreds of dimensions. */
const LARGEST_HEAD = 65_536;

/**
 * Reads `rope_theta` and `rope_scaling`, or `rope_parameters`. Types as in transformers, modeling_rope_utils.py.
 * @throws FiddlerError `unsupported`, naming the key: an unknown type or parameter
 */
export function readRotation(config: RopeConfig, { headSize, interleaved = false, base }: RotationOptions): Rotation {
  const key = config.rope_parameters ? 'rope_parameters' : 'rope_scaling';
  const parameters = config.rope_parameters ?? config.rope_scaling ?? {};
  const type = parameters.rope_type ?? parameters.type ?? 'default';
  if (typeof type !== 'string' || !Object.hasOwn(types, type)) {
    const known = Object.keys(types).join(', ');
    unsupported(`${key}.rope_type`, `is ${JSON.stringify(type)}, but only ${known} are supported`);
  }
  const read = <T>(schema: z.ZodType<T>) => readConfig(z.object({ [key]: schema }), { [key]: parameters })[key] as T;
  const shared = read(z.object(common));
  const part = shared.partial_rotary_factor ?? config.partial_rotary_factor ?? 1;
  const dimensions = Math.trunc(headSize * part);
  refuseUnless(
    dimensions > 0 && dimensions % 2 === 0,
    'partial_rotary_factor',
    `leaves ${dimensions} rotated dimensions, an odd number`,
  );
  refuseUnless(headSize <= LARGEST_HEAD, 'the size of a head', `is ${headSize}, more than ${LARGEST_HEAD}`);
  const rotation = {
    dimensions,
    interleaved: config.rope_interleave ?? interleaved,
    base: shared.rope_theta ?? config.rope_theta ?? base,
  };
  switch (type as keyof typeof types) {
    case 'default':
      read(types.default);
      return { ...rotation, magnitude: 1 };
    case 'proportional':
      read(types.proportional);
      return { ...proportional(headSize, dimensions), interleaved: rotation.interleaved, base: rotation.base };
    case 'linear':
      return { ...rotation, magnitude: 1, divisors: new Float32Array(dimensions / 2).fill(read(types.linear).factor) };
    case 'yarn':
      return { ...rotation, ...yarn(read(types.yarn), rotation, config.max_position_embeddings) };
    case 'longrope':
      return { ...rotation, ...longRope(read(types.longrope), rotation.dimensions, config, key) };
  }
}

/** Makes an angle vanish. */
const UNROTATED = 1e30;

/** Pairs span the whole head, and the first `dimensions` / 2 of them turn at the head's own frequencies (Gemma 4). */
function proportional(headSize: number, dimensions: number): Pick<Rotation, 'dimensions' | 'divisors' | 'magnitude'> {
  const divisors = Float32Array.from({ length: headSize / 2 }, (_, i) => (i < dimensions / 2 ? 1 : UNROTATED));
  return { dimensions: headSize, divisors, magnitude: 1 };
}

/** 0.1 · mscale · ln(factor) + 1, by which YaRN scales attention (arXiv 2309.00071, section 3.4). */
export function yarnMagnitude(factor: number, mscale = 1): number {
  return factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1;
}

/** YaRN (arXiv 2309.00071, section 3.2): high frequencies stay, low ones are divided, a ramp lies between. */
function yarn(
  p: z.infer<typeof types.yarn>,
  { dimensions, base }: Pick<Rotation, 'dimensions' | 'base'>,
  context: number,
): Pick<Rotation, 'divisors' | 'magnitude'> {
  const original = p.original_max_position_embeddings ?? context;
  /** The pair that turns `rotations` times within the original context. */
  const pairAt = (rotations: number) =>
    (dimensions * Math.log(original / (rotations * 2 * Math.PI))) / (2 * Math.log(base));
  const truncate = p.truncate ?? true;
  const [first, last] = [pairAt(p.beta_fast || 32), pairAt(p.beta_slow || 1)];
  const low = Math.max(truncate ? Math.floor(first) : first, 0);
  const high = Math.min(truncate ? Math.ceil(last) : last, dimensions - 1);
  const width = high === low ? 0.001 : high - low;
  const divisors = Float32Array.from({ length: dimensions / 2 }, (_, i) => {
    const interpolated = Math.min(1, Math.max(0, (i - low) / width));
    return 1 / (interpolated / p.factor + (1 - interpolated));
  });
  const both = p.mscale && p.mscale_all_dim;
  const inferred = both
    ? yarnMagnitude(p.factor, p.mscale!) / yarnMagnitude(p.factor, p.mscale_all_dim!)
    : yarnMagnitude(p.factor);
  return { divisors, magnitude: p.attention_factor ?? inferred };
}

/**
 * LongRoPE (arXiv 2402.13753): searched divisors, one set for sequences within the original context, one beyond. Only
 * published configs (`rope_scaling`) and the code published with them switch: transformers 5.17, which writes
 * `rope_parameters`, keeps the first set at any length.
 */
function longRope(
  p: z.infer<typeof types.longrope>,
  dimensions: number,
  config: RopeConfig,
  key: string,
): Pick<Rotation, 'divisors' | 'magnitude' | 'extended'> {
  const original = p.original_max_position_embeddings ?? config.original_max_position_embeddings;
  if (!original) unsupported(`${key}.original_max_position_embeddings`, 'is missing, which longrope needs');
  for (const name of ['short_factor', 'long_factor'] as const) {
    const { length } = p[name];
    refuseUnless(length === dimensions / 2, `${key}.${name}`, `has ${length} numbers instead of ${dimensions / 2}`);
  }
  const factor = config.max_position_embeddings / original;
  const inferred = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
  const magnitude = p.attention_factor ?? inferred;
  const short = { divisors: Float32Array.from(p.short_factor), magnitude: p.short_mscale ?? magnitude };
  const long = { divisors: Float32Array.from(p.long_factor), magnitude: p.long_mscale ?? magnitude };
  return key === 'rope_scaling' ? { ...short, extended: { beyond: original, ...long } } : short;
}
