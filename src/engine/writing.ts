import type { Report } from '../report.js';
import type { Question } from './question.js';
import type { Stopwatch } from './stopwatch.js';

/**
 * What comes of a line's logits: the answer ends, or its lines go on from those that `parents` numbers, each with a token
 * more. Undefined where the line goes on as it is, or logits of others are to come first.
 */
export type Step = { finish: Report['finish'] } | { parents: readonly number[] } | undefined;

/** What is written for a question: one line of tokens, or several of which some go on. */
export interface Writing {
  readonly question: Pick<Question, 'prompt' | 'cancelled' | 'rests'>;
  /** Lines at most, each of which takes a sequence; one at the beginning. */
  readonly width: number;
  /** Tokens of each that goes on, the prompt's first; where an encoder reads the prompt, of the answer alone. */
  readonly lines: readonly (readonly number[])[];
  /** What a report says of it beside its times. */
  readonly seed?: number;
  readonly logprob?: number;
  /** Its report says what a plan would have. */
  readonly expected?: boolean;
  /** Starts when the answer is begun. */
  readonly watch: Stopwatch;
  /** No other was computed beside it. */
  alone: boolean;
  begin(): void;
  /**
   * Takes the logits (vocabulary) after the last token of a line; they hold until this returns.
   * @throws FiddlerError `numeric`, and what the caller's function throws
   */
  next(logits: Float32Array, line: number): Step;
}
