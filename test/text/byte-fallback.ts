import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadTokenizer, type Tokenizer } from '../../src/text/tokenizer.js';

export const MINI_MIXTRAL = new URL('../../models/mini-mixtral', import.meta.url).pathname;

const toSpace = { type: 'Replace', pattern: { String: '▁' }, content: ' ' };

/** Ways in which SentencePiece-like tokenizers decode: as Mixtral's does, and with a Metaspace step. */
export const DECODERS = {
  strip: {
    type: 'Sequence',
    decoders: [toSpace, { type: 'ByteFallback' }, { type: 'Fuse' }, { type: 'Strip', content: ' ', start: 1, stop: 0 }],
  },
  metaspace: {
    type: 'Sequence',
    decoders: [
      { type: 'ByteFallback' },
      { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: false },
    ],
  },
} as const;

const words = ['▁', 'a', 'b', 'c', '▁a', 'ab', '▁ab', '▁▁', 'é', '\uFFFD'];
const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
const tokens = ['<unk>', '<s>', '</s>', ...bytes, ...words];

/** tokenizer.json of a SentencePiece-like BPE with byte fallback, `<s>` in front, and an added token that is shown. */
export function byteFallbackJson(decoder: keyof typeof DECODERS): Record<string, unknown> {
  const special = (content: string, id: number) => ({ id, content, special: true, normalized: false });
  return {
    version: '1.0',
    added_tokens: [
      ...['<unk>', '<s>', '</s>'].map(special),
      { id: tokens.length, content: '<think>', special: false, normalized: false },
    ],
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
      pair: [],
      special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
    },
    decoder: DECODERS[decoder],
    model: {
      type: 'BPE',
      unk_token: '<unk>',
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: ['a b', '▁ ab', '▁ a', '▁ ▁'],
    },
  };
}

/** Loads `json`, and `config` as tokenizer_config.json, from a folder of their own. */
export function tokenizerOf(json: unknown, config?: unknown): Tokenizer {
  const dir = mkdtempSync(join(tmpdir(), 'fiddler-test-'));
  try {
    writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(json));
    if (config) writeFileSync(join(dir, 'tokenizer_config.json'), JSON.stringify(config));
    return loadTokenizer(dir)!;
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** The id of `token` in `byteFallbackJson`. */
export function idOf(token: string): number {
  return token === '<think>' ? tokens.length : tokens.indexOf(token);
}
