import { join } from 'node:path';
import { z } from 'zod';
import { type JsonObject, readJson, validate } from '../weights/config.js';

/** A special token: its text, or an object that holds it. */
const token = z
  .union([z.string(), z.object({ content: z.string() })], 'not a token')
  .transform((value) => (typeof value === 'string' ? value : value.content));

const NAMES = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'] as const;
type Name = (typeof NAMES)[number];

const schema = z.looseObject({
  ...(Object.fromEntries(NAMES.map((name) => [name, token.nullish()])) as Record<
    Name,
    z.ZodOptional<z.ZodNullable<typeof token>>
  >),
  additional_special_tokens: z
    .array(token)
    .nullish()
    .transform((tokens) => tokens ?? undefined),
  /** By id, as decimal digits. */
  added_tokens_decoder: z
    .record(
      z.string().regex(/^\d{1,9}$/, 'not a token id'),
      z.looseObject({ content: z.string(), special: z.boolean().optional() }),
    )
    .nullish(),
  add_bos_token: z.boolean().nullish(),
  chat_template: z
    .union([z.string(), z.array(z.object({ name: z.string(), template: z.string() }))], 'not a template')
    .nullish(),
});

/** tokenizer_config.json: the fields used here checked, the others as they are. */
export type TokenizerConfig = z.infer<typeof schema>;

/**
 * Reads tokenizer_config.json in the folder `dir`; a missing file is an empty one.
 * @param otherwise fields that hold where it does not have them
 * @throws FiddlerError `file`: broken JSON, or a field of the wrong kind
 */
export function readTokenizerConfig(dir: string, otherwise: JsonObject = {}): TokenizerConfig {
  const name = 'tokenizer_config.json';
  return validate(schema, { ...otherwise, ...readJson(dir, name, { required: false }) }, join(dir, name));
}

/** The special tokens that `config` names, by those names: `bos_token`, `eos_token` and the like. */
export function namedTokens(config: { readonly [name: string]: unknown }): Partial<Record<Name, string>> {
  const named = NAMES.map((name) => [name, config[name]] as const);
  return Object.fromEntries(named.filter(([, content]) => typeof content === 'string'));
}
