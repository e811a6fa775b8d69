import type { GeneratedToken, Report } from '../engine/options.js';
import type { ScoredText } from './protocol.js';
import { Stream } from './stream.js';

/** Starts a call and gives its report; `onItem` takes what it makes on the way. */
type Start<T> = (onItem: (item: T) => void, signal: AbortSignal) => Promise<Report>;

/** A call that is running: its items as they come, and its report. It runs whether or not anyone reads the items. */
class Running<T> {
  /** What was done and how fast, once it has ended. Rejects with the FiddlerError that iterating would throw. */
  readonly report: Promise<Report>;
  protected readonly items: Stream<T>;

  constructor(start: Start<T>, signal?: AbortSignal) {
    const left = new AbortController();
    this.items = new Stream(() => left.abort());
    this.report = start((item) => this.items.push(item), signal ? AbortSignal.any([signal, left.signal]) : left.signal);
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
