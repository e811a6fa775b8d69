import { join } from 'node:path';
import fc from 'fast-check';
import { type GgufValue, writeGguf } from '../../../bench/gguf-writer.js';
import { temporaryFolder } from '../../support/folder.js';

const NORMAL = 1;
const UNKNOWN = 2;
export const CONTROL = 3;
const USER_DEFINED = 4;
const BYTE = 6;

/** A token, its type and its score. */
export type Token = readonly [text: string, type?: number, score?: number];

export interface Described {
  model: string;
  pre?: string;
  tokens: readonly Token[];
  merges?: readonly string[];
  more?: Readonly<Record<string, GgufValue>>;
}

const string = (value: string): GgufValue => ({ kind: 'string', value });
const u32 = (value: number): GgufValue => ({ kind: 'u32', value });
export const flag = (value: boolean): GgufValue => ({ kind: 'bool', value: value ? 1 : 0 });
export const ids = (of: Readonly<Record<string, number>>): Record<string, GgufValue> =>
  Object.fromEntries(Object.entries(of).map(([name, id]) => [`tokenizer.ggml.${name}_token_id`, u32(id)]));

/** Writes a GGUF file with a vocabulary and no weights, as llama.cpp reads it too. */
export function vocabularyFile({ model, pre, tokens, merges, more = {} }: Described): string {
  const file = join(temporaryFolder(), 'vocabulary.gguf');
  writeGguf(file, {
    metadata: {
      'general.architecture': string('llama'),
      'llama.context_length': u32(64),
      'llama.embedding_length': u32(8),
      'llama.block_count': u32(1),
      'llama.feed_forward_length': u32(8),
      'llama.attention.head_count': u32(1),
      'llama.attention.layer_norm_rms_epsilon': { kind: 'f32', value: 1e-5 },
      'tokenizer.ggml.model': string(model),
      ...(pre !== undefined && { 'tokenizer.ggml.pre': string(pre) }),
      'tokenizer.ggml.tokens': { kind: 'array', of: 'string', value: tokens.map(([text]) => text) },
      'tokenizer.ggml.token_type': { kind: 'array', of: 'i32', value: tokens.map(([, type = NORMAL]) => type) },
      'tokenizer.ggml.scores': { kind: 'array', of: 'f32', value: tokens.map(([, , score = 0]) => score) },
      ...(merges && { 'tokenizer.ggml.merges': { kind: 'array', of: 'string', value: merges } }),
      ...more,
    },
  });
  return file;
}

/** Printable stand-ins of bytes, as GPT-2 has them. */
const BYTE_CHARACTERS: readonly string[] = (() => {
  const printable = (b: number) => (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCharCode(printable(b) ? b : next++));
})();

export const byteLevel = (text: string) => [...Buffer.from(text)].map((b) => BYTE_CHARACTERS[b]!).join('');

/** Characters of which texts are made, by kinds that pre-tokenizers tell apart. */
const CHARACTERS = [
  ...'aeistrlmdvSTREVLMDñßÉåǅʰªדλяЖაԱあカ한ลๅกกា漢字㐀豈𠀀ﬃＡ',
  ...'0123456789٣५²Ⅷ½',
  ...' \t\r\n\u00a0\u2003\u3000\u0085\u2028',
  ...'.,!?-_/\'"()[]{}:;#@&*%\\…“”。、،።',
  ...'$+<=>^`|~€©°˜',
  ...'\u0301\u0300\u0928\u093f\u0e34\u20dd\u200d\ufe0f\u00ad\u0000\u007f\ue000😀🏽',
];

const WORDS = [
  "don't",
  "I'LL",
  "we've",
  "'re",
  "'S",
  ' the',
  'The',
  ' 1234567',
  '  ',
  '\n\n',
  '\r\n',
  ' \n',
  '   x',
  '://',
  'hElLO',
];

/** Texts in which neighbours of all kinds occur, and any Unicode text. */
export const texts: fc.Arbitrary<string> = fc
  .oneof(
    {
      weight: 4,
      arbitrary: fc.array(fc.oneof(fc.constantFrom(...CHARACTERS), fc.constantFrom(...WORDS)), { maxLength: 24 }),
    },
    { weight: 1, arbitrary: fc.array(fc.string({ unit: 'grapheme', maxLength: 6 }), { maxLength: 4 }) },
  )
  .map((parts) => parts.join(''));

