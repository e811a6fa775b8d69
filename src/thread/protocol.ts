import type {
  GeneratedToken,
  GenerateOptions,
  LoadOptions,
  ModelInfo,
  Report,
  ScoredToken,
} from '../engine/options.js';
import { type ErrorCode, FiddlerError } from '../errors.js';
import type { Profile } from '../experts/profile.js';

/** A prompt: text, for models with a tokenizer, or token ids. */
export type Prompt = string | readonly number[];

/** What the engine thread does when called: its input, the items it makes on the way, and its result. */
export interface Calls {
  /** The first call of every thread. */
  load: { input: { dir: string; options: PlainLoadOptions }; item: LoadEvent; result: ModelInfo };
  /** With `channels`, tokens say which part of the answer they belong to. */
  generate: {
    input: { prompt: Prompt; options: PlainGenerateOptions; channels?: boolean };
    item: GeneratedToken;
    result: Report;
  };
  score: { input: { prompt: Prompt; logprobs: number }; item: ScoredText; result: Report };
  /** Counts what is chosen over texts. */
  profile: { input: { texts: readonly Prompt[] }; item: { done: number; total: number }; result: Profile | undefined };
  /** Text to token ids; `special` adds the tokens that begin or end a text, as tokenizer.json says. */
  encode: { input: { text: string; special: boolean }; item: never; result: number[] };
}
export type CallKind = keyof Calls;

/** Functions and signals stay in the main thread; calling them is a message. */
export type PlainLoadOptions = Omit<LoadOptions, 'onProgress' | 'onWarning'>;
export type PlainGenerateOptions = Omit<GenerateOptions, 'signal'>;

/** Arguments of `onProgress` and `onWarning`. */
export type LoadEvent = { done: number; total: number } | { warning: string };

/** A position of `score` with the text that became certain there; '' in a folder without a tokenizer. */
export interface ScoredText extends ScoredToken {
  text: string;
}

/** A call on its way to the engine thread. */
export interface CallRequest<K extends CallKind = CallKind> {
  kind: K;
  id: number;
  input: Calls[K]['input'];
  /** One Int32, not 0 once the call should end: a thread inside a native call reads no messages. */
  cancel: SharedArrayBuffer;
}
export type Request = { [K in CallKind]: CallRequest<K> }[CallKind] | { kind: 'close' };

export type Response =
  | { kind: 'items'; id: number; items: Calls[CallKind]['item'][] }
  | { kind: 'result'; id: number; result: Calls[CallKind]['result'] }
  | { kind: 'error'; id: number; error: ErrorMessage };

/** An error as it crosses threads. Those that nobody threw on purpose have no code. */
export interface ErrorMessage {
  code?: ErrorCode;
  problem: string;
  remedy: string;
  stack?: string;
}

export function toMessage(error: unknown): ErrorMessage {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  if (error instanceof FiddlerError) return { code: error.code, problem: error.problem, remedy: error.remedy, stack };
  return { problem: message, remedy: '', stack };
}

/** The error again, with the stack of the thread that threw it. */
export function fromMessage({ code, problem, remedy, stack }: ErrorMessage): Error {
  const error = code ? new FiddlerError(code, problem, remedy) : new Error(problem);
  if (stack) error.stack = stack;
  return error;
}
