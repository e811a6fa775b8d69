import { loadEngine } from '../../src/engine/load.js';
import type { LoadOptions } from '../../src/options.js';

/** Logits [vocabulary] after each token of a text, in float32 on one thread. */
export function logitsOf(dir: string, tokens: readonly number[], options: LoadOptions): Float32Array[] {
  const session = loadEngine(dir, { dtype: 'f32', threads: 1, profile: false, ...options });
  const all: Float32Array[] = [];
  try {
    session.evaluate(
      tokens,
      () => false,
      (position, logits) => {
        all[position] = logits.slice();
      },
    );
  } finally {
    session.close();
  }
  return all;
}

/** Of each token, the largest difference of a logit. */
export function largest(a: readonly Float32Array[], b: readonly Float32Array[]): number[] {
  return a.map((row, t) => row.reduce((most, value, i) => Math.max(most, Math.abs(value - b[t]![i]!)), 0));
}
