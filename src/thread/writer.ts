import type { Channel, GeneratedToken, TokenLogprob } from '../report.js';
import type { ReasoningParser } from '../text/reasoning/format.js';
import { StopMatcher } from '../text/stop.js';
import { StreamDecoder } from '../text/stream.js';
import { tokenBytes } from '../text/token-bytes.js';
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
  /** Texts of control tokens that are a part of the text all the same. */
  marks?: readonly string[];
  /** @param recipient the tool to which the token's text goes, where the parser knows it */
  onToken: (token: GeneratedToken, recipient?: string) => void;
}

/** Gives each generated token the text that became certain with it, and sees where a stop text begins. */
export class TextWriter {
  readonly #tokenizer: Tokenizer;
  readonly #decoder: StreamDecoder;
  readonly #stops: StopMatcher;
  readonly #parser: ReasoningParser | undefined;
  readonly #onToken: WriterOptions['onToken'];
  /** Of the newest token. */
  #channel: Channel | undefined;
  /** Tokens that are written as a stop text is, and have no text of their own. */
  readonly #stopTokens: ReadonlyMap<number, string>;
  #stop: string | undefined;
  /** Control tokens with the texts that they have here. */
  readonly #marks: ReadonlyMap<number, string>;
  /** UTF-16 code units that may be the beginning of a stop text. */
  #held = 0;
  /** The newest token, kept while text is held: at the end it takes that text. */
  #kept: GeneratedToken | undefined;
  #recipient: string | undefined;

  constructor({ tokenizer, prompt, stop, parser, marks = [], onToken }: WriterOptions) {
    this.#tokenizer = tokenizer;
    this.#decoder = new StreamDecoder(tokenizer, prompt);
    this.#stops = new StopMatcher(stop);
    this.#stopTokens = controlTokens(tokenizer, stop);
    this.#marks = controlTokens(tokenizer, marks);
    this.#parser = parser;
    this.#onToken = onToken;
  }

  /** The stop text that is complete. */
  get stop(): string | undefined {
    return this.#stop;
  }

  /** Takes the next token; `true` once a stop text is complete. */
  push(token: number, top?: TokenLogprob[], logprob?: number): boolean {
    const channel = this.#parser?.push(token);
    const answers = !this.#parser || (channel ?? this.#channel) === 'answer';
    if (channel !== this.#channel) this.finish();
    this.#channel = channel;
    this.#release();
    const isTag = this.#parser !== undefined && channel === undefined;
    const mark = this.#marks.get(token);
    if (mark !== undefined) this.#decoder.flush(); // else a character that stayed incomplete would follow it
    const piece = isTag ? '' : (mark ?? this.#decoder.push(token));
    const { text, stopped: spelled } =
      channel === 'reasoning' ? { text: piece, stopped: false } : this.#stops.push(piece);
    if (spelled) this.#stop = this.#stops.found;
    else if (answers) this.#stop = this.#stopTokens.get(token);
    const stopped = this.#stop !== undefined;
    this.#recipient = this.#parser?.recipient;
    this.#held += piece.length - text.length;
    this.#kept = { token, text, ...(channel && { channel }), ...(top && this.#spelled(token, top, logprob)) };
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

  #spelled(token: number, top: readonly TokenLogprob[], logprob: number | undefined): Partial<GeneratedToken> {
    const { text: spelled, bytes } = this.#written(token);
    return {
      top: top.map((one) => ({ ...this.#written(one.token), ...one })),
      logprob,
      spelled,
      ...(bytes && { bytes }),
    };
  }

  /** How a token is written in a text, as bytes too where these are no whole characters. */
  #written(token: number): { text: string; bytes?: number[] } {
    const bytes = tokenBytes(this.#tokenizer, token);
    const text = bytes.toString();
    return text.includes('\uFFFD') ? { text, bytes: [...bytes] } : { text };
  }

  #release(): void {
    if (this.#kept) this.#onToken(this.#kept, this.#recipient);
    this.#kept = undefined;
  }
}

/** Those of the texts that are control tokens, by their ids. */
function controlTokens(tokenizer: Tokenizer, texts: readonly string[]): Map<number, string> {
  const known = texts.map((text) => [tokenizer.id(text), text] as const);
  return new Map(known.filter(([id]) => id !== undefined && !tokenizer.shown(id)) as [number, string][]);
}
