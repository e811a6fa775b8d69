import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StreamDecoder } from '../../src/text/stream.js';
import { loadTokenizer, type Tokenizer } from '../../src/text/tokenizer.js';
import { byteFallbackJson, DECODERS, idOf, MINI_MIXTRAL, tokenizerOf } from './byte-fallback.js';

const miniMixtral = loadTokenizer(MINI_MIXTRAL)!;
const byteFallback = Object.keys(DECODERS).map(
  (name) => [name, tokenizerOf(byteFallbackJson(name as keyof typeof DECODERS))] as const,
);
const all = [['mini-mixtral', miniMixtral] as const, ...byteFallback];

/** Every piece, the last one from `flush`. */
function pieces(tokenizer: Tokenizer, ids: readonly number[], context?: readonly number[]): string[] {
  const decoder = new StreamDecoder(tokenizer, context);
  return [...ids.map((id) => decoder.push(id)), decoder.flush()];
}

const unicode = fc.string({ unit: 'binary', maxLength: 60 }).map((text) => text.replaceAll('<', '('));

/** Ids that often are single bytes, so that characters come in parts, whole ones and wrong ones. */
function anyIds(tokenizer: Tokenizer) {
  const byte = fc.integer({ min: 3, max: 258 });
  return fc.array(fc.oneof(byte, fc.integer({ min: 0, max: tokenizer.vocabularySize + 3 })), { maxLength: 60 });
}

describe.each(all)('StreamDecoder, %s', (_, tokenizer) => {
  it('gives the text of any ids in pieces', () => {
    fc.assert(
      fc.property(anyIds(tokenizer), (ids) => {
        expect(pieces(tokenizer, ids).join('')).toBe(tokenizer.decode(ids));
      }),
      { numRuns: 1000 },
    );
  });

  it('gives any text in pieces of whole characters', () => {
    fc.assert(
      fc.property(unicode, (text) => {
        const given = pieces(tokenizer, tokenizer.encode(text));
        expect(given.join('')).toBe(tokenizer.decode(tokenizer.encode(text)));
        for (const piece of given.filter((piece) => !text.includes('\uFFFD') && piece)) {
          expect(piece).not.toContain('\uFFFD');
          expect(piece).not.toMatch(/\p{Surrogate}/u); // no half of a pair
        }
      }),
      { numRuns: 500 },
    );
  });

  it('continues any text as if it had been decoded with it', () => {
    fc.assert(
      fc.property(unicode, unicode, (prompt, text) => {
        const context = tokenizer.encode(prompt);
        const ids = tokenizer.encode(text, { addSpecial: false });
        expect(tokenizer.decode(context) + pieces(tokenizer, ids, context).join('')).toBe(
          tokenizer.decode([...context, ...ids]),
        );
      }),
      { numRuns: 300 },
    );
  });

  it('decodes only a few tokens for each', () => {
    let longest = 0;
    const counting: Tokenizer = {
      ...tokenizer,
      decode(ids) {
        longest = Math.max(longest, ids.length);
        return tokenizer.decode(ids);
      },
    };
    const worst = byteFallback.some(([, other]) => other === tokenizer) ? idOf('<0x80>') : 5;
    pieces(counting, new Array(1000).fill(worst));
    pieces(counting, tokenizer.encode('ab c '.repeat(200)));
    expect(longest).toBeLessThanOrEqual(8);
  });
});

describe.each(byteFallback)('StreamDecoder, leading spaces and split characters, %s', (_, tokenizer) => {
  const ids = (...tokens: string[]) => tokens.map(idOf);

  it('drops the first space only', () => {
    expect(pieces(tokenizer, ids('▁ab', '▁ab', '▁', '▁a'))).toEqual(['ab', ' ab', ' ', ' a', '']);
    expect(pieces(tokenizer, ids('<s>', '▁', 'ab', '▁ab'))).toEqual(['', '', 'ab', ' ab', '']);
  });

  it('keeps the first space of a text that continues a prompt', () => {
    expect(pieces(tokenizer, ids('▁ab'), ids('<s>', '▁a'))).toEqual([' ab', '']);
    expect(pieces(tokenizer, ids('▁ab'), ids('<s>'))).toEqual(['ab', '']);
  });

  it('waits for all bytes of a character, and says when they do not come', () => {
    const emoji = ids('<0xF0>', '<0x9F>', '<0x98>', '<0x80>');
    expect(pieces(tokenizer, [...emoji, idOf('a')])).toEqual(['', '', '', '😀', 'a', '']);
    expect(pieces(tokenizer, emoji.slice(0, 3))).toEqual(['', '', '', '\uFFFD']);
    expect(pieces(tokenizer, [...emoji.slice(0, 3), idOf('a')])).toEqual(['', '', '', '\uFFFDa', '']);
  });

  it('gives nothing for special tokens, in the middle of a character either', () => {
    expect(pieces(tokenizer, ids('<0xC3>', '</s>', '<0xA9>', '<think>'))).toEqual(['', '', 'é', '<think>', '']);
    const ends = new Array(9).fill('</s>');
    expect(pieces(tokenizer, ids('<0xC3>', ...ends, '<0xA9>')).join('|')).toBe('||||||||||é|');
    expect(pieces(tokenizer, ids('▁a', ...ends, '▁a')).join('')).toBe('a a');
  });
});
