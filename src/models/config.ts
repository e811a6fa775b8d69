import { z } from 'zod';
import { FiddlerError } from '../errors.js';
import { type JsonObject, validate } from '../weights/config.js';

/** A count or extent. */
export const size = z
  .int()
  .positive()
  .max(2 ** 31 - 1);

/** What the config.json of most decoder-only models has. */
export const decoderFields = {
  vocab_size: size,
  hidden_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  num_key_value_heads: size.nullish(),
  head_dim: size.nullish(),
  hidden_act: z.literal('silu').default('silu'),
  rms_norm_eps: z.number().positive(),
  /** The output weight is the embeddings'. */
  tie_word_embeddings: z.boolean().default(false),
  max_position_embeddings: size,
};

/** @throws FiddlerError `unsupported`, naming the key of config.json whose value this engine would run wrongly */
export function unsupported(key: string, why: string): never {
  throw new FiddlerError(
    'unsupported',
    `config.json: ${key} ${why}`,
    'use a model without it: docs/families.md lists what is supported',
  );
}

/** Refuses the value of `key` unless `fits`. @throws FiddlerError `unsupported` */
export function refuseUnless(fits: boolean, key: string, why: string): void {
  if (!fits) unsupported(key, why);
}

/**
 * The config as `schema` describes it. Values that a literal or an enumeration leaves out are ones that the family does
 * not compute: they are `unsupported`, what is missing or of another type is an error of the `file`.
 * @throws FiddlerError `file` or `unsupported`, naming the key
 */
export function readConfig<T>(schema: z.ZodType<T>, config: JsonObject): T {
  const result = schema.safeParse(config);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const value = issue!.path.reduce<unknown>(
    (at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key],
    config,
  );
  if (issue!.code === 'unrecognized_keys') unsupported([...issue!.path, issue!.keys[0]!].join('.'), 'is not known');
  if (issue!.code === 'invalid_value' && value !== undefined) {
    unsupported(
      issue!.path.join('.'),
      `is ${JSON.stringify(value)}, but only ${issue!.values.join(', ')} is supported`,
    );
  }
  return validate(schema, config, 'config.json');
}

export type DecoderConfig = Omit<z.infer<z.ZodObject<typeof decoderFields>>, 'hidden_act' | 'rms_norm_eps'>;

/** Numbers and size of attention heads. @throws FiddlerError `unsupported` */
export function headsOf(c: DecoderConfig): { hidden: number; heads: number; kvHeads: number; headSize: number } {
  const { hidden_size: hidden, num_attention_heads: heads } = c;
  const headSize = c.head_dim ?? hidden / heads;
  refuseUnless(Number.isInteger(headSize), 'num_attention_heads', `does not divide hidden_size, ${hidden}`);
  return { hidden, heads, kvHeads: c.num_key_value_heads ?? heads, headSize };
}

/** Keys that say which layers have experts instead of a dense feed-forward. */
export const sparseStepFields = {
  decoder_sparse_step: size.default(1),
  mlp_only_layers: z.array(z.int().nonnegative()).nullish(),
};

/** Every `decoder_sparse_step`-th layer has experts, but for those listed. */
export function sparseLayers(c: z.infer<z.ZodObject<typeof sparseStepFields>>): (l: number) => boolean {
  return (l) => !c.mlp_only_layers?.includes(l) && (l + 1) % c.decoder_sparse_step === 0;
}
