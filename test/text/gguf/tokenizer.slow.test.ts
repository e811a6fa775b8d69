import { describe, it } from 'vitest';
import { PRE_TOKENIZER_NAMES } from '../../../src/text/gguf/pre-tokenizers.js';
import { compareWithLlama } from './llama.js';
import { byteLevelVocabulary, gemma4Vocabulary, scoredVocabulary } from './vocabularies.js';

/** Texts of each kind, of which 10,000 take seven seconds on a quiet core. */
const TEXTS = Number(process.env.FIDDLER_TEXTS ?? 300);
const LONGEST = 120_000 + 60 * TEXTS;

describe('the tokenizer of a GGUF file gives the tokens of llama.cpp', () => {
  it.each(PRE_TOKENIZER_NAMES)(
    'with the pre-tokenizer %s',
    (pre) => compareWithLlama(byteLevelVocabulary(pre), TEXTS, 2),
    LONGEST,
  );
  it('by scores', () => compareWithLlama(scoredVocabulary(), TEXTS, 2), LONGEST);
  it('by merges of characters (gemma4)', () => compareWithLlama(gemma4Vocabulary(), TEXTS, 2), LONGEST);
});
