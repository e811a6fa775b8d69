/** One of several answers to a prompt. */
export interface Choice {
  /** Without the token that ended it. */
  tokens: number[];
  /** Without a stop text; '' where the model has no tokenizer. */
  text: string;
  finish: Report['finish'];
  /** Sum of the log-probabilities of all that was chosen, the token that ended it among them, before any option. */
  logprob: number;
  /** By which answers are compared: the mean of these log-probabilities; of beams as the length penalty has it. */
  score: number;
}

/** Several answers to a prompt, the best first. */
export interface Choices {
  choices: Choice[];
  /** Of all that were generated, in the order of `choices`; of beams one, whose generated tokens are their steps. */
  reports: Report[];
}

/** A token and the natural logarithm of its probability. */
export interface TokenLogprob {
  token: number;
  /** How the token is written in a text; missing where the model has no tokenizer. */
  text?: string;
  /** The same as bytes of UTF-8, where these are no whole characters. */
  bytes?: number[];
  logprob: number;
}

/** A part of an answer: what the model writes to itself before it answers, what it answers, and calls of tools. */
export type Channel = 'reasoning' | 'answer' | 'call';

/** A piece of a call of a tool: the first one has the name, and the pieces of the arguments together are a JSON object. */
export interface CallPiece {
  /** Of the call among those of the answer. */
  index: number;
  name?: string;
  /** Where the model itself gives calls one. */
  id?: string;
  arguments?: string;
}

/** One generated token. */
export interface GeneratedToken {
  token: number;
  /** Text that became certain with this token; '' while a character or a stop text is incomplete. */
  text: string;
  /** In a conversation, where the text belongs; missing where the token only marks the parts of the answer. */
  channel?: Channel;
  /** What became certain of calls of tools. */
  calls?: CallPiece[];
  /** The K likeliest tokens, likeliest first, where `logprobs` asked for them: as the model has it, before any option. */
  top?: TokenLogprob[];
  /** Of the token itself, where `logprobs` asked for the likeliest. */
  logprob?: number;
  /** How the token is written in a text, there; the same as bytes of UTF-8, where these are no whole characters. */
  spelled?: string;
  bytes?: number[];
}

/** One position of `score`: the token there and how likely the model found it given all before. */
export interface ScoredToken {
  position: number;
  token: number;
  /** Missing for position 0, which nothing precedes. */
  logprob?: number;
  top?: TokenLogprob[];
}

/** What one lane did: expert executions (one expert for one call, whatever its tokens), weight bytes it read or copied, and its time. */
export interface LaneReport {
  experts: number;
  bytes: number;
  ms: number;
}

/** What the cache of streamed experts saved, and what copies ahead of need did. */
export interface CacheReport {
  /** Executions of streamed experts that needed no copy then, because of prefetches or of earlier ones. */
  hits: number;
  /** Experts copied ahead that the layer they were meant for then needed, and those that it did not. */
  usefulPrefetches: number;
  wastedPrefetches: number;
}

/** What a call waits for most: the CPU's memory or arithmetic, copies to the accelerator, or the accelerator itself. */
export type Limit = 'memory' | 'compute' | 'link' | 'accelerator';

/** What a call for text is predicted to take. */
export interface Expected {
  /** Seconds to the first token. */
  ttft: Figure;
  /** Tokens a second. */
  decodeRate: Figure;
}

/** A predicted figure, and how far off it may be on either side. */
export interface Figure {
  value: number;
  low: number;
  high: number;
  /** What this is waited for most. */
  limit: Limit;
}

/** What a generation or a scoring did and how fast. */
export interface Report {
  model: string;
  accelerator: string;
  policy: string;
  threads: number;
  /** The kernels that compute experts on the CPU. */
  kernels: string;
  seed?: number;
  promptTokens: number;
  /** Prompt tokens that were already in the KV cache. */
  cachedTokens: number;
  generatedTokens: number;
  /** Sum of the log-probabilities of the generated tokens, before any option; where `logprobs` asked for the likeliest. */
  logprob?: number;
  /** Why it ended: an end token, a stop text, maxTokens or the context, or the caller. */
  finish: 'end' | 'stop' | 'length' | 'aborted';
  /** Which stop text it was. */
  stop?: string;
  /** Time to first token, in seconds. */
  ttft: number;
  /** Tokens a second; 0 where there was nothing to measure. */
  prefillRate: number;
  decodeRate: number;
  /** What a plan would have said of `ttft` and `decodeRate`; missing where it was not asked for, or nothing was measured. */
  expected?: Expected;
  /** `hitRate`: share of executions that found their weights on the accelerator; `exchanged`: by `rebalance`. */
  experts: ModelInfo['experts'] & { hitRate: number; exchanged: number };
  /**
   * What was computed for this answer. Beside others it is all that was computed for any of them since the report before
   * this, so that reports add up.
   */
  lanes: { resident: LaneReport; streamed: LaneReport; cpu: LaneReport };
  cache: CacheReport;
  /** `peakRss`: most bytes of RAM that the process took at a time; `planned` is what to compare it with. */
  memory: ModelInfo['memory'] & { peakRss: number };
}

/** What a model does at the moment, and what it has done since it was loaded. */
export interface Activity {
  /** Tokens in the KV cache, of answers that run and of those that have ended. */
  cachedTokens: number;
  lanes: { resident: LaneActivity; streamed: LaneActivity; cpu: LaneActivity };
  /** Executions of experts that found their weights on the accelerator. */
  hits: number;
  /** Resident experts that were exchanged for missing ones. */
  exchanges: number;
}

export type LaneActivity = Omit<LaneReport, 'ms'>;

/** Where a model's memory is, in bytes. */
export interface MemoryReport {
  /** Taken on the accelerator. */
  accelerator: number;
  /** Weights in RAM that the CPU serves. */
  ram: number;
  /** RAM that the model takes once all of it was used: weights, activations, and the accelerator where it has no memory of its own. */
  taken: number;
  /** As a plan has it: that, and the process itself; missing where a plan has not yet measured the process here. */
  planned?: number;
}

/** What was loaded. */
export interface ModelInfo {
  name: string;
  family: string;
  accelerator: string;
  policy: string;
  threads: number;
  /** The kernels that compute experts on the CPU. */
  kernels: string;
  vocabulary: number;
  /** Context length in tokens that this load holds, and for how many sequences at once. */
  context: number;
  sequences: number;
  /** An encoder-decoder reads the whole prompt and writes an answer to it; a decoder continues it. */
  architecture: 'decoder' | 'encoder-decoder';
  layers: number;
  /** `profiled`: tokens of the profile by which the resident ones were chosen, 0 without one; `types`: of their matrices. */
  experts: { resident: number; total: number; profiled: number; types: string };
  memory: MemoryReport;
  loadSeconds: number;
  /** Tokens after which an answer ends. */
  endTokens?: readonly number[];
}
