import { precompiled } from './precompiled.js';

/**
 * What of @huggingface/tokenizers no description changes: it is replaced in the tokenizer that it made, so that it is as
 * in the Rust tokenizers (0.23).
 */

/** What is used of the library's tokenizer: its own types do not resolve in ES modules (imports without extensions). */
export interface HubTokenizer {
  readonly model: HubModel;
  readonly normalizer: HubNormalizer | null;
  readonly decoder: HubDecoder | null;
  pre_tokenizer: ((text: string, options: object) => string[]) | null;
  readonly added_tokens_map: ReadonlyMap<string, HubToken>;
  readonly splitter_unnormalized: HubSplitter;
  readonly splitter_normalized: HubSplitter;
  encode(text: string, options?: { add_special_tokens: boolean }): { ids: (number | undefined)[] };
  decode(ids: readonly number[], options: { clean_up_tokenization_spaces: boolean }): string;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
}

interface HubModel {
  readonly vocab: string[];
  readonly tokens_to_ids: ReadonlyMap<string, number>;
  /** Of Unigram, whose `scores` no other model has. */
  readonly scores?: readonly number[];
  readonly config: {
    readonly type?: string;
    readonly byte_fallback?: boolean;
    readonly unk_token?: string | null;
    readonly continuing_subword_prefix?: string | null;
    readonly end_of_word_suffix?: string | null;
  };
  /** Of words, the oldest first. */
  readonly cache?: { readonly cache: ReadonlyMap<string, string[]>; get(word: string): string[] | undefined };
  tokenize?(text: string): string[];
  encode(tokens: readonly string[]): string[];
}

interface HubToken {
  readonly id: number;
  readonly content: string;
  readonly single_word: boolean;
  lstrip: boolean;
  rstrip: boolean;
}

/** Finds added tokens in a text: what lies between them, and they. */
interface HubSplitter {
  split(text: string): string[];
}

/** A step that changes a text: a table of characters, or a sequence of steps. */
interface HubNormalizer {
  readonly config?: { readonly type?: string; readonly precompiled_charsmap?: string | null };
  readonly normalizers?: readonly (HubNormalizer | null)[];
  normalize(text: string): string;
}

/** A step of decoding: those that make text of bytes have a TextDecoder, Metaspace a mark, a sequence steps of its own. */
interface HubDecoder {
  text_decoder?: InstanceType<typeof TextDecoder>;
  readonly config?: { readonly type?: string; readonly prepend_scheme?: string };
  readonly replacement?: string;
  readonly decoders?: readonly HubDecoder[];
  decode_chain(tokens: readonly string[]): string[];
}

export function patch(hub: HubTokenizer): void {
  patchNormalizer(hub.normalizer);
  patchDecoder(hub.decoder);
  if (hub.model.scores) patchUnigram(hub.model);
  else if (hub.model.config.type === 'BPE') patchBpe(hub.model);
  const { cache } = hub.model;
  // The library takes a word out of its Map and puts it in again, so that tables of it pile up as garbage.
  if (cache) cache.get = (word) => cache.cache.get(word);
  const tokens = new Map([...hub.added_tokens_map].map(([text, token]) => [text, { ...token }] as const));
  for (const [text, token] of hub.added_tokens_map) {
    if (text !== token.content) hub.model.vocab[token.id] = text; // one that is found normalized is written so too
    token.lstrip = false; // done by the splitters from here on
    token.rstrip = false;
  }
  for (const splitter of [hub.splitter_unnormalized, hub.splitter_normalized]) patchSplitter(splitter, tokens);
  patchBeginning(hub, tokens);
}

/** What stands behind a token that was found in normalized text is not the text's beginning (Metaspace's scheme `first`). */
function patchBeginning(hub: HubTokenizer, tokens: ReadonlyMap<string, HubToken>): void {
  const { pre_tokenizer: divide, splitter_normalized: splitter } = hub;
  if (!divide) return;
  const find = splitter.split.bind(splitter);
  let first = true; // the next text is the first of its section
  splitter.split = (text) => {
    const sections = find(text);
    first = !tokens.has(sections[0] ?? '');
    return sections;
  };
  hub.pre_tokenizer = (text, options) => {
    const result = divide(text, first ? options : { ...options, section_index: undefined });
    first = false;
    return result;
  };
}

