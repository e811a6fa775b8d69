import { join } from 'node:path';
import { Tokenizer as Hub } from '@huggingface/tokenizers';
import { z } from 'zod';
import { FiddlerError } from '../errors.js';
import { type JsonObject, readJson, validate } from '../weights/config.js';
import { readGgufText, textFiles } from './gguf/index.js';
import { MOST_STAND_INS, StandIns } from './stand-ins.js';
import { namedTokens, readTokenizerConfig, type TokenizerConfig } from './tokenizer-config.js';
import { type HubTokenizer, patch } from './tokenizers/patches.js';
import { withUpstreamSteps } from './tokenizers/steps.js';
import { type Use, useOf } from './tokenizers/use.js';

/** A token that is found in a text before anything else is done with it. */
export interface AddedToken {
  content: string;
  special: boolean;
}

/** Text to token ids and back, as a model's tokenizer.json describes it. */
export interface Tokenizer {
  /** One more than the highest id. A model's vocabulary may be larger: it is often padded. */
  readonly vocabularySize: number;
  /** Ids of control tokens such as the beginning token; they are no part of a text shown to a reader. Sentinels are. */
  readonly special: ReadonlySet<number>;
  readonly added: readonly AddedToken[];
  /** Ids of tokens that end an answer, as tokenizer_config.json or a GGUF file has it. */
  readonly ends: readonly number[];
  /**
   * Token ids of `text`. Special tokens written out in `text` become their ids, as in the reference tokenizers.
   * @param options.addSpecial whether tokens such as the beginning token are added as tokenizer.json and
   *   tokenizer_config.json say; default true. A rendered chat template already holds them.
   * @param options.standIns whether `text` comes from a chat template, in which {@link StandIns} of `added` stand for
   *   tokens that are spelled and not meant; default false
   */
  encode(text: string, options?: { addSpecial?: boolean; standIns?: boolean }): number[];
  /**
   * Text of `ids`, with U+FFFD for bytes that are not UTF-8. Ids that name no token give no text.
   * @param options.skipSpecial whether special tokens are left out; default true
   */
  decode(ids: readonly number[], options?: { skipSpecial?: boolean }): string;
  /** The id of the token that is written `token`, a special one too. */
  id(token: string): number | undefined;
  /** How a token is written in the vocabulary. */
  piece(id: number): string | undefined;
  /** How bytes are written there, where every byte can be. */
  readonly encoding?: 'byte_level' | 'byte_fallback';
  /** Whether `id` is part of the text that `decode` gives. */
  shown(id: number): boolean;
}

/** A tokenizer in the form of tokenizer.json. */
interface Described {
  json: JsonObject;
  /** Splits words in place of the described model; undefined leaves a word to that. */
  split?: (word: string) => string[] | undefined;
  /** Ids of tokens that end an answer. */
  ends?: Iterable<number>;
}

/**
 * Loads the tokenizer of a model: tokenizer.json and, where present, tokenizer_config.json of its folder; of a GGUF file
 * those beside it, else its own.
 * @param model a folder, or a GGUF file
 * @param longest that a short text may take before the tokenizer counts as broken; milliseconds, by default 10,000
 * @returns undefined where there is none
 * @throws FiddlerError `file`: one of them is broken; `unsupported`: a GGUF file's own is of a kind that is not known
 */
export function loadTokenizer(model: string, longest?: number): Tokenizer | undefined {
  const { folder, gguf } = textFiles(model);
  const json = readJson(folder, 'tokenizer.json', { required: false });
  const own = gguf === undefined ? undefined : readGgufText(gguf, json === undefined);
  const config = readTokenizerConfig(folder, own?.config);
  if (json) return tokenizerOf({ json, ends: own?.ends }, config, join(folder, 'tokenizer.json'), longest);
  return own?.description && tokenizerOf({ ...own.description, ends: own.ends }, config, gguf!, longest);
}

