import type { Channel, GeneratedToken, TokenLogprob } from '../engine/options.js';
import type { ReasoningParser } from '../text/reasoning/format.js';
import { StopMatcher } from '../text/stop.js';
import { StreamDecoder } from '../text/stream.js';
import type { Tokenizer } from '../text/tokenizer.js';

/** What a `TextWriter` is made of. */
interface WriterOptions {
  tokenizer: Tokenizer;
  /** Ids of the text that is continued. */
  prompt: readonly number[];
  /** Texts at which the answer stops; reasoning goes on through them. */
  stop: readonly string[];
  /** Tells reasoning and answer apart; without one, everything is text. */
  parser?: ReasoningParser;
  onToken: (token: GeneratedToken) => void;
}

/** Gives each generated token the text that became certain with it, and sees where a stop text begins. */
export class TextWriter {
  readonly #decoder: StreamDecoder;
  readonly #stops: StopMatcher;
  readonly #parser: ReasoningParser | undefined;
  readonly #onToken: (token: GeneratedToken) => void;
  /** Of the newest token. */
  #channel: Channel | undefined;
  /** UTF-16 code units that may be the beginning of a stop text. */
  #held = 0;
  /** The newest token, kept while text is held: at the end it takes that text. */
  #kept: GeneratedToken | undefined;

  constructor({ tokenizer, prompt, stop, parser, onToken }: WriterOptions) {
    this.#decoder = new StreamDecoder(tokenizer, prompt);
    this.#stops = new StopMatcher(stop);
    this.#parser = parser;
    this.#onToken = onToken;
  }

  /** Takes the next token; `true` once a stop text is complete. */
  push(token: number, top?: TokenLogprob[]): boolean {
    const channel = this.#parser?.push(token);
    if (channel !== this.#channel) this.finish();
    this.#channel = channel;
    this.#release();
    const isTag = this.#parser !== undefined && channel === undefined;
    const piece = isTag ? '' : this.#decoder.push(token);
    const { text, stopped } = channel === 'reasoning' ? { text: piece, stopped: false } : this.#stops.push(piece);
    this.#held += piece.length - text.length;
    this.#kept = { token, text, ...(channel && { channel }), ...(top && { top }) };
    if (stopped || this.#held === 0) this.#release();
    return stopped;
  }

  /** Ends the text, or the text of a channel. A character that stayed incomplete is left out. */
  finish(): void {
    this.#decoder.flush();
    if (this.#kept) this.#kept.text += this.#stops.flush();
    this.#held = 0;
    this.#release();
  }

  #release(): void {
    if (this.#kept) this.#onToken(this.#kept);
    this.#kept = undefined;
  }
}
