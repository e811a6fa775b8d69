import { FiddlerError } from '../../errors.js';
import type { JsonObject } from '../../weights/config.js';
import { roleOf } from './ends.js';
import { findPreTokenizer } from './pre-tokenizers.js';
import { splitByScores } from './sentencepiece.js';
import { damaged, idsOf, OTHER_TOKENIZER, type Vocabulary } from './vocabulary.js';

/** A tokenizer as tokenizer.json would describe it. */
export interface Description {
  json: JsonObject;
  /** Splits words in place of the described model; undefined leaves a word to that. */
  split?: (word: string) => string[] | undefined;
}

const SPACE = '▁';

/** @throws FiddlerError `file`, or `unsupported`: a kind or a pre-tokenizer that is not known */
export function describeTokenizer(vocabulary: Vocabulary): Description {
  const { file, model } = vocabulary;
  if (Object.hasOwn(DESCRIBE, model)) return DESCRIBE[model]!(vocabulary);
  throw new FiddlerError(
    'unsupported',
    `${file} has a tokenizer of the kind "${model}", which is not known`,
    OTHER_TOKENIZER,
  );
}

const DESCRIBE: Readonly<Record<string, (vocabulary: Vocabulary) => Description>> = {
  gpt2(vocabulary) {
    const { patterns, ignoreMerges = false, addBos } = findPreTokenizer(vocabulary.file, vocabulary.pre);
    const splits = patterns.map((Regex) => ({ type: 'Split', pattern: { Regex }, behavior: 'Isolated' }));
    const bytes = { type: 'ByteLevel', add_prefix_space: false, use_regex: false };
    const json = described(vocabulary, addBos ?? false, {
      normalizer: null,
      pre_tokenizer: { type: 'Sequence', pretokenizers: [...splits, bytes] },
      decoder: { type: 'ByteLevel' },
      model: { ignore_merges: ignoreMerges },
    });
    return { json };
  },

  llama(vocabulary) {
    const { tokens, scores, addSpacePrefix = true } = vocabulary;
    const prefix = addSpacePrefix ? [{ type: 'Prepend', prepend: SPACE }] : [];
    const json = described(vocabulary, true, {
      normalizer: { type: 'Sequence', normalizers: [...prefix, SPACES_MARKED] },
      pre_tokenizer: null,
      decoder: fallbackDecoder(addSpacePrefix),
      model: { byte_fallback: true, unk_token: tokens[idsOf(vocabulary).unk ?? -1] },
    });
    const scoreOf = new Map(tokens.map((token, id) => [token, scores[id]!]));
    return { json, split: (word) => splitByScores(word, scoreOf) };
  },

  gemma4(vocabulary) {
    const { tokens } = vocabulary;
    const json = described(vocabulary, true, {
      normalizer: SPACES_MARKED,
      pre_tokenizer: { type: 'Split', pattern: { Regex: '[^\\n]+|[\\n]+' }, behavior: 'Isolated' },
      decoder: fallbackDecoder(false),
      model: { byte_fallback: true },
    });
    const lines = new Set(tokens.filter((token) => /^\n+$/.test(token))); // are not merged
    return { json, split: (word) => (lines.has(word) ? [word] : undefined) };
  },
};

const SPACES_MARKED = { type: 'Replace', pattern: { String: ' ' }, content: SPACE };

function fallbackDecoder(stripsPrefix: boolean): JsonObject {
  const strip = stripsPrefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : [];
  const steps = [
    { type: 'Replace', pattern: { String: SPACE }, content: ' ' },
    { type: 'ByteFallback' },
    { type: 'Fuse' },
  ];
  return { type: 'Sequence', decoders: [...steps, ...strip] };
}

interface Steps {
  normalizer: JsonObject | null;
  pre_tokenizer: JsonObject | null;
  decoder: JsonObject;
  model: JsonObject;
}

function described(vocabulary: Vocabulary, addBos: boolean, { model, ...steps }: Steps): JsonObject {
  const { file, tokens, types, merges } = vocabulary;
  if (!merges) throw damaged(file, 'tokenizer.ggml.merges is missing');
  const ids = idsOf(vocabulary);
  const added = tokens.flatMap((content, id) => {
    const role = roleOf(content, types[id]!);
    return role ? [{ id, content, special: role === 'control', normalized: false }] : [];
  });
  const token = (id: number | undefined) =>
    id === undefined ? [] : [{ SpecialToken: { id: tokens[id]!, type_id: 0 } }];
  const bos = vocabulary.model === 'gemma4' || (vocabulary.addBos ?? addBos);
  const single = [
    ...(bos ? token(ids.bos) : []),
    { Sequence: { id: 'A', type_id: 0 } },
    ...(vocabulary.addEos ? token(ids.eos) : []),
  ];
  return {
    ...steps,
    added_tokens: added,
    post_processor: { type: 'TemplateProcessing', single, pair: single },
    model: { type: 'BPE', vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges, ...model },
  };
}
