import type { GeneratedToken, TokenLogprob } from '../engine/options.js';
import { StopMatcher } from '../text/stop.js';
import { StreamDecoder } from '../text/stream.js';
import type { Tokenizer } from '../text/tokenizer.js';

/** What a `TextWriter` is made of. */
interface WriterOptions {
  tokenizer: Tokenizer;
  /** Ids of the text that is continued. */
  prompt: readonly number[];
  stop: readonly string[];
  onToken: (token: GeneratedToken) => void;
}

/** Gives each generated token the text that became certain with it, and sees where a stop text begins. */
export class TextWriter {
  readonly #decoder: StreamDecoder;
  readonly #stops: StopMatcher;
  readonly #onToken: (token: GeneratedToken) => void;
  /** UTF-16 code units that may be the beginning of a stop text. */
  #held = 0;
  /** The newest token, kept while text is held: at the end it takes that text. */
  #kept: GeneratedToken | undefined;

  constructor({ tokenizer, prompt, stop, onToken }: WriterOptions) {
    this.#decoder = new StreamDecoder(tokenizer, prompt);
    this.#stops = new StopMatcher(stop);
    this.#onToken = onToken;
  }

  /** Takes the next token; `true` once a stop text is complete. */
  push(token: number, top?: TokenLogprob[]): boolean {
    this.#release();
    const piece = this.#decoder.push(token);
    const { text, stopped } = this.#stops.push(piece);
    this.#held += piece.length - text.length;
    this.#kept = { token, text, ...(top && { top }) };
    if (stopped || this.#held === 0) this.#release();
    return stopped;
  }

  /** Ends the text. A character that stayed incomplete is left out. */
  finish(): void {
    if (this.#kept) this.#kept.text += this.#stops.flush();
    this.#release();
  }

  #release(): void {
    if (this.#kept) this.#onToken(this.#kept);
    this.#kept = undefined;
  }
}
