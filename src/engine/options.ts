import type { FiddlerError } from '../errors.js';

/** How a model is loaded. Everything has a default; `load` checks every field and throws a {@link FiddlerError} of code `usage`. */
export interface LoadOptions {
  /** Where everything but the missing experts is computed; `auto` takes a GPU that works, else `none`. */
  accelerator?: 'auto' | 'cuda' | 'vulkan' | 'host' | 'none';
  /** Accelerator memory this model may take, in bytes. Default: what is free there, less a reserve. */
  gpuMemory?: number;
  /** Share of all experts kept on the accelerator, 0 to 1, in place of what the budget gives. */
  expertsResident?: number;
  /** How missing experts are computed: a name in the policy registry. */
  policy?: string;
  /**
   * Bytes of the accelerator for a cache of streamed experts, beside the slots that streaming takes anyway; taken before
   * resident experts are placed. Default 0.
   */
  expertCache?: number;
  /** Copy experts ahead that the next layer will probably choose. Default: as the policy has it. */
  prefetch?: boolean;
  /** CPU threads. Default: the cores this process may use. */
  threads?: number;
  /** Which kernels compute experts on the CPU; `auto` takes the native ones where they were built and pay. */
  cpuKernels?: 'auto' | 'native' | 'ggml';
  /** `auto` computes in the stored type, `f32` upcasts everything. */
  dtype?: 'auto' | 'f32';
  /** Context length in tokens. Default: the model's own, up to 4096. */
  ctx?: number;
  /**
   * File with the counts by which resident experts are chosen, as `fiddler profile` writes it; false uses none. Default:
   * the stored profile of this model, if there is one.
   */
  profile?: string | false;
  /** Add what is chosen while running to the stored profile, when the model is closed. Default: no. */
  learn?: boolean;
  /** Exchange resident experts while running, where that pays. Default: no. */
  rebalance?: boolean;
  /** Lets ggml's own log lines through. */
  debug?: boolean;
  /** Called while weights are placed: bytes done and bytes in all. */
  onProgress?: (done: number, total: number) => void;
  /** Called with one-line warnings (a software device, a smaller residency than asked). */
  onWarning?: (line: string) => void;
}

/** How tokens are chosen and when generation stops. */
export interface GenerateOptions {
  /** Most tokens to generate; default 256, or in a conversation by a chat template all that the context holds. */
  maxTokens?: number;
  /** 0 is greedy; default 0.7. */
  temperature?: number;
  /** Keep the k likeliest tokens; 0 (default) keeps all. */
  topK?: number;
  /** Keep the likeliest tokens whose probabilities sum to p; default 0.9, 1 keeps all. */
  topP?: number;
  /** Keep tokens at least this fraction as likely as the likeliest; default 0. */
  minP?: number;
  /** Divides positive and multiplies negative logits of tokens already seen (CTRL, arXiv 1909.05858); default 1. */
  repetitionPenalty?: number;
  /** Same seed, same text. Default: random, given in the report. */
  seed?: number;
  /** Texts at which generation stops; they are not part of the output. */
  stop?: readonly string[];
  /** Give the K likeliest tokens with each generated one; default 0. */
  logprobs?: number;
  /** Have the report say what a plan would have; it takes some milliseconds. Default: no. */
  expected?: boolean;
  /** Ends generation early; the iterator then ends normally. */
  signal?: AbortSignal;
}

/** A token and the natural logarithm of its probability. */
export interface TokenLogprob {
  token: number;
  logprob: number;
}

/** A part of an answer: what the model writes to itself before it answers, and what it answers. */
export type Channel = 'reasoning' | 'answer';

/** One generated token. */
export interface GeneratedToken {
  token: number;
  /** Text that became certain with this token; '' while a character or a stop text is incomplete. */
  text: string;
  /** In a conversation, where the text belongs; missing where the token only marks the parts of the answer. */
  channel?: Channel;
  /** The K likeliest tokens, likeliest first, where `logprobs` asked for them. */
  top?: TokenLogprob[];
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
  /** Why it ended: an end token, a stop text, maxTokens or the context, or the caller. */
  finish: 'end' | 'stop' | 'length' | 'aborted';
  /** Time to first token, in seconds. */
  ttft: number;
  /** Tokens a second; 0 where there was nothing to measure. */
  prefillRate: number;
  decodeRate: number;
  /** What a plan would have said of `ttft` and `decodeRate`; missing where it was not asked for, or nothing was measured. */
  expected?: Expected;
  /** `hitRate`: share of executions that found their weights on the accelerator; `exchanged`: by `rebalance`. */
  experts: ModelInfo['experts'] & { hitRate: number; exchanged: number };
  lanes: { resident: LaneReport; streamed: LaneReport; cpu: LaneReport };
  cache: CacheReport;
  /** `peakRss`: most bytes of RAM that the process took at a time; `planned` is what to compare it with. */
  memory: ModelInfo['memory'] & { peakRss: number };
}

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
  /** Context length in tokens that this load holds. */
  context: number;
  /** An encoder-decoder reads the whole prompt and writes an answer to it; a decoder continues it. */
  architecture: 'decoder' | 'encoder-decoder';
  layers: number;
  /** `profiled`: tokens of the profile by which the resident ones were chosen, 0 without one. */
  experts: { resident: number; total: number; profiled: number };
  memory: MemoryReport;
  loadSeconds: number;
}

export type { FiddlerError };
