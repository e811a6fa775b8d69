import { describe, it } from 'vitest';
import { PRE_TOKENIZER_NAMES } from '../../../src/text/gguf/pre-tokenizers.js';
import { compareWithLlama } from './llama.js';
import { byteLevelVocabulary, gemma4Vocabulary, scoredVocabulary } from './vocabularies.js';

/** Texts of each kind; 10,000 were compared once. */
const TEXTS = Number(process.env.FIDDLER_TEXTS ?? 300);

describe('the tokenizer of a GGUF file gives the tokens of llama.cpp', () => {
  it.each(PRE_TOKENIZER_NAMES)('with the pre-tokenizer %s', (pre) =>
    compareWithLlama(byteLevelVocabulary(pre), TEXTS, 2),
  );
  it('by scores', () => compareWithLlama(scoredVocabulary(), TEXTS, 2));
  it('by merges of characters (gemma4)', () => compareWithLlama(gemma4Vocabulary(), TEXTS, 2));
});
