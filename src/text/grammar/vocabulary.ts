import { FiddlerError } from '../../errors.js';
import { BYTE_CHARACTERS } from '../token-bytes.js';
import type { Tokenizer } from '../tokenizer.js';
import { MARKS } from './free-text.js';

/** How the grammar engine reads what tokens are written as. */
export type Encoding = 'byte_level' | 'byte_fallback';

/**
 * Control characters as each encoding writes them. JSON in one line has none, and of a string whose length is bounded the
 * engine would allow them.
 */
const CONTROL: Readonly<Record<Encoding, RegExp>> = {
  byte_level: /[\u0100-\u011f]/,
  byte_fallback: /^<0x[01][0-9A-F]>$|[^\P{Cc}\u007f-\u009f]/u,
};

/** A byte of those that stand for marks. */
const MARK_BYTE = /^<0x(0[1-8EF]|1[0-5])>$/;

/**
 * Bytes that are in no UTF-8, or behind which not every continuation is: where the engine counts a character, such a
 * sequence would be read as several.
 */
const DOUBTFUL: Readonly<Record<Encoding, RegExp>> = {
  byte_level: /[àíðô]$|[ÀÁõö÷øùúûüýþÿ]/,
  byte_fallback: /^<0x(E0|ED|F0|F4|C0|C1|F[5-9A-F])>$/,
};

/** What a vocabulary is made for. */
export interface Purpose {
  /** Nothing but JSON in one line. */
  isJson: boolean;
  /** Lengths of strings matter; then characters that are spelled in bytes may be ruled out. */
  counted: boolean;
  /** Texts that are tokens of their own where the tokenizer has them so. */
  marks: readonly string[];
}

/** Marks that are tokens, each with the character that stands for it. */
export function markCharacters(tokenizer: Tokenizer, marks: readonly string[]): Map<string, string> {
  const known = marks.filter((mark) => tokenizer.id(mark) !== undefined);
  return new Map(known.map((mark, i) => [mark, MARKS[i]!]));
}

/**
 * The tokens by their ids as the grammar engine wants them: '' for those that are no text.
 * @param size of the logits, which may be larger than the tokenizer's
 * @throws FiddlerError `unsupported`
 */
export function grammarVocabulary(
  tokenizer: Tokenizer,
  size: number,
  { isJson, counted, marks }: Purpose,
): { tokens: string[]; encoding: Encoding } {
  const { encoding } = tokenizer;
  if (encoding === undefined) {
    const problem = 'this model has a tokenizer that answers cannot be held to a schema with';
    throw new FiddlerError('unsupported', problem, 'ask for JSON in a message');
  }
  const added = new Set(tokenizer.added.map(({ content }) => tokenizer.id(content)));
  const stands = new Map<number, string>();
  const spelled = (character: string) => (encoding === 'byte_level' ? byteLevel(character) : character);
  const characters = MARKS.map(spelled);
  for (const [mark, character] of markCharacters(tokenizer, marks)) stands.set(tokenizer.id(mark)!, spelled(character));
  const written = (id: number) => {
    const mark = stands.get(id);
    if (mark !== undefined) return mark;
    const piece = tokenizer.piece(id) ?? '';
    const isDoubtful =
      (isJson && CONTROL[encoding].test(piece)) ||
      (stands.size > 0 && (MARK_BYTE.test(piece) || characters.some((character) => piece.includes(character)))) ||
      (counted && DOUBTFUL[encoding].test(piece));
    return added.has(id) || isDoubtful ? '' : piece;
  };
  return { tokens: Array.from({ length: size }, (_, id) => written(id)), encoding };
}

/** A text as vocabularies of byte-level tokenizers write it: printable bytes as they are, others from U+0100 on. */
function byteLevel(text: string): string {
  return [...Buffer.from(text)].map((byte) => BYTE_CHARACTERS[byte]!).join('');
}
