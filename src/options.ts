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
  /**
   * Exchange resident experts while running, where that pays. Default: on a GPU with memory of its own, where RAM has room
   * for all experts.
   */
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
