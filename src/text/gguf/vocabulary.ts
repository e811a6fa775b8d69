import { FiddlerError } from '../../errors.js';
import type { Metadata } from '../../weights/gguf/metadata.js';

/** What a token is, by its number in the file (llama.h, llama_token_type). */
export const TokenType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** Tokens with a purpose, to the names of their keys; two names are spelled as the format has them. */
const PURPOSES = {
  bos: 'bos',
  eos: 'eos',
  eot: 'eot',
  eom: 'eom',
  unk: 'unknown',
  sep: 'seperator',
  pad: 'padding',
  mask: 'mask',
  fimPad: 'fim_pad',
  fimRep: 'fim_rep',
  fimSep: 'fim_sep',
} as const;
export type Purpose = keyof typeof PURPOSES;

/** The vocabulary of a GGUF file, checked. */
export interface Vocabulary {
  /** For error messages. */
  readonly file: string;
  /** How the tokenizer works, by `tokenizer.ggml.model`. */
  readonly model: string;
  /** How a text is split before merging, by name. */
  readonly pre: string | undefined;
  /** By id; no two are equal. */
  readonly tokens: readonly string[];
  /** A {@link TokenType} each. */
  readonly types: readonly number[];
  /** Log-probabilities or ranks, negated, of `llama`. */
  readonly scores: readonly number[];
  /** Pairs that are merged, the first ones first; undefined where the file has no list of them. */
  readonly merges: readonly (readonly [string, string])[] | undefined;
  /** Ids by purpose, as far as the file names them. */
  readonly ids: Readonly<Partial<Record<Purpose, number>>>;
  readonly addBos: boolean | undefined;
  readonly addEos: boolean | undefined;
  readonly addSpacePrefix: boolean | undefined;
}

/**
 * Reads a GGUF file's vocabulary.
 * @returns undefined where it has none
 * @throws FiddlerError `file`: keys that are missing or contradict each other
 */
export function readVocabulary(metadata: Metadata): Vocabulary | undefined {
  const { file } = metadata;
  const key = (name: string) => `tokenizer.ggml.${name}`;
  const model = metadata.string(key('model'));
  if (model === undefined || model === 'no_vocab' || model === 'none') return undefined;
  const tokens = readTokens(file, metadata.strings(key('tokens')));
  const merges = model === 'llama' ? [] : metadata.strings(key('merges'));
  return {
    file,
    model,
    pre: metadata.string(key('pre')),
    tokens,
    types: ofEach(metadata.integers(key('token_type')), 'token_type', TokenType.normal),
    scores: ofEach(metadata.numbers(key('scores')), 'scores', 0),
    merges: merges?.map((merge) => splitMerge(merge)),
    ids: readIds(),
    addBos: metadata.flag(key('add_bos_token')),
    addEos: metadata.flag(key('add_eos_token')),
    addSpacePrefix: metadata.flag(key('add_space_prefix')),
  };

  function ofEach(values: readonly number[] | undefined, name: string, otherwise: number): readonly number[] {
    if (values === undefined) return tokens.map(() => otherwise);
    if (values.length < tokens.length)
      throw damaged(file, `${key(name)} has ${values.length} of ${tokens.length} values`);
    if (values.some(Number.isNaN)) throw damaged(file, `${key(name)} holds what is no number`);
    return values;
  }

  function readIds(): Partial<Record<Purpose, number>> {
    const named = Object.entries(PURPOSES).map(([purpose, name]) => [
      purpose,
      metadata.integer(key(`${name}_token_id`)),
    ]);
    const used = (id: unknown) => typeof id === 'number' && id >= 0 && id < tokens.length; // writers put −1 for none
    return Object.fromEntries(named.filter(([, id]) => used(id)));
  }
}

/** What helps where the file's own tokenizer does not. */
export const OTHER_TOKENIZER = 'put the tokenizer.json of the model beside the file';

export function damaged(file: string, problem: string): FiddlerError {
  return new FiddlerError('file', `${file}: ${problem}`, `download it again, or ${OTHER_TOKENIZER}`);
}

function readTokens(file: string, tokens: readonly string[] | undefined): readonly string[] {
  if (tokens === undefined || tokens.length === 0) throw damaged(file, 'its tokenizer has no tokens');
  const named = tokens.map((token, id) => (token === '' ? `[EMPTY_${id}]` : token)); // as llama.cpp calls them
  if (new Set(named).size < named.length) throw damaged(file, 'its tokenizer has a token twice');
  return named;
}

/** The space between the halves is not the first character, which may be one. */
function splitMerge(merge: string): [string, string] {
  const space = merge.indexOf(' ', 1);
  return space < 0 ? ['', ''] : [merge.slice(0, space), merge.slice(space + 1)];
}

/** SentencePiece's first three ids have a purpose where the file names none. */
export function idsOf({ model, ids, tokens }: Vocabulary): Vocabulary['ids'] {
  if (model !== 'llama' || tokens.length < 3) return ids;
  return { unk: 0, bos: 1, eos: 2, ...ids };
}
