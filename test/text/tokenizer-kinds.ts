import { charsmapOf } from '../../bench/fuzz/charsmap.js';
import type { JsonObject } from '../../src/weights/config.js';
import {
  byteLevelModel,
  CHARACTERS,
  sentencePieceModel,
  suffixModel,
  unigramModel,
  WORDS,
  wordLevelModel,
  wordPieceModel,
} from './tokenizer-models.js';

/** What stands beside a model in tokenizer.json. */
interface Steps {
  normalizer?: JsonObject;
  pre_tokenizer?: JsonObject;
  post_processor?: JsonObject;
  decoder?: JsonObject;
  added?: readonly JsonObject[];
}

/** A tokenizer.json. */
function describeTokenizer(model: JsonObject, { added = [], ...steps }: Steps = {}): JsonObject {
  const vocab = model.vocab as object;
  const first = Array.isArray(vocab) ? vocab.length : Object.keys(vocab).length;
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added.map((token, i) => ({ id: first + i, ...flags, ...token })),
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: null,
    ...steps,
    model,
  };
}

const byteLevel = (options: JsonObject = {}) => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: true,
  ...options,
});
const split = (pattern: JsonObject, behavior: string, invert = false) => ({ type: 'Split', pattern, behavior, invert });
const sequence = (...pretokenizers: JsonObject[]) => ({ type: 'Sequence', pretokenizers });
const normalizers = (...all: JsonObject[]) => ({ type: 'Sequence', normalizers: all });
const BYTE_DECODER = { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true };
const PIECE_DECODER = {
  type: 'Sequence',
  decoders: [
    { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
    { type: 'ByteFallback' },
    { type: 'Fuse' },
    { type: 'Strip', content: ' ', start: 1, stop: 0 },
  ],
};
const LLAMA3 =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const O200K =
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const bytes = (pre_tokenizer: JsonObject, model: JsonObject = {}) =>
  describeTokenizer(byteLevelModel(model), { pre_tokenizer, decoder: BYTE_DECODER });
const pieces = (model: JsonObject, steps: Steps) => describeTokenizer(model, { decoder: PIECE_DECODER, ...steps });
const words = (steps: Steps, model: JsonObject = {}) =>
  describeTokenizer(wordPieceModel(model), { decoder: { type: 'WordPiece', prefix: '##', cleanup: false }, ...steps });
const added = (flags: JsonObject, steps: Steps = {}) =>
  describeTokenizer(byteLevelModel(), {
    pre_tokenizer: byteLevel(),
    decoder: BYTE_DECODER,
    added: ['[A]', '<b>', '<sep>', 'word'].map((content) => ({ content, ...flags })),
    ...steps,
  });

const BEHAVIORS = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'];
const SCHEMES = ['always', 'first', 'never'];
const metaspace = (options: JsonObject) => ({ type: 'Metaspace', replacement: '▁', ...options });
const bert = (options: JsonObject) => ({
  type: 'BertNormalizer',
  clean_text: true,
  handle_chinese_chars: true,
  strip_accents: null,
  lowercase: true,
  ...options,
});

/** Replaces a piece alone, before a mark, by nothing, and what longer keys begin with. */
const PRECOMPILED = {
  type: 'Precompiled',
  precompiled_charsmap: charsmapOf({
    ...{ '\t': ' ', '\u00a0': ' ', '\u200b': '', '\ufeff': '', '\u3000': ' ', '\r\n': '\n', '½': '1/2', '²': '2' },
    ...{ e: 'é', 'e\u0301': 'ë', é: 'e', Σ: 'σ', 日: '日日', á: 'a', '\u0301': '', '。': '.', ß: 'ss', A: '\ufeffa' },
  }),
};

const FIRST_ADDED = Object.keys(byteLevelModel().vocab as object).length;
const TEMPLATE = {
  type: 'TemplateProcessing',
  single: [{ SpecialToken: { id: '<sep>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
  pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
  special_tokens: { '<sep>': { id: '<sep>', ids: [FIRST_ADDED], tokens: ['<sep>'] } },
};

/** A tokenizer.json for each kind and option, by what it is. */
export const KINDS: Readonly<Record<string, JsonObject>> = {
  'byte-level': bytes(byteLevel()),
  'byte-level with a prefix space': bytes(byteLevel({ add_prefix_space: true })),
  'byte-level, Llama 3': bytes(sequence(split({ Regex: LLAMA3 }, 'Isolated'), byteLevel({ use_regex: false }))),
  'byte-level, o200k': bytes(sequence(split({ Regex: O200K }, 'Isolated'), byteLevel({ use_regex: false }))),
  'byte-level, ignore_merges': bytes(byteLevel(), { ignore_merges: true }),
  'byte-level, Digits and Punctuation': bytes(
    sequence({ type: 'Digits', individual_digits: true }, { type: 'Punctuation', behavior: 'Isolated' }, byteLevel()),
  ),
  'byte-level, NFC': describeTokenizer(byteLevelModel(), {
    normalizer: { type: 'NFC' },
    pre_tokenizer: byteLevel(),
    decoder: BYTE_DECODER,
  }),
  ...Object.fromEntries(
    BEHAVIORS.flatMap((behavior) =>
      [false, true].map((invert) => [
        `Split ${behavior}${invert ? ' inverted' : ''}`,
        bytes(sequence(split({ Regex: '\\s|-|\\d' }, behavior, invert), byteLevel({ use_regex: false }))),
      ]),
    ),
  ),
  ...Object.fromEntries(
    BEHAVIORS.map((behavior) => [
      `Split of a string ${behavior}`,
      bytes(sequence(split({ String: '.' }, behavior), byteLevel({ use_regex: false }))),
    ]),
  ),
  ...Object.fromEntries(
    BEHAVIORS.map((behavior) => [
      `Punctuation ${behavior}`,
      bytes(sequence({ type: 'Punctuation', behavior }, byteLevel({ use_regex: false }))),
    ]),
  ),
  ...Object.fromEntries(
    [true, false].map((individual_digits) => [
      `Digits ${individual_digits}`,
      bytes(sequence({ type: 'Digits', individual_digits }, byteLevel({ use_regex: false }))),
    ]),
  ),
  Whitespace: bytes(sequence({ type: 'Whitespace' }, byteLevel({ use_regex: false }))),
  WhitespaceSplit: bytes(sequence({ type: 'WhitespaceSplit' }, byteLevel({ use_regex: false }))),
  BertPreTokenizer: bytes(sequence({ type: 'BertPreTokenizer' }, byteLevel({ use_regex: false }))),
  FixedLength: bytes(sequence({ type: 'FixedLength', length: 3 }, byteLevel({ use_regex: false }))),
  CharDelimiterSplit: bytes(sequence({ type: 'CharDelimiterSplit', delimiter: '-' }, byteLevel({ use_regex: false }))),
  UnicodeScripts: bytes(sequence({ type: 'UnicodeScripts' }, byteLevel({ use_regex: false }))),
  ...Object.fromEntries(
    SCHEMES.flatMap((prepend_scheme) =>
      [true, false].flatMap((cut) => [
        [
          `BPE, Metaspace ${prepend_scheme}${cut ? ' split' : ''}`,
          pieces(sentencePieceModel(), {
            pre_tokenizer: metaspace({ prepend_scheme, split: cut }),
            added: [{ content: '<sep>' }, { content: 'word', normalized: true, special: false }],
          }),
        ],
        [
          `Unigram, Metaspace ${prepend_scheme}${cut ? ' split' : ''}`,
          pieces(unigramModel(), {
            pre_tokenizer: metaspace({ prepend_scheme, split: cut }),
            decoder: metaspace({ prepend_scheme, split: cut }),
            added: [{ content: '<sep>' }],
          }),
        ],
      ]),
    ),
  ),
  'Metaspace of old files': pieces(unigramModel(), {
    pre_tokenizer: metaspace({ str_rep: '▁', add_prefix_space: true }),
    decoder: metaspace({ str_rep: '▁', add_prefix_space: true }),
  }),
  'BPE as Llama 2': pieces(sentencePieceModel(), {
    normalizer: normalizers(
      { type: 'Prepend', prepend: '▁' },
      { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
    ),
    added: [{ content: '<sep>' }],
  }),
  'BPE without byte fallback': pieces(sentencePieceModel({ byte_fallback: false }), { pre_tokenizer: metaspace({}) }),
  'BPE, unknown characters apart': pieces(sentencePieceModel({ byte_fallback: false, fuse_unk: false }), {
    pre_tokenizer: metaspace({}),
  }),
  'BPE without an unknown token': pieces(sentencePieceModel({ byte_fallback: false, unk_token: null }), {
    pre_tokenizer: metaspace({}),
  }),
  'Unigram with byte fallback': pieces(unigramModel({}, true), { pre_tokenizer: metaspace({}) }),
  'Unigram alone': pieces(unigramModel(), {}),
  'Unigram, scores whose sums are rounded': pieces(unigramModel({}, false, 1 / 70), {}),
  'Unigram, equal scores': pieces(
    unigramModel({ vocab: ['<unk>', ...WORDS, 'th', 'he', 'ho', 'ou', 'us', ...CHARACTERS].map((t) => [t, -1.1]) }),
    {},
  ),
  'BPE with the ends of words': describeTokenizer(suffixModel(), {
    normalizer: normalizers(
      { type: 'NFC' },
      { type: 'Replace', pattern: { Regex: '\\s+' }, content: ' ' },
      { type: 'Lowercase' },
    ),
    pre_tokenizer: split({ Regex: '[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+' }, 'Removed', true),
    decoder: { type: 'BPEDecoder', suffix: '</w>' },
  }),
  'Metaspace first behind a normalized token': pieces(sentencePieceModel(), {
    normalizer: { type: 'NFC' },
    pre_tokenizer: metaspace({ prepend_scheme: 'first' }),
    added: [{ content: 'word', normalized: true, special: false }, { content: '<sep>' }],
  }),
  WordLevel: describeTokenizer(wordLevelModel(), { pre_tokenizer: { type: 'Whitespace' } }),
  'normalizer of bytes': describeTokenizer(byteLevelModel(), {
    normalizer: { type: 'ByteLevel' },
    decoder: BYTE_DECODER,
  }),
  'WordPiece, cleaned up': words({
    pre_tokenizer: { type: 'BertPreTokenizer' },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
  }),
  'WordPiece, BERT': words({ normalizer: bert({}), pre_tokenizer: { type: 'BertPreTokenizer' } }),
  'WordPiece, BERT cased': words({
    normalizer: bert({ lowercase: false }),
    pre_tokenizer: { type: 'BertPreTokenizer' },
  }),
  'WordPiece, accents kept': words({
    normalizer: bert({ strip_accents: false }),
    pre_tokenizer: { type: 'BertPreTokenizer' },
  }),
  'WordPiece, nothing cleaned': words({
    normalizer: bert({ clean_text: false, handle_chinese_chars: false }),
    pre_tokenizer: { type: 'WhitespaceSplit' },
  }),
  'WordPiece, Whitespace': words({ pre_tokenizer: { type: 'Whitespace' } }),
  ...Object.fromEntries(
    [
      { type: 'NFD' },
      { type: 'NFKC' },
      { type: 'NFKD' },
      { type: 'Lowercase' },
      { type: 'StripAccents' },
      { type: 'Strip', strip_left: true, strip_right: true },
      { type: 'Strip', strip_left: true, strip_right: false },
      { type: 'Prepend', prepend: '_' },
      { type: 'Replace', pattern: { Regex: '\\s+' }, content: '$&' },
      { type: 'Nmt' },
      PRECOMPILED,
      normalizers(PRECOMPILED, { type: 'Replace', pattern: { Regex: ' {2,}' }, content: '_' }),
    ].map((normalizer) => [
      `normalizer ${JSON.stringify(normalizer).slice(0, 60)}`,
      describeTokenizer(byteLevelModel(), { normalizer, pre_tokenizer: byteLevel(), decoder: BYTE_DECODER }),
    ]),
  ),
  'added tokens': added({}),
  'added tokens, normalized': added({ normalized: true, special: false }, { normalizer: { type: 'Lowercase' } }),
  'added tokens, lstrip': added({ lstrip: true }),
  'added tokens, rstrip': added({ rstrip: true }),
  'added tokens, lstrip and rstrip': added({ lstrip: true, rstrip: true }),
  'added tokens, single_word': added({ single_word: true }),
  'added tokens, single_word and normalized': added({ single_word: true, normalized: true, special: false }),
  ...Object.fromEntries(
    [
      { type: 'BertProcessing', sep: ['<b>', FIRST_ADDED + 1], cls: ['[A]', FIRST_ADDED] },
      ...[true, false].map((add_prefix_space) => ({
        type: 'RobertaProcessing',
        sep: ['<b>', FIRST_ADDED + 1],
        cls: ['[A]', FIRST_ADDED],
        trim_offsets: true,
        add_prefix_space,
      })),
      { type: 'Sequence', processors: [BYTE_DECODER, TEMPLATE] },
      { ...TEMPLATE, special_tokens: { '<sep>': { id: '<sep>', ids: [FIRST_ADDED + 1, 65], tokens: ['<b>', 'a'] } } },
      { type: 'BertProcessing', sep: ['otherwise', FIRST_ADDED + 1], cls: ['called', 70] },
    ].map((post_processor, i) => [`post-processor ${i}, ${post_processor.type}`, added({}, { post_processor })]),
  ),
  'two templates': added({}, { post_processor: { type: 'Sequence', processors: [TEMPLATE, TEMPLATE] } }),
  'a template': describeTokenizer(byteLevelModel(), {
    pre_tokenizer: byteLevel(),
    decoder: BYTE_DECODER,
    added: [{ content: '<sep>' }],
    post_processor: TEMPLATE,
  }),
};
