import { join } from 'node:path';
import { Tokenizer as Hub } from '@huggingface/tokenizers';
import { z } from 'zod';
import { FiddlerError } from '../errors.js';
import { type JsonObject, readJson, validate } from '../weights/config.js';
import { namedTokens, readTokenizerConfig } from './tokenizer-config.js';

/** Text to token ids and back, as a model's tokenizer.json describes it. */
export interface Tokenizer {
  /** One more than the highest id. A model's vocabulary may be larger: it is often padded. */
  readonly vocabularySize: number;
  /** Ids of control tokens such as the beginning token; they are no part of a text shown to a reader. Sentinels are. */
  readonly special: ReadonlySet<number>;
  /**
   * Token ids of `text`. Special tokens written out in `text` become their ids.
   * @param options.addSpecial whether tokens such as the beginning token are added as tokenizer.json and
   *   tokenizer_config.json say; default true. A rendered chat template already holds them.
   */
  encode(text: string, options?: { addSpecial?: boolean }): number[];
  /**
   * Text of `ids`, with U+FFFD for bytes that are not UTF-8. Ids that name no token give no text.
   * @param options.skipSpecial whether special tokens are left out; default true
   */
  decode(ids: readonly number[], options?: { skipSpecial?: boolean }): string;
  /** The id of the token that is written `token`, a special one too. */
  id(token: string): number | undefined;
  /** Whether `id` is part of the text that `decode` gives. */
  shown(id: number): boolean;
}

/**
 * Loads the tokenizer in the folder `dir`: tokenizer.json and, where present, tokenizer_config.json.
 * @returns undefined where the folder has no tokenizer.json
 * @throws FiddlerError `file`: one of the two is broken
 */
export function loadTokenizer(dir: string): Tokenizer | undefined {
  const description = readJson(dir, 'tokenizer.json', { required: false });
  if (description === undefined) return undefined;
  const file = join(dir, 'tokenizer.json');
  const { added_tokens } = validate(tokenizerSchema, description, file);
  const config = readTokenizerConfig(dir);
  const hub = construct(description, config, file);

  const named = namedTokens(config);
  const special = new Set(added_tokens.filter((token) => token.special).map((token) => token.id));
  for (const content of [...Object.values(named), ...(config.additional_special_tokens ?? [])]) {
    const id = hub.token_to_id(content);
    if (id !== undefined) special.add(id);
  }
  const beginning = missingBeginning(hub, config.add_bos_token === true ? named.bos_token : undefined);
  for (const id of special) if (SENTINEL.test(hub.id_to_token(id) ?? '')) special.delete(id);
  const shown = (id: number) => !special.has(id) && hub.id_to_token(id) !== undefined;

  return {
    vocabularySize: hub.model.vocab.length,
    special,
    shown,
    id: (token) => hub.token_to_id(token),
    encode(text, { addSpecial = true } = {}) {
      const { ids } = hub.encode(text, { add_special_tokens: addSpecial });
      // A character outside the vocabulary of a tokenizer without an unknown token has no id.
      const known = ids.filter((id) => id !== undefined);
      return addSpecial ? [...beginning, ...known] : known;
    },
    decode(ids, { skipSpecial = true } = {}) {
      const kept = ids.filter((id) => (skipSpecial ? shown(id) : hub.id_to_token(id) !== undefined));
      return kept.length === 0 ? '' : hub.decode(kept, { clean_up_tokenization_spaces: false });
    },
  };
}

/**
 * Sentinels stand for spans of a text in what a text-to-text model reads and writes (arXiv 1910.10683, section 3.1.4):
 * without them the spans of an answer run together.
 */
const SENTINEL = /^<extra_id_\d+>$/;

const tokenId = z.int('not a token id').nonnegative('not a token id');
const scored = z.array(z.tuple([z.string(), z.number()], 'not a token and its score'));

/** What is used here, or would make the library fail long after loading; it checks the rest itself. */
const tokenizerSchema = z.object({
  added_tokens: z.array(z.object({ id: tokenId, content: z.string(), special: z.boolean().optional() })),
  model: z.object({ vocab: z.union([z.record(z.string(), tokenId), scored], 'not a vocabulary') }),
});

/** What is used of the library's tokenizer: its own types do not resolve in ES modules (imports without extensions). */
interface HubTokenizer {
  readonly model: { readonly vocab: readonly string[] };
  readonly decoder: HubDecoder | null;
  encode(text: string, options?: { add_special_tokens: boolean }): { ids: (number | undefined)[] };
  decode(ids: readonly number[], options: { clean_up_tokenization_spaces: boolean }): string;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
}

/** A step of decoding: those that make text of bytes have a TextDecoder, a sequence has steps of its own. */
interface HubDecoder {
  text_decoder?: InstanceType<typeof TextDecoder>;
  readonly decoders?: readonly HubDecoder[];
}

function construct(description: JsonObject, config: JsonObject, file: string): HubTokenizer {
  try {
    const hub: HubTokenizer = new Hub(description, { ...config, ...namedTokens(config) });
    keepByteOrderMarks(hub.decoder);
    hub.encode('a 1'); // a pattern or a step of the wrong kind shows only when it is used
    return hub;
  } catch (error) {
    throw new FiddlerError(
      'file',
      `${file} describes no tokenizer that can be used: ${(error as Error).message.split('\n')[0]}`,
      'download it again, or give token ids in place of text',
      { cause: error },
    );
  }
}

/** Byte fallback must keep U+FEFF, as the Rust tokenizers do; by default a TextDecoder drops it. */
function keepByteOrderMarks(decoder: HubDecoder | null): void {
  if (decoder?.text_decoder) decoder.text_decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  decoder?.decoders?.forEach(keepByteOrderMarks);
}

/** The beginning token where tokenizer_config.json asks for one that tokenizer.json does not add (DeepSeek-V3). */
function missingBeginning(hub: HubTokenizer, content: string | undefined): number[] {
  const id = content === undefined ? undefined : hub.token_to_id(content);
  return id === undefined || hub.encode('').ids.includes(id) ? [] : [id];
}
