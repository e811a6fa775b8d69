import type { Profile } from '../experts/profile.js';
import type { GenerateOptions, LoadOptions, ModelInfo, Report, ScoredToken, TokenLogprob } from './options.js';

/** A loaded model on its own thread's stack: everything here blocks. Lives inside the engine thread. */
export interface Engine {
  readonly info: ModelInfo;
  /** Ids after which generation ends (config.json and generation_config.json). */
  readonly endTokens: ReadonlySet<number>;
  /** Computes a little that counts for nothing, so that the first prompt is not slower than others. At most once, first. */
  warmUp(): void;
  /**
   * Continues `prompt`; tokens already in the KV cache from an earlier call are not computed again.
   * @param onToken called with each token as it is chosen; `true` ends generation (finish `stop`).
   * @param cancelled asked between layers and tokens; `true` ends generation (finish `aborted`).
   * @throws FiddlerError `context` (prompt longer than the context), `numeric` (logits that are not numbers), `usage` (ids outside the vocabulary)
   */
  generate(
    prompt: readonly number[],
    options: GenerateOptions,
    onToken: (token: number, top?: TokenLogprob[]) => boolean,
    cancelled: () => boolean,
  ): Report;
  /** Log-probability of each token given those before it. Errors as `generate`. */
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
  /** Frees every native resource. */
  close(): void;
}

/** Loads the model in `dir`; blocks. */
export type LoadEngine = (dir: string, options: LoadOptions) => Engine;
