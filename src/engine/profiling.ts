import { FiddlerError } from '../errors.js';
import type { Counts } from '../experts/placement.js';
import type { Sequence, SequenceParts } from './sequence.js';

/** @throws FiddlerError `usage` where there are no tokens */
export function checkTexts(texts: readonly (readonly number[])[]): void {
  if (texts.some(({ length }) => length > 0)) return;
  throw new FiddlerError('usage', 'there are no tokens to count over', 'give some text');
}

/**
 * How often each expert is chosen over texts, each computed anew; undefined where it was cancelled. An encoder-decoder reads
 * each as a prompt and as the answer to it.
 * @param onProgress called with the tokens read and those of all texts
 */
export function countChosen(
  { experts, blueprint }: Pick<SequenceParts, 'experts' | 'blueprint'>,
  sequence: Sequence,
  texts: readonly (readonly number[])[],
  context: number,
  onProgress: (done: number, total: number) => void,
  cancelled: () => boolean,
): Counts | undefined {
  const { encoder } = blueprint.spec;
  const { popularity } = experts.statistics;
  const before = popularity.map((layer) => layer.slice());
  const read = (tokens: readonly number[]) => {
    sequence.forget();
    if (!encoder) return sequence.compute(tokens, cancelled);
    const answer = [encoder.start, ...tokens.slice(0, -1)];
    return sequence.encode(tokens, cancelled) && sequence.compute(answer, cancelled);
  };
  if (!readTexts(texts, context, read, onProgress)) return undefined;
  return popularity.map((layer, l) => layer.map((n, e) => n - before[l]![e]!));
}

/**
 * Reads texts, each from its beginning, a context's length at a time.
 * @param read computes tokens from an empty KV cache; false where it was cancelled
 * @param onProgress called with the tokens read and those of all texts
 * @returns false where it was cancelled
 */
function readTexts(
  texts: readonly (readonly number[])[],
  context: number,
  read: (tokens: readonly number[]) => boolean,
  onProgress: (done: number, total: number) => void,
): boolean {
  const total = texts.reduce((sum, { length }) => sum + length, 0);
  let done = 0;
  for (const text of texts) {
    for (let from = 0; from < text.length; from += context) {
      const part = text.slice(from, from + context);
      if (!read(part)) return false;
      done += part.length;
      onProgress(done, total);
    }
  }
  return true;
}
