import type { FiddlerError } from '../errors.js';
import type { Profile } from '../experts/profile.js';
import type { LoadOptions } from '../options.js';
import type { Activity, ModelInfo, Report, ScoredToken } from '../report.js';
import type { FoundAnswer } from '../sampling/beam-search.js';
import type { BeamQuestion, Question } from './question.js';

/** How a question ended. */
export type Outcome = { report: Report } | { error: FiddlerError };

/** A loaded model on its own thread's stack: everything here blocks. Lives inside the engine thread. */
export interface Engine {
  readonly info: ModelInfo;
  /** Ids after which generation ends (config.json and generation_config.json); a tokenizer's own are added. */
  readonly endTokens: Set<number>;
  /** Computes a little that counts for nothing, so that the first prompt is not slower than others. At most once, first. */
  warmUp(): void;
  /**
   * Continues a prompt from now on, a call of the model at each `advance`, beside whatever else was begun; tokens of it that are in the KV cache
   * from earlier ones are not computed again.
   * @param onEnd told once how it ended: with a report, or a FiddlerError (`numeric`: logits that are not numbers)
   * @throws FiddlerError `context` (prompt longer than the context), `usage` (ids outside the vocabulary)
   */
  begin(question: Question, onEnd: (outcome: Outcome) => void): void;
  /**
   * Searches for the likeliest answers as `begin` generates one, each beam a sequence.
   * @param onEnd told once how it ended, and what was found, the best first
   * @throws FiddlerError as `begin`; `usage`: more beams than sequences, more answers than beams
   */
  search(question: BeamQuestion, onEnd: (outcome: Outcome, found: readonly FoundAnswer[]) => void): void;
  /** Computes the next call of the model for what was begun. @returns whether there is more to do */
  advance(): boolean;
  /**
   * Has `advance` run `work` once what came before it has begun and `work` can have a sequence for itself, or once it was
   * cancelled, when it needs none.
   */
  whenFree(work: () => void, cancelled: () => boolean): void;
  /** Log-probability of each token given those before it. Errors as `begin` and its report. */
  score(
    tokens: readonly number[],
    logprobs: number,
    onToken: (scored: ScoredToken) => void,
    cancelled: () => boolean,
  ): Report;
  /**
   * How often each expert is chosen over texts, each computed anew; undefined where it was cancelled. An encoder-decoder
   * reads each as a prompt and as the answer to it.
   * @throws FiddlerError `usage`: ids outside the vocabulary, or no tokens at all
   */
  profile(
    texts: readonly (readonly number[])[],
    onProgress: (done: number, total: number) => void,
    cancelled: () => boolean,
  ): Profile | undefined;
  /** What it does at the moment, and has done. */
  readonly activity: Activity;
  /** Frees every native resource. */
  close(): void;
}

/** What a load is told, and whom it asks whether it is still wanted. */
export interface Loading extends LoadOptions {
  /** Called at every stage; what it throws ends the load. */
  throwIfEnded?: () => void;
}

/** Loads the model in `dir`; blocks. */
export type LoadEngine = (dir: string, options: Loading) => Engine;
