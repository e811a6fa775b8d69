import fc from 'fast-check';
import { HostVector } from '../../src/models/parameters.js';
import type { Router } from '../../src/models/router.js';

/** What a router answers, as numbers. */
export function choose(router: Router, logits: readonly number[]): { ids: number[]; weights: number[] } {
  const ids = new Int32Array(router.chosen);
  const weights = new Float32Array(router.chosen);
  router.choose(Float32Array.from(logits), ids, weights);
  return { ids: [...ids], weights: [...weights] };
}

export function hostVector(values: readonly number[]): HostVector {
  const vector = new HostVector('bias', [values.length]);
  vector.values = Float32Array.from(values);
  return vector;
}

/** Router logits of a token and how many experts it chooses. */
export const logitsAndChosen = fc
  .array(fc.float({ min: -20, max: 20, noNaN: true }), { minLength: 2, maxLength: 40 })
  .chain((logits) => fc.tuple(fc.constant(logits), fc.integer({ min: 1, max: logits.length })));

/** Indices by value, largest first; of equals the lower index first. */
export function ranked(values: readonly number[]): number[] {
  return values.map((_, i) => i).sort((a, b) => values[b]! - values[a]! || a - b);
}

export function softmax(values: readonly number[]): number[] {
  const exponentials = values.map((v) => Math.exp(v - Math.max(...values)));
  const sum = exponentials.reduce((a, b) => a + b, 0);
  return exponentials.map((e) => e / sum);
}
