import type { Tokenizer } from '../tokenizer.js';
import type { ReasoningFormat, ReasoningParser } from './format.js';
import { harmony } from './harmony.js';
import { think } from './think.js';

/** Every format that is known; the first that fits is taken. */
const FORMATS: readonly ReasoningFormat[] = [harmony, think];

/** A parser of the answer to `prompt`; without a format that fits, all of it is the answer. */
export function reasoningParser(tokenizer: Tokenizer, prompt: readonly number[]): ReasoningParser {
  for (const format of FORMATS) {
    const parser = format.parser(tokenizer, prompt);
    if (parser) return parser;
  }
  return { push: () => 'answer' };
}
