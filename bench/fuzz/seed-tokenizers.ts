import { charsmapOf } from './charsmap.js';
import type { Json } from './mutate.js';

type JsonObject = { [key: string]: Json };

const added = (id: number, content: string, special = true): JsonObject => ({
  ...{ id, content, special, single_word: false, lstrip: false, rstrip: false, normalized: false },
});

const vocabulary = (tokens: readonly string[]): JsonObject => Object.fromEntries(tokens.map((token, i) => [token, i]));

const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false };

/** Byte-level BPE, as of GPT-2, Qwen and Llama 3. */
const BYTE_LEVEL: JsonObject = {
  version: '1.0',
  added_tokens: [added(12, '<|im_start|>'), added(13, '<|im_end|>'), added(14, '<think>', false)],
  normalizer: { type: 'NFC' },
  pre_tokenizer: {
    type: 'Sequence',
    pretokenizers: [
      {
        type: 'Split',
        pattern: {
          Regex: "(?i:'s|'t)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s+(?!\\S)|\\s+",
        },
        behavior: 'Isolated',
        invert: false,
      },
      byteLevel,
    ],
  },
  post_processor: byteLevel,
  decoder: byteLevel,
  model: {
    type: 'BPE',
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: '',
    end_of_word_suffix: '',
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: true,
    vocab: vocabulary(['a', 'b', 'c', 'Ġ', 'Ċ', '1', 'ab', 'Ġa', 'Ġab', 'e', 'l', 'o']),
    merges: [['a', 'b'], 'Ġ a', ['Ġa', 'b']],
  },
};

/** BPE on characters with bytes to fall back on, as of Llama 2 and Mixtral. */
const BYTE_FALLBACK: JsonObject = {
  version: '1.0',
  added_tokens: [added(0, '<unk>'), added(1, '<s>'), added(2, '</s>')],
  normalizer: {
    type: 'Sequence',
    normalizers: [
      { type: 'Prepend', prepend: '▁' },
      { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
    ],
  },
  pre_tokenizer: null,
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
    special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
  },
  decoder: {
    type: 'Sequence',
    decoders: [
      { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
      { type: 'ByteFallback' },
      { type: 'Fuse' },
      { type: 'Strip', content: ' ', start: 1, stop: 0 },
    ],
  },
  model: {
    type: 'BPE',
    unk_token: '<unk>',
    fuse_unk: true,
    byte_fallback: true,
    vocab: vocabulary(['<unk>', '<s>', '</s>', '<0x0A>', '<0x41>', '▁', 'a', 'b', 'c', '▁a', 'ab', '1']),
    merges: ['▁ a', 'a b'],
  },
};

/** As of T5. */
const UNIGRAM: JsonObject = {
  version: '1.0',
  added_tokens: [added(0, '<pad>'), added(1, '</s>'), added(2, '<unk>'), added(9, '<extra_id_0>')],
  normalizer: { type: 'Precompiled', precompiled_charsmap: charsmapOf({ '\t': ' ', ﬁ: 'fi', é: 'e' }) },
  pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ Sequence: { id: 'A', type_id: 0 } }, { SpecialToken: { id: '</s>', type_id: 0 } }],
    pair: [],
    special_tokens: { '</s>': { id: '</s>', ids: [1], tokens: ['</s>'] } },
  },
  decoder: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
  model: {
    type: 'Unigram',
    unk_id: 2,
    byte_fallback: false,
    vocab: [
      ...[
        ['<pad>', 0],
        ['</s>', 0],
        ['<unk>', 0],
        ['▁', -2.1],
        ['a', -3.2],
        ['b', -3.9],
        ['▁ab', -4.5],
        ['c', -5],
        ['1', -6],
      ],
    ],
  },
};

/** As of BERT. */
const WORD_PIECE: JsonObject = {
  version: '1.0',
  added_tokens: [added(0, '[PAD]'), added(1, '[UNK]'), added(2, '[CLS]'), added(3, '[SEP]')],
  normalizer: {
    type: 'BertNormalizer',
    clean_text: true,
    handle_chinese_chars: true,
    strip_accents: null,
    lowercase: true,
  },
  pre_tokenizer: { type: 'BertPreTokenizer' },
  post_processor: { type: 'BertProcessing', sep: ['[SEP]', 3], cls: ['[CLS]', 2] },
  decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
  model: {
    type: 'WordPiece',
    unk_token: '[UNK]',
    continuing_subword_prefix: '##',
    max_input_chars_per_word: 100,
    vocab: vocabulary(['[PAD]', '[UNK]', '[CLS]', '[SEP]', 'a', 'b', '##b', '##c', 'ab', '1', ',']),
  },
};

/** Further steps that a tokenizer may have. */
const STEPS: JsonObject = {
  pre_tokenizer: {
    type: 'Sequence',
    pretokenizers: [
      { type: 'Digits', individual_digits: true },
      { type: 'Punctuation', behavior: 'Isolated' },
      { type: 'WhitespaceSplit' },
      { type: 'Split', pattern: { String: ' ' }, behavior: 'MergedWithPrevious', invert: false },
      { type: 'Split', pattern: { Regex: '(?:a+)+$' }, behavior: 'Contiguous', invert: false }, // never ends
    ],
  },
  normalizer: { type: 'Sequence', normalizers: [{ type: 'NFKC' }, { type: 'Lowercase' }, { type: 'StripAccents' }] },
  post_processor: { type: 'RobertaProcessing', sep: ['</s>', 2], cls: ['<s>', 0], add_prefix_space: true },
  decoder: { type: 'BPEDecoder', suffix: '</w>' },
};

export const TOKENIZERS: readonly JsonObject[] = [BYTE_LEVEL, BYTE_FALLBACK, UNIGRAM, WORD_PIECE];
/** Values of which parts may be put in. */
export const PARTS: readonly JsonObject[] = [...TOKENIZERS, STEPS];

/** tokenizer_config.json of byte fallback. */
export const TOKENIZER_CONFIG: JsonObject = {
  add_bos_token: true,
  add_eos_token: false,
  added_tokens_decoder: { '0': added(0, '<unk>'), '1': added(1, '<s>'), '12': added(12, '<|user|>', false) },
  additional_special_tokens: ['<s>', { content: '</s>', special: true }],
  bos_token: '<s>',
  eos_token: { __type: 'AddedToken', content: '</s>', special: true },
  unk_token: '<unk>',
  chat_template: [{ name: 'default', template: '{% for m in messages %}{{ m.content }}{% endfor %}' }],
  clean_up_tokenization_spaces: false,
  model_max_length: 1e30,
  tokenizer_class: 'LlamaTokenizer',
};