function tokenizerOf(
  { json, split, ends = [] }: Described,
  config: TokenizerConfig,
  file: string,
  longest?: number,
): Tokenizer {
  const { added_tokens: own, model } = validate(tokenizerSchema, json, file);
  checkSteps(json, file);
  const added_tokens = [...own, ...furtherTokens(own, model.vocab, config)];
  const use = useOf(file, longest);
  const hub = use(() => construct({ ...json, added_tokens }, config), Object.keys(model.vocab).length);
  if (split) splitWords(hub, split);
  const spell = spellOut(hub, added_tokens);
  const patterned = JSON.stringify(json.decoder ?? null).includes('"Regex"');

  const named = namedTokens(config);
  const special = new Set(added_tokens.filter((token) => token.special).map((token) => token.id));
  for (const content of [...Object.values(named), ...(config.additional_special_tokens ?? [])]) {
    const id = hub.token_to_id(content);
    if (id !== undefined) special.add(id);
  }
  const beginning = missingBeginning(hub, config.add_bos_token === true ? named.bos_token : undefined, use);
  for (const id of special) if (SENTINEL.test(hub.id_to_token(id) ?? '')) special.delete(id);
  const shown = (id: number) => !special.has(id) && hub.id_to_token(id) !== undefined;

  return {
    vocabularySize: hub.model.vocab.length,
    special,
    added: added_tokens.map(({ content, special = false }) => ({ content, special })),
    ends: [...new Set([...ends, ...[named.eos_token].flatMap((token) => hub.token_to_id(token ?? '') ?? [])])],
    shown,
    id: (token) => hub.token_to_id(token),
    piece: (id) => hub.id_to_token(id),
    encoding: encodingOf(json),
    encode(text, { addSpecial = true, standIns = false } = {}) {
      spell(standIns);
      const known = use(() => knownIds(hub.encode(text, { add_special_tokens: addSpecial })), text.length);
      return addSpecial ? [...beginning, ...known] : known;
    },
    decode(ids, { skipSpecial = true } = {}) {
      const kept = ids.filter((id) => (skipSpecial ? shown(id) : hub.id_to_token(id) !== undefined));
      if (kept.length === 0) return '';
      const size = patterned ? kept.length : undefined;
      return use(() => hub.decode(kept, { clean_up_tokenization_spaces: false }), size);
    },
  };
}

function encodingOf({ decoder }: JsonObject): Tokenizer['encoding'] {
  const kinds = JSON.stringify(decoder ?? null);
  return kinds.includes('"ByteLevel"') ? 'byte_level' : kinds.includes('"ByteFallback"') ? 'byte_fallback' : undefined;
}

/**
 * Sentinels stand for spans of a text in what a text-to-text model reads and writes (arXiv 1910.10683, section 3.1.4):
 * without them the spans of an answer run together.
 */
const SENTINEL = /^<extra_id_\d+>$/;

const tokenId = z.int('not a token id').nonnegative('not a token id');
const scored = z.array(z.tuple([z.string(), z.number()], 'not a token and its score'));

const addedToken = z.looseObject({ id: tokenId, content: z.string(), special: z.boolean().optional() });

/** Characters of the longest text of a step: patterns have some hundreds. A map of characters is data. */
const LONGEST_STEP_TEXT = 10_000;

/** @throws FiddlerError `file`: a step that would take long for each character */
function checkSteps(description: JsonObject, file: string): void {
  for (const part of ['normalizer', 'pre_tokenizer', 'post_processor', 'decoder']) {
    let level: [key: string, value: unknown][] = [[part, description[part]]];
    while (level.length > 0) {
      const long = level.find(
        ([key, value]) =>
          typeof value === 'string' && value.length > LONGEST_STEP_TEXT && key !== 'precompiled_charsmap',
      );
      if (long) {
        const problem = `${file}: ${long[0]} in ${part} is longer than ${LONGEST_STEP_TEXT} characters`;
        throw new FiddlerError('file', problem, 'download it again, or give token ids in place of text');
      }
      level = level.flatMap(([, value]) => (typeof value === 'object' && value !== null ? Object.entries(value) : []));
    }
  }
}

