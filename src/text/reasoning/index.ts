import type { Tokenizer } from '../tokenizer.js';
import { cohere } from './cohere.js';
import type { ReasoningFormat, ReasoningParser } from './format.js';
import { gemma4 } from './gemma4.js';
import { harmony } from './harmony.js';
import { mistral } from './mistral.js';
import { think } from './think.js';

/** Every format that is known; the first that fits is taken. */
const FORMATS: readonly ReasoningFormat[] = [harmony, think, mistral, cohere, gemma4];

/** A parser of the answer to `prompt`; without a format that fits, all of it is the answer. */
export function reasoningParser(tokenizer: Tokenizer, prompt: readonly number[]): ReasoningParser {
  for (const format of FORMATS) {
    const parser = format.parser(tokenizer, prompt);
    if (parser) return parser;
  }
  return { push: () => 'answer' };
}