/** Numbers in [0, 1) that look random and are always the same. */
function* numbers(): Generator<number> {
  for (let state = 1; ; ) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state / 2 ** 32;
  }
}

function shuffled<T>(items: readonly T[]): T[] {
  const random = numbers();
  const keys = items.map((item) => [random.next().value as number, item] as const);
  return keys.sort(([a], [b]) => a - b).map(([, item]) => item);
}

const SPECIAL: readonly Token[] = [
  ['<unk>', UNKNOWN],
  ['<s>', CONTROL],
  ['</s>', CONTROL],
  ['<|im_start|>', CONTROL],
  ['<|im_end|>', CONTROL],
  ['<think>', USER_DEFINED],
];

/** What texts spell of special tokens. */
export const SPELLED = SPECIAL.map(([text]) => text);

/**
 * A byte-level vocabulary in which many pairs of bytes of the texts' characters merge, in a random order, so that word
 * boundaries show; and some words that no merge makes.
 */
export function byteLevelVocabulary(pre: string, more: Readonly<Record<string, GgufValue>> = {}): Described {
  const used = [...new Set(CHARACTERS.flatMap((character) => [...byteLevel(character)]))];
  const pairs = shuffled(used.flatMap((a) => used.map((b) => [a, b] as const))).slice(0, 1500);
  const whole = [...new Set([...WORDS, ' word', 'aeis', '123'].map(byteLevel))].filter((word) => [...word].length > 2);
  return {
    model: 'gpt2',
    pre,
    tokens: [
      ...SPECIAL,
      ...BYTE_CHARACTERS.map((c): Token => [c]),
      ...pairs.map(([a, b]): Token => [a + b]),
      ...whole.map((w): Token => [w]),
    ],
    merges: pairs.map(([a, b]) => `${a} ${b}`),
    more: { ...ids({ bos: 1, eos: 2 }), ...more },
  };
}

const BYTE_TOKENS = Array.from(
  { length: 256 },
  (_, b): Token => [`<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`, BYTE],
);

/** Pieces of random length of the texts' characters, with spaces as U+2581. */
function pieces(): string[] {
  const random = numbers();
  const draw = <T>(from: readonly T[]) => from[Math.floor((random.next().value as number) * from.length)]!;
  const letters = [...CHARACTERS.slice(0, 70), '▁', '▁', '▁'].filter((c) => c !== ' ');
  const found = new Set<string>(['▁', ...letters.slice(0, 55)]);
  for (const a of letters) for (const b of letters.slice(0, 30)) found.add(a + b);
  for (let i = 0; i < 3000; i++) found.add(Array.from({ length: 3 + (i % 3) }, () => draw(letters)).join(''));
  for (const word of WORDS) found.add(word.replaceAll(' ', '▁'));
  return shuffled([...found]).filter((piece) => !/^[\n\r]+$/.test(piece));
}

/** A SentencePiece vocabulary of random pieces; some scores are equal. */
export function scoredVocabulary(more: Readonly<Record<string, GgufValue>> = {}): Described {
  const scored = pieces().map((piece, i): Token => [piece, NORMAL, -Math.floor(i / 3)]);
  return {
    model: 'llama',
    tokens: [...SPECIAL, ...BYTE_TOKENS, ...scored],
    more: { ...ids({ bos: 1, eos: 2, unknown: 0 }), ...more },
  };
}

/** Gemma 4's kind: merges of characters, spaces as U+2581, lines whole. */
export function gemma4Vocabulary(more: Readonly<Record<string, GgufValue>> = {}): Described {
  const pairs = new Map<string, string>();
  for (const piece of pieces()) {
    const characters = [...piece];
    if (characters.length === 2) pairs.set(piece, characters.join(' '));
  }
  const lines = [1, 2, 3, 5].map((n): Token => ['\n'.repeat(n)]);
  const single = [...new Set([...pairs.keys()].flatMap((pair) => [...pair]))].filter((c) => c !== '\n' && c !== 'Ж');
  return {
    model: 'gemma4',
    tokens: [
      ...SPECIAL,
      ...BYTE_TOKENS,
      ...lines,
      ...single.map((c): Token => [c]),
      ...[...pairs.keys()].map((p): Token => [p]),
    ],
    merges: [...pairs.values()],
    more: { ...ids({ bos: 1, eos: 2, unknown: 0 }), ...more },
  };
}