/** The library has the same table whatever is described. */
function patchNormalizer(normalizer: HubNormalizer | null): void {
  const { config, normalizers } = normalizer ?? {};
  if (config?.type === 'Precompiled') normalizer!.normalize = precompiled(config.precompiled_charsmap ?? '');
  normalizers?.forEach(patchNormalizer);
}

function patchDecoder(decoder: HubDecoder | null): void {
  if (!decoder) return;
  // Byte fallback must keep U+FEFF; by default a TextDecoder drops it.
  if (decoder.text_decoder) decoder.text_decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const { config, replacement } = decoder;
  if (config?.type === 'Metaspace' && replacement !== undefined) {
    const prefixed = config.prepend_scheme !== 'never';
    // The first token has no spaces, however many marks it has.
    decoder.decode_chain = (tokens) => tokens.map((t, i) => t.replaceAll(replacement, prefixed && i === 0 ? '' : ' '));
  }
  decoder.decoders?.forEach(patchDecoder);
}

/** Pieces of any number, and bytes for what is not in the vocabulary. */
function patchUnigram(model: HubModel): void {
  const fallback = model.config.byte_fallback === true;
  const bytesOf = (piece: string): string[] => {
    if (!fallback || model.tokens_to_ids.has(piece)) return [piece];
    const hex = Array.from(
      new TextEncoder().encode(piece),
      (b) => `<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`,
    );
    return hex.every((byte) => model.tokens_to_ids.has(byte)) ? hex : [piece];
  };
  model.encode = (tokens) => tokens.flatMap((token) => model.tokenize!(token).flatMap(bytesOf));
}

/** Without an unknown token, characters that are not in the vocabulary are left out before their neighbours are merged. */
function patchBpe(model: HubModel): void {
  const { unk_token, byte_fallback, continuing_subword_prefix, end_of_word_suffix } = model.config;
  if ((unk_token ?? byte_fallback) || continuing_subword_prefix || end_of_word_suffix) return;
  const encode = model.encode.bind(model);
  const known = (character: string) => model.tokens_to_ids.has(character);
  const keep = (word: string) => (Array.from(word).every(known) ? word : Array.from(word).filter(known).join(''));
  model.encode = (words) => encode(words.map(keep).filter((word) => word !== ''));
}

const WORD_CHARACTER = '[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\u200c\\u200d]';
const ENDS_IN_WORD = new RegExp(`${WORD_CHARACTER}$`, 'u');
const BEGINS_IN_WORD = new RegExp(`^${WORD_CHARACTER}`, 'u');

/** Leaves out what is not a token after all, and takes the white space beside those that do. */
function patchSplitter(splitter: HubSplitter, tokens: ReadonlyMap<string, HubToken>): void {
  const find = splitter.split.bind(splitter);
  splitter.split = (text) => {
    const sections = joined(find(text), tokens);
    for (const [i, section] of sections.entries()) {
      const token = tokens.get(section);
      if (token?.lstrip && i > 0) sections[i - 1] = sections[i - 1]!.replace(/\p{White_Space}+$/u, '');
      if (token?.rstrip && i + 1 < sections.length)
        sections[i + 1] = sections[i + 1]!.replace(/^\p{White_Space}+/u, '');
    }
    return sections;
  };
}

/** A token that is a word by itself only is text within another word. */
function joined(sections: readonly string[], tokens: ReadonlyMap<string, HubToken>): string[] {
  const result: string[] = [];
  let before = ''; // all text so far
  let open = false; // the last of the result is text
  for (const [i, section] of sections.entries()) {
    const token = tokens.get(section);
    const within = ENDS_IN_WORD.test(before) || BEGINS_IN_WORD.test(sections[i + 1] ?? '');
    const isToken = token !== undefined && !(token.single_word && within);
    if (!isToken && open) result[result.length - 1] += section;
    else result.push(section);
    open = !isToken;
    before = section;
  }
  return result;
}
