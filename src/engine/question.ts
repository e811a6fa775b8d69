import type { BeamOptions, GenerateOptions } from '../options.js';
import type { TokenLogprob } from '../report.js';

/**
 * Called with each token as it is chosen, and where they were asked for with the likeliest ones and its own
 * log-probability; `true` ends the generation with finish `stop`.
 */
export type OnToken = (token: number, top?: TokenLogprob[], logprob?: number) => boolean;

/** Asked before each token for a bit of each that may be chosen, the lowest first; undefined where any may. */
export type NextMask = () => Int32Array | undefined;

/** What is asked of a model: to continue `prompt`. */
export interface Question {
  prompt: readonly number[];
  options: GenerateOptions;
  onToken: OnToken;
  /** Asked between layers and tokens; `true` ends generation (finish `aborted`). */
  cancelled: () => boolean;
  /** Whether no token of it should be computed for now; who says so has `advance` called once that has changed. */
  rests?: () => boolean;
  mask?: NextMask;
}

/** What is asked of a model: the likeliest answers to a prompt. */
export interface BeamQuestion {
  prompt: readonly number[];
  options: Omit<BeamOptions, 'signal'>;
  cancelled: () => boolean;
}
