import type { Channel } from '../../report.js';
import type { Tokenizer } from '../tokenizer.js';
import type { ReasoningFormat, ReasoningParser } from './format.js';

/**
 * The harmony response format (github.com/openai/harmony, docs/format.md): an answer is a series of messages
 * `<|start|>{role}<|channel|>{channel}<|message|>{content}<|end|>`, the first begun by the prompt.
 */
export const harmony: ReasoningFormat = {
  parser(tokenizer, prompt) {
    const start = tokenizer.id('<|start|>');
    const channel = tokenizer.id('<|channel|>');
    const message = tokenizer.id('<|message|>');
    const end = tokenizer.id('<|end|>');
    if (start === undefined || channel === undefined || message === undefined || end === undefined) return undefined;
    const begin = prompt.lastIndexOf(start);
    if (begin < 0) return undefined;
    const parser = new HarmonyParser(tokenizer, { channel, message, ends: new Set([start, end]) });
    for (const token of prompt.slice(begin)) parser.push(token);
    return parser;
  },
};

class HarmonyParser implements ReasoningParser {
  /** The channel of the content being read; undefined in a header and between messages. */
  #content: Channel | undefined;
  /** Ids of the channel's name in the header being read. */
  #name: number[] = [];
  #naming = false;
  /** Ids of the header's texts by what is between control tokens: a recipient is named before the channel or behind it. */
  #header: number[][] = [[]];
  recipient: string | undefined;

  constructor(
    private readonly tokenizer: Tokenizer,
    private readonly tags: { channel: number; message: number; ends: ReadonlySet<number> },
  ) {}

  get next(): { isAnswer: boolean } {
    return { isAnswer: this.#content === 'answer' };
  }

  push(token: number): Channel | undefined {
    const { channel, message, ends } = this.tags;
    if (ends.has(token)) {
      this.#content = undefined;
      this.#name = [];
      this.#header = [[]];
      this.#naming = false;
      this.recipient = undefined;
    } else if (this.#content) {
      return this.#content;
    } else if (token === message) {
      this.#content = this.#channel();
      const header = this.#header.map((ids) => this.tokenizer.decode(ids)).join(' ');
      this.recipient = /\bto=functions\.(\S+)/.exec(header)?.[1];
    } else if (token === channel || this.tokenizer.special.has(token)) {
      this.#naming = token === channel; // `<|constrain|>` ends a name
      this.#header.push([]);
    } else {
      if (this.#naming) this.#name.push(token);
      this.#header.at(-1)!.push(token);
    }
    return undefined;
  }

  /**
   * `final` is the answer. `analysis` is the chain of thought; `commentary` has calls of tools and what leads up to
   * them. A recipient may follow the name: `commentary to=functions.get_weather`.
   */
  #channel(): Channel {
    const [name] = this.tokenizer.decode(this.#name).trim().split(/\s/);
    return name === 'analysis' || name === 'commentary' ? 'reasoning' : 'answer';
  }
}
