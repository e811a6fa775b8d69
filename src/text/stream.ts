import type { Tokenizer } from './tokenizer.js';

/**
 * Tokens whose text is decoded together. The state of a UTF-8 decoder depends on at most the last 4 bytes, and a
 * token has at least one; decoders that treat the first token otherwise (Metaspace) need one token before the new one.
 */
const CONTEXT = 4;

/**
 * Turns tokens into text as they come. Only whole characters are given: a token may end inside one (byte-level BPE,
 * byte fallback). All pieces together equal the tokenizer's `decode` of all ids, and each costs the same however long
 * the text already is, since only the last few tokens are decoded again (as in `step_decode_stream` of Hugging Face
 * tokenizers).
 */
export class StreamDecoder {
  #window: number[];
  /** UTF-16 code units of the window's text that were given. */
  #given: number;

  /** @param context ids before the first one pushed: text that continues a prompt keeps its leading space */
  constructor(
    private readonly tokenizer: Tokenizer,
    context: readonly number[] = [],
  ) {
    this.#window = context.filter((id) => tokenizer.shown(id)).slice(-CONTEXT);
    this.#given = certainLength(tokenizer.decode(this.#window));
  }

  /** Text that became certain with this token; '' while a character is incomplete or the token is a special one. */
  push(id: number): string {
    if (!this.tokenizer.shown(id)) return '';
    this.#window.push(id);
    const text = this.tokenizer.decode(this.#window);
    const certain = certainLength(text);
    const piece = text.slice(this.#given, certain);
    this.#given = Math.max(this.#given, certain);
    if (this.#window.length >= 2 * CONTEXT) this.#forget();
    return piece;
  }

  /** What is left at the end: U+FFFD for a character that stayed incomplete, else ''. */
  flush(): string {
    const text = this.tokenizer.decode(this.#window);
    const rest = text.slice(this.#given);
    this.#given = text.length;
    return rest;
  }

  #forget(): void {
    this.#window = this.#window.slice(-CONTEXT);
    this.#given = certainLength(this.tokenizer.decode(this.#window));
  }
}

/** An incomplete character at the end of a text decodes to exactly one U+FFFD, which the next token may replace. */
function certainLength(text: string): number {
  return text.endsWith('\uFFFD') ? text.length - 1 : text.length;
}