/** What is used here, or would make the library fail long after loading; it checks the rest itself. */
const tokenizerSchema = z.object({
  added_tokens: z.array(addedToken).max(MOST_STAND_INS),
  model: z.object({ vocab: z.union([z.record(z.string(), tokenId), scored], 'not a vocabulary') }),
});

/**
 * Tokens that transformers adds to those of tokenizer.json: of `added_tokens_decoder`, and the special ones by name that
 * the vocabulary has.
 */
function furtherTokens(
  own: readonly { content: string }[],
  vocab: z.infer<typeof tokenizerSchema>['model']['vocab'],
  config: TokenizerConfig,
): z.infer<typeof addedToken>[] {
  const known = new Set(own.map(({ content }) => content));
  const idOf = (content: string) => {
    if (!Array.isArray(vocab)) return Object.hasOwn(vocab, content) ? vocab[content] : undefined;
    const index = vocab.findIndex(([token]) => token === content);
    return index < 0 ? undefined : index;
  };
  const decoder = Object.entries(config.added_tokens_decoder ?? {});
  const listed = decoder.map(([id, token]) => ({ ...token, id: idOf(token.content) ?? Number(id) }));
  const further: z.infer<typeof addedToken>[] = [];
  for (const token of listed.sort((a, b) => a.id - b.id)) {
    if (known.has(token.content)) continue;
    known.add(token.content);
    further.push(token);
  }
  for (const content of [...Object.values(namedTokens(config)), ...(config.additional_special_tokens ?? [])]) {
    const id = idOf(content);
    if (id === undefined || known.has(content)) continue;
    known.add(content);
    further.push({ id, content, special: true, normalized: false });
  }
  return further;
}

function construct(description: JsonObject, config: JsonObject): HubTokenizer {
  const hub: HubTokenizer = new Hub(withUpstreamSteps(description), { ...config, ...namedTokens(config) });
  patch(hub);
  hub.encode('a 1'); // a pattern or a step of the wrong kind shows only when it is used
  return hub;
}

/** Says for each text whether the library is to spell out stand-ins behind its search for added tokens. */
function spellOut(hub: HubTokenizer, added: readonly { content: string }[]): (standIns: boolean) => void {
  const standIns = new StandIns(added.map(({ content }) => content));
  const split = hub.pre_tokenizer;
  const splitShown = (text: string, options: object) => {
    const shown = standIns.show(text);
    return split ? split(shown, options) : [shown];
  };
  return (wanted) => {
    hub.pre_tokenizer = wanted ? splitShown : split;
  };
}

/** Has `split` split words in place of the library's model, which then spells out what is no token. */
function splitWords(hub: HubTokenizer, split: (word: string) => string[] | undefined): void {
  const { model } = hub;
  const encode = model.encode.bind(model);
  const spell = (piece: string) => (hub.token_to_id(piece) === undefined ? encode([piece]) : [piece]);
  model.encode = (words) => words.flatMap((word) => split(word)?.flatMap(spell) ?? encode([word]));
}

/** A character outside the vocabulary of a tokenizer without an unknown token has no id. @throws Error: an id that is none */
function knownIds({ ids }: { ids: readonly (number | undefined)[] }): number[] {
  const known = ids.filter((id) => id !== undefined && id !== null);
  const wrong = known.find((id) => !(Number.isSafeInteger(id) && id >= 0));
  if (wrong !== undefined) throw new Error(`a token has the id ${JSON.stringify(wrong)}`);
  return known;
}

/** The beginning token where tokenizer_config.json asks for one that tokenizer.json does not add (DeepSeek-V3). */
function missingBeginning(hub: HubTokenizer, content: string | undefined, use: Use): number[] {
  const id = content === undefined ? undefined : hub.token_to_id(content);
  return id === undefined || use(() => hub.encode(''), 0).ids.includes(id) ? [] : [id];
}
