import fc from 'fast-check';
import { expect } from 'vitest';
import { loadTokenizer } from '../../../src/text/tokenizer.js';
import { llamaVocabulary } from '../../support/llama-vocabulary.js';
import { type Described, SPELLED, texts, vocabularyFile } from './vocabularies.js';

/** Some random texts, some with special tokens that they spell. */
const samples = fc.oneof(
  { weight: 2, arbitrary: texts },
  fc
    .array(fc.oneof({ weight: 3, arbitrary: texts }, fc.constantFrom(...SPELLED)), { maxLength: 3 })
    .map((parts) => parts.join('')),
);

/** Compares a vocabulary's tokens of `count` random texts with llama.cpp's. */
export function compareWithLlama(described: Described, count: number, seed = 1): void {
  const file = vocabularyFile(described);
  const ours = loadTokenizer(file)!;
  const reference = llamaVocabulary(file);
  const shown = (ids: readonly number[]) => ids.map((id) => described.tokens[id]?.[0]);
  fc.assert(
    fc.property(samples, fc.boolean(), (text, addSpecial) => {
      expect(shown(ours.encode(text, { addSpecial }))).toEqual(shown(reference.tokenize(text, addSpecial)));
    }),
    { numRuns: count, seed },
  );
}
