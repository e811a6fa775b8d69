import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { byteCharacters } from '../text/tokenizer-models.js';

/** How a family's models are talked to. */
export interface Spoken {
  /** Texts of its control tokens, and of those that are written like any other text. */
  special: readonly string[];
  shown: readonly string[];
  /** With which a turn ends. */
  end: string;
  template: string;
}

const FIRST_BYTE = 3;

/** Id of an ASCII character in a made-up tokenizer. */
export function byteId(character: string): number {
  return FIRST_BYTE + character.charCodeAt(0);
}

/** Id of a tag. */
export function tagId({ special, shown }: Spoken, tag: string): number {
  return FIRST_BYTE + 256 + [...special, ...shown].indexOf(tag);
}

/**
 * A folder with the weights of a golden model, and a made-up tokenizer: a token a byte, and the family's tags. Its context
 * is longer, since a prompt with tools has more than a thousand bytes.
 */
export function talkingFolder(golden: string, spoken: Spoken): { dir: string; remove: () => void } {
  const from = resolve('test/golden', golden);
  const dir = mkdtempSync(join(tmpdir(), 'fiddler-test-'));
  const write = (name: string, value: object) => writeFileSync(join(dir, name), JSON.stringify(value));
  symlinkSync(join(from, 'model.safetensors'), join(dir, 'model.safetensors'));
  write('config.json', {
    ...JSON.parse(readFileSync(join(from, 'config.json'), 'utf8')),
    max_position_embeddings: 8192,
    eos_token_id: tagId(spoken, spoken.end),
  });
  const tags = [...spoken.special, ...spoken.shown];
  const own = ['<pad>', '<bos>', '<eos>', ...byteCharacters()];
  write('tokenizer.json', {
    version: '1.0',
    added_tokens: tags.map((content, i) => ({
      ...{ id: own.length + i, content, special: i < spoken.special.length },
      ...{ single_word: false, lstrip: false, rstrip: false, normalized: false },
    })),
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { type: 'BPE', vocab: Object.fromEntries(own.map((token, id) => [token, id])), merges: [], unk_token: null },
  });
  write('tokenizer_config.json', { eos_token: spoken.end, chat_template: spoken.template });
  return { dir, remove: () => rmSync(dir, { recursive: true }) };
}
