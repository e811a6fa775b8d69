import type { JsonObject } from '../../src/weights/config.js';

/** Every piece of text that some tokenizer's step treats in its own way. */
export const PIECES: readonly string[] = [
  ...[
    'the',
    'old',
    'house',
    'Hello',
    "don't",
    "I'LL",
    'STRASSE',
    'ab',
    'x',
    'élan',
    'e\u0301',
    'naïve',
    'Ünï',
    'ß',
    'ſ',
  ],
  ...[
    'ΟΔΟΣ',
    'Σ',
    'İ',
    'ǅ',
    'ﬁ',
    'Å',
    '日本語',
    '中',
    'ひらがな',
    '한국',
    'क्षि',
    'ไทย',
    'العربية',
    '🙂',
    '👩\u200d🔬',
    '\u{20000}',
  ],
  ...[
    '1',
    '42',
    '2024',
    '²',
    '½',
    'Ⅷ',
    '٣',
    '१२',
    '.',
    ',',
    '!',
    '?',
    '...',
    '-',
    '--',
    '_',
    "'",
    '"',
    '$',
    '+',
    '<',
    '|',
    '«',
    '。',
    '§',
    '€',
  ],
  ...[
    ' ',
    '  ',
    '   ',
    '\t',
    '\n',
    '\n\n',
    '\r\n',
    '\u00a0',
    '\u0085',
    '\u2028',
    '\u3000',
    '\ufeff',
    '\u200b',
    '\u200c',
    '\u180e',
    '\u001c',
    '\u0000',
  ],
  ...['▁', '▁▁', '[A]', '<b>', '<sep>', 'word', '\u0301', '\u00ad', '\ufffd', '$&', '\\'],
];

/** The bytes of byte-level models as characters (GPT-2, encoder.py). */
export function byteCharacters(): string[] {
  const plain = (b: number) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCodePoint(plain(b) ? b : next++));
}

const ids = (tokens: readonly string[]) => Object.fromEntries([...new Set(tokens)].map((token, i) => [token, i]));

/** Merges that make words of their characters, from the left. */
function mergesOf(words: readonly (readonly string[])[]): [string, string][] {
  const seen = new Set<string>();
  const merges: [string, string][] = [];
  for (const word of words) {
    let made = word[0]!;
    for (const part of word.slice(1)) {
      if (!seen.has(`${made} ${part}`)) merges.push([made, part]);
      seen.add(`${made} ${part}`);
      made += part;
    }
  }
  return merges;
}

const bytesOf = (text: string) => [...new TextEncoder().encode(text)].map((b) => byteCharacters()[b]!);

export function byteLevelModel(options: JsonObject = {}): JsonObject {
  const merges = mergesOf(
    ['the', ' the', ' old', 'house', ' house', 'Hello', '  ', '日', '...', 'STR', '20'].map(bytesOf),
  );
  const vocab = ids([...byteCharacters(), ...merges.map(([a, b]) => a + b), "don't", 'x.']);
  return { type: 'BPE', vocab, merges, unk_token: null, byte_fallback: false, ...options };
}

const BYTES = Array.from({ length: 256 }, (_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`);
export const CHARACTERS = [...new Set(['▁', ...'abcdefghijklmnopqrstuvwxyzABCDEHILRST.,!?1204日本'])];
export const WORDS = ['▁the', '▁old', '▁house', '▁Hello', 'the', '▁▁', '▁▁▁', '...', '▁1', '20', '日本', 'STR'];

export function sentencePieceModel(options: JsonObject = {}): JsonObject {
  const merges = mergesOf(WORDS.map((word) => [...word]));
  const vocab = ids(['<unk>', ...BYTES, ...CHARACTERS, ...merges.map(([a, b]) => a + b)]);
  return { type: 'BPE', vocab, merges, unk_token: '<unk>', fuse_unk: true, byte_fallback: true, ...options };
}

export function unigramModel(options: JsonObject = {}, bytes = false, step = 1 / 64): JsonObject {
  const scored = (tokens: readonly string[], score: number) => tokens.map((t, i) => [t, score - i * step]);
  const vocab = [['<unk>', 0], ...(bytes ? scored(BYTES, 0) : []), ...scored(WORDS, -3), ...scored(CHARACTERS, -8)];
  return { type: 'Unigram', unk_id: 0, vocab, byte_fallback: bytes, ...options };
}

export function wordPieceModel(options: JsonObject = {}): JsonObject {
  const plain = [
    '[UNK]',
    'the',
    'old',
    'house',
    'hello',
    'Hello',
    'don',
    't',
    'e',
    'naive',
    '日',
    '中',
    'str',
    'σ',
    'ς',
    'οδο',
    'x',
    'a',
    'b',
  ];
  const further = ['##t', '##s', '##a', '##b', '##asse', '##e', '##1', '##lan', '##σ', '##ς', '##x'];
  const vocab = ids([...plain, ...further, ..."0123456789.,!?-'_$+<>[]|", '²', '½', '٣']);
  return {
    type: 'WordPiece',
    vocab,
    unk_token: '[UNK]',
    continuing_subword_prefix: '##',
    max_input_chars_per_word: 20,
    ...options,
  };
}

export function suffixModel(): JsonObject {
  const merges = mergesOf([
    ['t', 'h', 'e</w>'],
    ['o', 'l', 'd</w>'],
    ['h', 'o', 'u', 's', 'e</w>'],
  ]);
  const letters = [...'abcdefghijklmnopqrstuvwxyz0123456789.,!?-'];
  const vocab = ids(['<unk>', ...letters, ...letters.map((c) => `${c}</w>`), ...merges.map(([a, b]) => a + b)]);
  return { type: 'BPE', vocab, merges, unk_token: '<unk>', end_of_word_suffix: '</w>', continuing_subword_prefix: '' };
}

export function wordLevelModel(): JsonObject {
  return { type: 'WordLevel', vocab: ids(['<unk>', 'the', 'old', 'house', '.', '42']), unk_token: '<unk>' };
}
