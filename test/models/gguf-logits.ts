import { loadEngine } from '../../src/engine/load.js';
import type { LoadOptions } from '../../src/options.js';

export const TOKENS: readonly number[] = Array.from({ length: 24 }, (_, i) => (i * 37 + 5) % 300);

/** Logits of a model [tokens, vocabulary]; on the CPU unless the options say otherwise. */
export function logitsOf(file: string, options: LoadOptions = {}, tokens = TOKENS): Float32Array {
  const session = loadEngine(file, { accelerator: 'none', ctx: 128, profile: false, policy: 'static', ...options });
  try {
    const rows: number[] = [];
    session.evaluate(
      tokens,
      () => false,
      (_, row) => void rows.push(...row),
    );
    return Float32Array.from(rows);
  } finally {
    session.close();
  }
}

/** The normalised mean squared error. */
export function nmse(found: Float32Array, expected: Float32Array): number {
  const sum = (of: (i: number) => number) => expected.reduce((total, _, i) => total + of(i), 0);
  return sum((i) => (found[i]! - expected[i]!) ** 2) / sum((i) => expected[i]! ** 2);
}
