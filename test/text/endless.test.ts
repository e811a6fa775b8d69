import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadTokenizer, type Tokenizer } from '../../src/text/tokenizer.js';
import { fiddlerError } from '../support/errors.js';
import { temporaryFolder } from '../support/folder.js';
import { byteFallbackJson, idOf } from './byte-fallback.js';

/** Milliseconds. */
const LONGEST = 500;
/** Takes twice as long for each further letter that has no x behind it. */
const ENDLESS = { Regex: '(?:(?:a|b)+)+x' };
const LETTERS = 'ab'.repeat(50);

function load(steps: object): Tokenizer {
  const dir = temporaryFolder();
  writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify({ ...byteFallbackJson('strip'), ...steps }));
  return loadTokenizer(dir, LONGEST)!;
}

describe('a regular expression without an end', () => {
  it.each(['Isolated', 'Removed', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'])(
    'in a split (%s) is an error of the file, and other texts are read as before',
    (behavior) => {
      const tokenizer = load({ pre_tokenizer: { type: 'Split', pattern: ENDLESS, behavior } });
      const standIn = '\u{f0003}';
      const [plain, spelled] = [false, true].map((standIns) => tokenizer.encode(standIn, { standIns }));
      expect(spelled).not.toEqual(plain);
      for (const standIns of [false, true]) {
        expect(fiddlerError('file', () => tokenizer.encode(LETTERS, { standIns }))).toContain('takes more than');
        expect(tokenizer.encode(standIn)).toEqual(plain);
        expect(tokenizer.encode(standIn, { standIns: true })).toEqual(spelled);
      }
    },
  );

  it('in a normalizer is one, and so it is where a file has it for each text', () => {
    const normalizer = { type: 'Replace', pattern: ENDLESS, content: 'x' };
    expect(fiddlerError('file', () => load({ normalizer }).encode(LETTERS))).toContain('tokenizer.json');
    const always = { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: LETTERS }, normalizer] };
    expect(fiddlerError('file', () => load({ normalizer: always }))).toContain('tokenizer.json');
  });

  it('in a decoder is one', () => {
    const tokenizer = load({
      decoder: { type: 'Sequence', decoders: [{ type: 'Fuse' }, { type: 'Replace', pattern: ENDLESS, content: '' }] },
    });
    const ids = [idOf('a'), idOf('b')];
    expect(tokenizer.decode(ids)).toBe('ab');
    const many = Array.from({ length: 60 }, (_, i) => ids[i % 2]!);
    expect(fiddlerError('file', () => tokenizer.decode(many))).toContain('takes more than');
  });
});
