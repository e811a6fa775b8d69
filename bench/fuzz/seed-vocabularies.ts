import { PRE_TOKENIZER_NAMES } from '#fiddler/text/gguf/pre-tokenizers.js';
import type { Json } from './mutate.js';

/** Keys `tokenizer.ggml.*` of a GGUF file without that prefix. */
export type Keys = { [key: string]: Json };

const BYTES = [...Array(256).keys()].map((b) => `<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`);
const [NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE] = [1, 2, 3, 4, 6];

/** Merging by rank, as of GPT-2, Qwen and Llama 3. */
const byteLevel = (pre: string): Keys => ({
  model: 'gpt2',
  pre,
  tokens: [
    'a',
    'b',
    'c',
    'Ġ',
    'Ċ',
    '1',
    'ab',
    'Ġa',
    'Ġab',
    '!',
    '<s>',
    '</s>',
    '<|im_start|>',
    '<|im_end|>',
    '<think>',
  ],
  token_type: [...Array(10).fill(NORMAL), CONTROL, CONTROL, CONTROL, CONTROL, USER_DEFINED],
  merges: ['a b', 'Ġ a', 'Ġa b'],
  bos_token_id: 10,
  eos_token_id: 11,
  padding_token_id: -1,
  add_bos_token: true,
});

/** Merging by scores, as of Llama 2 and Mixtral. */
const SCORED: Keys = {
  model: 'llama',
  tokens: ['<unk>', '<s>', '</s>', ...BYTES, '▁', 'a', 'b', 'ab', '▁a', '▁ab', 'aa', 'aaaa'],
  token_type: [UNKNOWN, CONTROL, CONTROL, ...BYTES.map(() => BYTE), ...Array(8).fill(NORMAL)],
  scores: [0, 0, 0, ...BYTES.map(() => 0), -8, -9, -10, -2.5, -1, -0.5, -3, -4],
  unknown_token_id: 0,
  bos_token_id: 1,
  eos_token_id: 2,
  add_bos_token: true,
  add_eos_token: false,
  add_space_prefix: true,
};

/** Merging of characters by rank, as of Gemma 4. */
const CHARACTERS: Keys = {
  model: 'gemma4',
  tokens: ['<pad>', '<eos>', '<bos>', '<unk>', ...BYTES, '\n', '\n\n', '▁', 'a', 'b', 'ab', '▁a', '<turn|>'],
  token_type: [CONTROL, CONTROL, CONTROL, UNKNOWN, ...BYTES.map(() => BYTE), ...Array(7).fill(NORMAL), CONTROL],
  merges: ['a b', '▁ a', '\n \n'],
  bos_token_id: 2,
  eos_token_id: 1,
  eot_token_id: 267,
};

/** A vocabulary of each kind, equally often, and with each pre-tokenizer. */
export const VOCABULARIES: readonly Keys[] = [
  ...PRE_TOKENIZER_NAMES.map(byteLevel),
  ...PRE_TOKENIZER_NAMES.flatMap(() => [SCORED, CHARACTERS]),
];
