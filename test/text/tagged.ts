import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadTokenizer, type Tokenizer } from '../../src/text/tokenizer.js';

const SPECIAL = ['start', 'channel', 'message', 'end', 'return', 'call', 'constrain'].map((name) => `<|${name}|>`);
const SHOWN = ['<think>', '</think>', '<|im_start|>', '<|im_end|>', '<｜User｜>', '<｜Assistant｜>'];

/** The bundled model's tokenizer with the tags of the known formats behind its own tokens. */
export const TAGGED: Tokenizer = taggedBy(SHOWN);

/** The id of a tag. */
export function tag(name: string): number {
  return TAGGED.id(name)!;
}

/** Ids of `text` in which no tag is taken for one: a token or more a character. */
export function spelled(text: string): number[] {
  return [...text].flatMap((character) => TAGGED.encode(character, { addSpecial: false }));
}

/** That tokenizer with tags of harmony, and these, which are written like any other text. */
export function taggedBy(shown: readonly string[]): Tokenizer {
  const json = JSON.parse(readFileSync('models/mini-mixtral/tokenizer.json', 'utf8'));
  const next = Object.keys(json.model.vocab).length;
  for (const [i, content] of [...SPECIAL, ...shown].entries())
    json.added_tokens.push({ id: next + i, content, special: i < SPECIAL.length, normalized: false });
  const dir = mkdtempSync(join(tmpdir(), 'fiddler-test-'));
  try {
    writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(json));
    return loadTokenizer(dir)!;
  } finally {
    rmSync(dir, { recursive: true });
  }
}
