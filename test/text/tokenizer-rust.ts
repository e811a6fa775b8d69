import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadTokenizer, type Tokenizer } from '../../src/text/tokenizer.js';
import type { JsonObject } from '../../src/weights/config.js';
import { fiddlerError } from '../support/errors.js';
import { temporaryFolder } from '../support/folder.js';
import { KINDS } from './tokenizer-kinds.js';
import { PIECES } from './tokenizer-models.js';

/** What is used of the Rust tokenizers, which are a CommonJS module. */
interface RustTokenizer {
  encode(text: string): Promise<{ getIds(): number[] }>;
  decode(ids: number[], skipSpecial: boolean): Promise<string>;
}
const { Tokenizer: Rust }: { Tokenizer: { fromString(json: string): RustTokenizer } } = createRequire(import.meta.url)(
  'tokenizers',
);

/** Kinds that are refused, with what the line names. */
const REFUSED: Readonly<Record<string, string>> = {
  UnicodeScripts: 'UnicodeScripts',
  'normalizer of bytes': 'ByteLevel',
  'two templates': 'several that add tokens',
};

const text = fc
  .tuple(fc.array(fc.constantFrom(...PIECES), { minLength: 1, maxLength: 9 }), fc.constantFrom('', '', ' '))
  .map(([pieces, between]) => pieces.join(between));

function load(description: JsonObject): Tokenizer {
  const dir = temporaryFolder();
  writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(description));
  return loadTokenizer(dir)!;
}

/** Compares a tokenizer of every kind with the Rust tokenizers, over so many random texts each. */
export function compareWithRust(numRuns: number): void {
  describe('the Rust tokenizers give the same ids and text', () => {
    const kinds = Object.entries(KINDS).filter(([kind]) => !(kind in REFUSED));
    it.each(kinds)('%s', async (_, description) => {
      const rust = Rust.fromString(JSON.stringify(description));
      const ours = load(description);
      await fc.assert(
        fc.asyncProperty(text, async (t) => {
          const ids = (await rust.encode(t)).getIds();
          expect(ours.encode(t)).toEqual(ids);
          expect(ours.decode(ids, { skipSpecial: false })).toBe(ids.length > 0 ? await rust.decode(ids, false) : '');
        }),
        { numRuns },
      );
    });
  });

  it.each(Object.entries(REFUSED))('a step that is not computed is refused by name: %s', (kind, named) => {
    expect(fiddlerError('unsupported', () => load(KINDS[kind]!))).toContain(named);
  });
}
