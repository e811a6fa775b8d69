import { FiddlerError } from '../errors.js';
import type { BeamOptions } from '../options.js';
import type { ModelInfo } from '../report.js';

/** @throws FiddlerError `usage`: no tokens, or none of the model's; `context`: more than it holds */
export function checkPrompt(tokens: readonly number[], model: Pick<ModelInfo, 'context' | 'vocabulary'>): void {
  const { context } = model;
  if (tokens.length === 0) throw new FiddlerError('usage', 'the prompt has no tokens', 'give some text');
  if (tokens.length > context) {
    const problem = `the prompt has ${tokens.length} tokens, but the context holds ${context}`;
    throw new FiddlerError('context', problem, 'shorten it, or give a larger --ctx');
  }
  checkVocabulary(tokens, model);
}

/** @throws FiddlerError `usage` */
export function checkVocabulary(tokens: readonly number[], { vocabulary }: Pick<ModelInfo, 'vocabulary'>): void {
  const wrong = tokens.find((t) => !Number.isInteger(t) || t < 0 || t >= vocabulary);
  if (wrong !== undefined) {
    const problem = `token ${wrong} is not in the vocabulary of ${vocabulary}`;
    throw new FiddlerError('usage', problem, `use ids from 0 to ${vocabulary - 1}`);
  }
}

/** @throws FiddlerError `unsupported` */
export function checkScoring({ name, architecture }: Pick<ModelInfo, 'name' | 'architecture'>): void {
  if (architecture === 'decoder') return;
  throw new FiddlerError(
    'unsupported',
    `${name} is an encoder-decoder: it says how likely an answer is to a text, not how likely a text is`,
    'score with a decoder-only model',
  );
}

/** @throws FiddlerError `usage` */
export function checkBeams({ beams, n = 1 }: BeamOptions, { sequences }: Pick<ModelInfo, 'sequences'>): void {
  if (n > beams) {
    throw new FiddlerError(
      'usage',
      `${n} answers of ${beams} beams were asked for`,
      'search with as many beams or more',
    );
  }
  if (beams <= sequences) return;
  const problem = `${beams} beams are as many sequences, and the model was loaded for ${sequences}`;
  throw new FiddlerError('usage', problem, `load it with \`sequences: ${beams}\` or more`);
}
