import type { OnToken } from '../engine/question.js';
import type { GeneratedToken } from '../report.js';
import { MaskReader } from '../text/grammar/reader.js';
import { reasoningParser } from '../text/reasoning/index.js';
import type { Tokenizer } from '../text/tokenizer.js';
import { namedFormat } from '../text/tools/index.js';
import { CallReader } from '../text/tools/reader.js';
import type { Calls } from './protocol.js';
import { TextWriter } from './writer.js';

/** What an answer is read with. */
interface Reading {
  tokenizer: Tokenizer;
  /** The prompt, and what of it the answer's text continues. */
  prompt: readonly number[];
  continued: readonly number[];
  /** Tokens that end an answer. */
  ends: ReadonlySet<number>;
  asked: Calls['generate']['input'];
  item: (token: GeneratedToken) => void;
}

/** Makes of an answer's tokens what was asked for: text, channels, calls of tools, and masks of what may come next. */
export class AnswerReader {
  readonly #writer: TextWriter;
  readonly #calls: CallReader | undefined;
  readonly #mask: MaskReader | undefined;

  constructor({ tokenizer, prompt, continued, ends, asked, item }: Reading) {
    const { options, channels, tools, constraint } = asked;
    const parser = channels ? reasoningParser(tokenizer, prompt) : undefined;
    const format = tools && namedFormat(tools.format);
    this.#calls = format && new CallReader(format, tools.tools, tokenizer, item);
    this.#mask = constraint && new MaskReader(constraint, parser, ends);
    this.#writer = new TextWriter({
      tokenizer,
      prompt: continued,
      stop: options.stop ?? [],
      parser,
      marks: format && [...format.begins, ...format.marks],
      onToken: this.#calls?.push.bind(this.#calls) ?? item,
    });
  }

  readonly push: OnToken = (token, top, logprob) => {
    const covered = this.#mask?.covers(token); // as it was before the token
    const stopped = this.#writer.push(token, top, logprob);
    return (covered && this.#mask!.take(token)) || stopped;
  };

  /** A bit for each token that may come next, the lowest first; undefined where any may. */
  readonly mask = (): Int32Array | undefined => this.#mask?.next();

  /** Gives what was held. @returns the stop text at which the answer ended */
  finish(): string | undefined {
    this.#writer.finish();
    this.#calls?.finish();
    return this.#writer.stop;
  }

  /** Frees what it holds, whether or not it was finished. */
  end(): void {
    this.#mask?.end();
  }
}
