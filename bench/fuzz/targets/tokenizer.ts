import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { StreamDecoder } from '#fiddler/text/stream.js';
import { loadTokenizer, type Tokenizer } from '#fiddler/text/tokenizer.js';
import { mutateJson, writeJson } from '../mutate.js';
import { PARTS, TOKENIZERS } from '../seed-tokenizers.js';
import type { Target } from '../target.js';

const TEXTS = [
  '',
  'ab a1',
  ' Ab, c\n\n1 é',
  '<s>a</s><|im_end|>\u{f0000}b',
  '\ud800 日本 👍🏽\u200d',
  'a'.repeat(300),
  `${'a'.repeat(60)}!`,
];

/** Milliseconds after which a tokenizer is given up; less than a hang. */
export const LONGEST = 300;

/** tokenizer.json: texts are read, and what is read is written. */
export function target(folder: string): Target<Uint8Array> {
  return {
    make: (chance) => writeJson(mutateJson(chance.of(TOKENIZERS), chance, PARTS), chance),
    read(bytes) {
      writeFileSync(join(folder, 'tokenizer.json'), bytes);
      useTokenizer(loadTokenizer(folder, LONGEST)!);
    },
    show: (bytes) => bytes,
  };
}

/** Has a tokenizer do all that it is used for. */
export function useTokenizer(tokenizer: Tokenizer): void {
  for (const text of TEXTS) {
    const ids = tokenizer.encode(text);
    const wrong = ids.find((id) => !Number.isSafeInteger(id) || id < 0);
    if (wrong !== undefined) throw new Error(`${JSON.stringify(text)} has the token ${wrong}`);
    tokenizer.encode(text, { addSpecial: false, standIns: true });
    tokenizer.decode(ids);
    tokenizer.decode([...ids, 0, 9, 14, 1e9], { skipSpecial: false });
    const decoder = new StreamDecoder(tokenizer, ids);
    for (const id of ids) decoder.push(id);
    decoder.flush();
  }
}
