import { FiddlerError } from '../errors.js';

/**
 * Reads texts, each from its beginning, a context's length at a time.
 * @param read computes tokens from an empty KV cache; false where it was cancelled
 * @param onProgress called with the tokens read and those of all texts
 * @throws FiddlerError `usage` where there are no tokens
 * @returns false where it was cancelled
 */
export function readTexts(
  texts: readonly (readonly number[])[],
  context: number,
  read: (tokens: readonly number[]) => boolean,
  onProgress: (done: number, total: number) => void,
): boolean {
  const total = texts.reduce((sum, { length }) => sum + length, 0);
  if (total === 0) throw new FiddlerError('usage', 'there are no tokens to count over', 'give some text');
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
