import type { CallPiece, GeneratedToken } from '../../report.js';
import type { Tokenizer } from '../tokenizer.js';
import type { CallSink, Tool, ToolFormat } from './format.js';
import { Malformed, type Reading } from './reading.js';
import { Scanner } from './scanner.js';

/** Takes calls of tools out of an answer's text as its tokens come. */
export class CallReader {
  readonly #format: ToolFormat;
  readonly #tools: ReadonlyMap<string, Tool>;
  readonly #onToken: (token: GeneratedToken) => void;
  /** Tokens that begin calls; where there are any, no other text does. */
  readonly #begins: ReadonlySet<number>;
  readonly #scanner = new Scanner();
  readonly #reading: Reading;
  /** What the newest piece of text gave. */
  #text = '';
  #pieces: CallPiece[] = [];
  #count = 0;
  #called: Tool | undefined;
  #last: GeneratedToken | undefined;
  #inside = false;
  /** Of harmony: to whom the message at hand goes. */
  #recipient: string | undefined;

  constructor(
    format: ToolFormat,
    tools: readonly Tool[],
    tokenizer: Tokenizer,
    onToken: (token: GeneratedToken) => void,
  ) {
    this.#format = format;
    this.#tools = new Map(tools.map((tool) => [tool.function.name, tool]));
    this.#onToken = onToken;
    const ids = format.begins.map((text) => tokenizer.id(text));
    this.#begins = new Set(ids.every((id) => id !== undefined) ? (ids as number[]) : []);
    this.#reading = this.#read();
    this.#reading.next();
  }

  push(token: GeneratedToken, recipient?: string): void {
    this.#last = token;
    if (recipient !== undefined) {
      this.#toRecipient(token, recipient);
      return;
    }
    this.#recipient = undefined;
    if (token.channel !== 'answer') this.#onToken(token);
    else if (!this.#inside && this.#begins.size > 0 && !this.#begins.has(token.token)) this.#outside(token);
    else {
      this.#scanner.push(token.text);
      this.#reading.next();
      this.#give(token);
    }
  }

  /** Gives what was held: the beginning of a call that did not come. */
  finish(): void {
    this.#scanner.end();
    this.#reading.next();
    if (this.#last && (this.#text !== '' || this.#pieces.length > 0)) this.#give({ token: this.#last.token, text: '' });
  }

  *#read(): Reading {
    const onText = (text: string) => {
      if (!this.#isBetween(text)) this.#text += text;
    };
    for (;;) {
      this.#inside = false;
      const begin = yield* this.#scanner.until(this.#format.begins, onText);
      if (begin === undefined) return;
      this.#inside = true;
      this.#scanner.remember(begin.length);
      const before = this.#count;
      try {
        yield* this.#format.read(this.#scanner, this.#sink);
      } catch (error) {
        if (!(error instanceof Malformed)) throw error;
        const rest = this.#scanner.since();
        if (this.#count === before) onText(rest); // no call, so that it is what the model says
      }
      this.#scanner.forget();
    }
  }

  readonly #sink: CallSink = {
    begin: (name, id) => {
      this.#called = this.#tools.get(name);
      this.#scanner.forget();
      this.#pieces.push({ index: this.#count++, name, ...(id !== undefined && { id }) });
    },
    arguments: (text) => {
      const last = this.#pieces.at(-1);
      if (last) last.arguments = (last.arguments ?? '') + text;
      else this.#pieces.push({ index: this.#count - 1, arguments: text });
    },
    schema: (argument) => {
      const properties = this.#called?.function.parameters?.properties as Record<string, unknown> | undefined;
      const schema = properties && Object.hasOwn(properties, argument) ? properties[argument] : undefined;
      return typeof schema === 'object' ? (schema as Record<string, unknown>) : undefined;
    },
  };

  /** White space between and behind calls is no answer. */
  #isBetween(text: string): boolean {
    return this.#count > 0 && text.trim() === '';
  }

  #outside(token: GeneratedToken): void {
    this.#onToken(this.#isBetween(token.text) ? { ...token, text: '' } : token);
  }

  #give(token: GeneratedToken): void {
    const text = this.#text;
    const calls = this.#pieces;
    this.#text = '';
    this.#pieces = [];
    const channel = this.#inside || calls.length > 0 ? 'call' : 'answer';
    this.#onToken({ ...token, text, channel: text !== '' ? 'answer' : channel, ...(calls.length > 0 && { calls }) });
  }

  #toRecipient(token: GeneratedToken, recipient: string): void {
    if (this.#recipient !== recipient) this.#sink.begin(recipient);
    this.#recipient = recipient;
    if (token.text !== '') this.#sink.arguments(token.text);
    this.#inside = true;
    this.#give({ ...token, text: '' });
    this.#inside = false;
  }
}
