import type { FiddlerError } from './errors.js';

/** The most that `ctx` may be: twice what any published model reads. */
export const LONGEST_CONTEXT = 2 ** 24;
/** The most that `sequences` may be. */
export const MOST_SEQUENCES = 1024;
/** The most that `logprobs` may be. */
export const MOST_LOGPROBS = 1000;

/** Types to which a load quantizes, best first. */
export const QUANTIZED_TYPES = ['q8_0', 'q6_k', 'q5_k', 'q4_k', 'mxfp4'] as const;
export type QuantizedType = (typeof QUANTIZED_TYPES)[number];

/** All that `quantize` may be. */
export const QUANTIZATIONS: readonly NonNullable<LoadOptions['quantize']>[] = QUANTIZED_TYPES.flatMap((type) => [
  type,
  `${type}:all` as const,
]);

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
  /** CPU threads, at most the CPUs this process may use. Default: the cores among them. */
  threads?: number;
  /** Which kernels compute experts on the CPU; `auto` takes the native ones where they were built and pay. */
  cpuKernels?: 'auto' | 'native' | 'ggml';
  /**
   * `auto` computes in the stored type, `f32` upcasts everything. On a GPU `f32` is refused in a process in which a model
   * was loaded before with `auto`: its library multiplies less exactly from then on.
   */
  dtype?: 'auto' | 'f32';
  /**
   * Quantize plain numbers when the model is loaded: experts, or with `:all` all matrices but routers and embeddings. Rows
   * that blocks of 256 do not divide get the type with blocks of 32 that llama.cpp takes. Default: nothing.
   */
  quantize?: QuantizedType | `${QuantizedType}:all`;
  /** Keep what was quantized under the cache folder: it is mapped at the next load. Default: no. */
  keep?: boolean;
  /** Context length in tokens, at most {@link LONGEST_CONTEXT}. Default: the model's own, up to 4096. */
  ctx?: number;
  /**
   * Most tokens of a sequence in a call of the model. Default: 512, and up to 4096 where experts are streamed and a small
   * part of the accelerator holds such a call.
   */
  chunk?: number;
  /**
   * Sequences that are computed at once, at most {@link MOST_SEQUENCES}: each has keys and values for a whole context.
   * Further ones wait. Default 1.
   */
  sequences?: number;
  /**
   * File with the counts by which resident experts are chosen, as `fiddler profile` writes it; false uses none. Default:
   * the stored profile of this model, if there is one.
   */
  profile?: string | false;
  /** Add what is chosen while running to the stored profile, when the model is closed. Default: no. */
  learn?: boolean;
  /** Exchange resident experts while running, where that pays. Default: no. */
  rebalance?: boolean;
  /** File into which is written what the routers choose, for `fiddler simulate --trace`; it is overwritten. Default: none. */
  trace?: string;
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
  /** Subtracted from the logits of tokens that the answer has already; −2 to 2, default 0. */
  presencePenalty?: number;
  /** Subtracted from the logit of a token for each time that the answer has it already; −2 to 2, default 0. */
  frequencyPenalty?: number;
  /** Added to the logits of tokens by their ids, −100 to 100 each: at −100 a token is as good as ruled out. */
  logitBias?: Readonly<Record<number, number>>;
  /**
   * Same seed, same text, where the prompt is computed from its first token on and alone, as by a command. Of a prompt
   * that begins as one before, the KV cache serves what was computed in other calls, and other texts share calls: in the
   * stored type these round otherwise, so that a choice may turn. Default: random, given in the report.
   */
  seed?: number;
  /** Texts at which generation stops, a control token by the text that it is written as; they are not part of the output. */
  stop?: readonly string[];
  /** Give the K likeliest tokens with each generated one, at most {@link MOST_LOGPROBS}; default 0. */
  logprobs?: number;
  /** Go on behind tokens that end an answer, which are then a part of it. Default: no. */
  ignoreEnd?: boolean;
  /** Tokens that may wait for their reader: then generation rests until half of them are read. Default: any number. */
  ahead?: number;
  /** Have the report say what a plan would have; it takes some milliseconds. Default: no. */
  expected?: boolean;
  /** Ends generation early; the iterator then ends normally. */
  signal?: AbortSignal;
}

/** How several answers to one prompt are sampled, and which of them are given. */
export interface ChoicesOptions extends Omit<GenerateOptions, 'logprobs' | 'expected'> {
  /** Answers to give, at most {@link MOST_SEQUENCES}; default 1. */
  n?: number;
  /** Answers to sample, of which the likeliest are given; default `n`. */
  bestOf?: number;
}

/** How a beam search goes; defaults as in Hugging Face transformers. */
export interface BeamOptions extends Pick<GenerateOptions, 'maxTokens' | 'ignoreEnd' | 'signal'> {
  /** Beams, each of which is a sequence: at most as many as the model was loaded for. */
  beams: number;
  /** Answers to give, at most one for each beam; default 1. */
  n?: number;
  /** A score is the sum of log-probabilities over the length to this power: above 0 long answers gain; default 1. */
  lengthPenalty?: number;
  /**
   * When a search ends that has an answer for each beam: `true` at once; `false` (default) when the likeliest beam, as long
   * as it is, would score less than all of them; `'never'` when none can score more, whatever its length.
   */
  earlyStopping?: boolean | 'never';
}

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
  /** How the token is written alone; missing where the model has no tokenizer. */
  text?: string;
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
  /** How the token is written alone, there. */
  spelled?: string;
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

export type { FiddlerError };
