import type { GenerateOptions } from '../options.js';
import type { GeneratedToken, Report } from '../report.js';
import type { Form } from '../text/grammar/outline.js';
import type { Tool } from '../text/tools/format.js';
import { Control } from './control.js';
import type { ScoredText } from './protocol.js';
import { Stream } from './stream.js';

/**
 * How one answer is generated, the tools that it may call, and what it must be, unless it ends early; what the model thinks
 * before is free. Where there are tools, an answer of a form may be a call in its place.
 */
export interface AnswerOptions extends GenerateOptions, Form {
  tools?: readonly Tool[];
  /** The answer is a call of any of the tools (`true`), or of the one of this name. */
  call?: boolean | string;
  /** Where a call is held to its form, it is the only one. */
  oneCall?: boolean;
}

/** Starts a call and gives its report; `onItem` takes what it makes on the way. */
type Start<T> = (onItem: (item: T) => void, control: Control) => Promise<Report>;

/** A call that is running: its items as they come, and its report. It runs whether or not anyone reads the items, unless it was told how far it may be ahead. */
class Running<T> {
  /** What was done and how fast, once it has ended. Rejects with the FiddlerError that iterating would throw. */
  readonly report: Promise<Report>;
  protected readonly items: Stream<T>;

  /** @param ahead items that may wait for their reader */
  constructor(start: Start<T>, signal?: AbortSignal, ahead = Number.POSITIVE_INFINITY) {
    const control = new Control(ahead);
    const end = () => control.end();
    this.items = new Stream(end, (length) => control.waiting(length));
    if (signal?.aborted) end();
    signal?.addEventListener('abort', end);
    this.report = start((item) => this.items.push(item), control).finally(() =>
      signal?.removeEventListener('abort', end),
    );
    // Handles the rejection too, so that a report nobody asks for cannot end the process.
    this.report.then(
      () => this.items.end(),
      (error) => this.items.fail(error),
    );
  }
}

/**
 * Text being generated: iterate once over its pieces, in a conversation those of the answer alone, or over `tokens()`.
 * Leaving the loop early ends the generation.
 * @throws FiddlerError while iterating: `context` (the prompt is longer than the context), `usage` (text for a model
 * without a tokenizer, ids outside the vocabulary), `numeric` (logits that are not numbers), `device`
 */
export class Generation extends Running<GeneratedToken> implements AsyncIterable<string> {
  /** Each token as it is chosen, with the text that became certain with it; in a conversation the reasoning too. */
  tokens(): AsyncIterable<GeneratedToken> {
    return this.items;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string, void, void> {
    for await (const { text, channel } of this.items) if (text !== '' && channel !== 'reasoning') yield text;
  }
}

/** Positions being scored, in order: iterate once. Leaving the loop early ends the scoring. Errors as Generation. */
export class Scoring extends Running<ScoredText> implements AsyncIterable<ScoredText> {
  [Symbol.asyncIterator](): AsyncIterator<ScoredText> {
    return this.items[Symbol.asyncIterator]();
  }
}
