import { type ErrorCode, FiddlerError } from '../errors.js';
import type { Profile } from '../experts/profile.js';
import type { BeamOptions, GenerateOptions, LoadOptions } from '../options.js';
import type { Activity, Choices, GeneratedToken, ModelInfo, Report, ScoredToken } from '../report.js';
import type { Constraint } from '../text/grammar/grammars.js';
import type { AddedToken } from '../text/tokenizer.js';
import type { Tool } from '../text/tools/format.js';

/** A prompt: text, for models with a tokenizer, or token ids. */
export type Prompt = string | readonly number[];

/** What the engine thread does when called: its input, the items it makes on the way, and its result. */
export interface Calls {
  /** The first call of every thread. */
  load: { input: { dir: string; options: PlainLoadOptions }; item: LoadEvent; result: ModelInfo };
  /** With `channels`, tokens say which part of the answer they belong to, with `tools` calls of them too. */
  generate: {
    input: {
      prompt: Prompt;
      options: PlainGenerateOptions;
      channels?: boolean;
      tools?: CallableTools;
      /** Where masks come from. */
      constraint?: Constraint;
    };
    item: GeneratedToken;
    result: Report;
  };
  /** Searches for the likeliest answers. */
  beams: { input: { prompt: Prompt; options: PlainBeamOptions }; item: never; result: Choices };
  score: { input: { prompt: Prompt; logprobs: number }; item: ScoredText; result: Report };
  /** Counts what is chosen over texts. */
  profile: { input: { texts: readonly Prompt[] }; item: { done: number; total: number }; result: Profile | undefined };
  /**
   * Text to token ids; `special` adds the tokens that begin or end a text, as tokenizer.json says, `standIns` tells that
   * the text comes from a chat template.
   */
  encode: { input: { text: string; special: boolean; standIns?: boolean }; item: never; result: number[] };
  /** The text of token ids, control tokens in it. */
  decode: { input: { ids: readonly number[] }; item: never; result: string };
  activity: { input: object; item: never; result: Activity };
  /** Tokens that a text is searched for first. */
  added: { input: object; item: never; result: readonly AddedToken[] };
}

/** Tools that an answer may call, and the name of the format in which the model does so. */
export interface CallableTools {
  format: string;
  tools: readonly Tool[];
}

export type CallKind = keyof Calls;

/** Functions and signals stay in the main thread; calling them is a message. */
export type PlainLoadOptions = Omit<LoadOptions, 'onProgress' | 'onWarning'>;
export type PlainGenerateOptions = Omit<GenerateOptions, 'signal'>;
export type PlainBeamOptions = Omit<BeamOptions, 'signal'>;

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
  /** Place of its flags. */
  flags: number;
}
export type Request =
  | { [K in CallKind]: CallRequest<K> }[CallKind]
  | { kind: 'close' }
  /** Memory in which further calls have their flags. */
  | { kind: 'flags'; memory: SharedArrayBuffer }
  /** A call that rested goes on, or ends. */
  | { kind: 'wake' };

/** What a call made, or how it ended; it makes nothing after that. */
export type CallNews =
  | { id: number; item: Calls[CallKind]['item'] }
  | { id: number; result: Calls[CallKind]['result'] }
  | { id: number; error: ErrorMessage };

export type Response =
  /** Of several calls, that of each in order. */
  | { kind: 'news'; news: readonly CallNews[] }
  /** What failed in closing. */
  | { kind: 'unclosed'; error: ErrorMessage };

/** An error as it crosses threads. */
export interface ErrorMessage {
  code: ErrorCode;
  problem: string;
  remedy: string;
  stack?: string;
}

export function toMessage(error: unknown): ErrorMessage {
  const { code, problem, remedy, stack } = FiddlerError.of(error);
  return { code, problem, remedy, stack: error instanceof Error ? error.stack : stack };
}

/** The error again, with the stack of the thread that threw it. */
export function fromMessage({ code, problem, remedy, stack }: ErrorMessage): FiddlerError {
  const error = new FiddlerError(code, problem, remedy);
  if (stack) error.stack = stack;
  return error;
}
