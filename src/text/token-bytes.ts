import type { Tokenizer } from './tokenizer.js';

/** The character by which byte-level vocabularies write each byte: GPT-2's `bytes_to_unicode`. */
export const BYTE_CHARACTERS: readonly string[] = byteCharacters();

const BYTES: ReadonlyMap<string, number> = new Map(BYTE_CHARACTERS.map((character, byte) => [character, byte]));
const FALLBACK = /^<0x([0-9A-F]{2})>$/;

/** The bytes of UTF-8 that a token stands for within a text, which alone may be no whole characters. */
export function tokenBytes(tokenizer: Tokenizer, id: number): Buffer {
  const piece = tokenizer.piece(id);
  if (piece === undefined || addedTo(tokenizer).has(piece) || tokenizer.encoding === undefined) {
    return Buffer.from(tokenizer.decode([id], { skipSpecial: false }));
  }
  if (tokenizer.encoding === 'byte_level') return Buffer.from([...piece].map((character) => BYTES.get(character) ?? 0));
  const byte = FALLBACK.exec(piece)?.[1];
  return byte === undefined ? Buffer.from(piece.replaceAll('▁', ' ')) : Buffer.from([Number.parseInt(byte, 16)]);
}

const added = new WeakMap<Tokenizer, ReadonlySet<string>>();

/** Texts of added tokens, which are written as they are; there may be thousands. */
function addedTo(tokenizer: Tokenizer): ReadonlySet<string> {
  const known = added.get(tokenizer) ?? new Set(tokenizer.added.map(({ content }) => content));
  added.set(tokenizer, known);
  return known;
}

function byteCharacters(): string[] {
  const isPrintable = (byte: number) => (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  let next = 0x100;
  return Array.from({ length: 0x100 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
}
