import type { Channel } from '../../report.js';
import type { Tokenizer } from '../tokenizer.js';

/**
 * Tells the channels of one answer apart by its token ids: a tag is a token of its own, and a text that merely spells
 * one is no tag.
 */
export interface ReasoningParser {
  /** The channel of the next token's text; undefined where the token belongs to a tag. */
  push(token: number): Channel | undefined;
  /** Whether the next token is one of the answer's text; `tag` is a token that may come in its place. Without it, it is. */
  readonly next?: { isAnswer: boolean; tag?: number };
  /** The tool to which the text of the last token goes, where the format says so. */
  readonly recipient?: string;
}

/** A way in which models mark what is reasoning and what is the answer. */
export interface ReasoningFormat {
  /**
   * A parser of the answer to `prompt`, which may have opened a channel already.
   * @returns undefined where the tokenizer does not have the tags of this format, or the prompt is not written in it
   */
  parser(tokenizer: Tokenizer, prompt: readonly number[]): ReasoningParser | undefined;
}
