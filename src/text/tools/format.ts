import type { Outline, Tag } from '../grammar/outline.js';
import type { Schema } from '../grammar/schema.js';
import type { Reading } from './reading.js';
import type { Scanner } from './scanner.js';

/** A tool that a model may call, in the form that chat templates take. */
export interface Tool {
  type: 'function';
  function: {
    name: string;
    description?: string;
    /** JSON schema of the arguments. */
    parameters?: Readonly<Record<string, unknown>>;
  };
}

/** Takes what a format reads, as soon as it is certain. */
export interface CallSink {
  /** A call begins. */
  begin(name: string, id?: string): void;
  /** More of the JSON text of its arguments. */
  arguments(text: string): void;
  /** JSON schema of an argument of the call, as far as it is known. */
  schema(argument: string): Readonly<Record<string, unknown>> | undefined;
}

/** How calls are written, as masks have a model write them. */
export interface CallForm {
  /** Texts around all calls of an answer, and between two of them; undefined: there is only one. */
  begin: string;
  between?: string;
  end: string;
  /** @param parameters JSON schema of the arguments, which masks keep. @throws FiddlerError `unsupported` */
  call(name: string, parameters: Schema): Tag;
  /** Where masks cover what the model thinks too: that, and what is between it and an answer that is no call. */
  whole?: { before: Outline; answer: string };
}

/** A way in which models write calls of tools. */
export interface ToolFormat {
  readonly name: string;
  /** Whether a chat template has a model write calls like this. */
  fits(template: string): boolean;
  /** Texts with which calls begin; where a tokenizer has one as a token, only that token begins them. */
  readonly begins: readonly string[];
  /** Further texts of the format that may be control tokens, which are no part of a text otherwise. */
  readonly marks: readonly string[];
  /** How a model with this chat template writes calls. */
  written(template: string): CallForm;
  /** Reads calls behind one of `begins`, up to where the answer may go on. @throws Malformed */
  read(scanner: Scanner, sink: CallSink): Reading;
}
