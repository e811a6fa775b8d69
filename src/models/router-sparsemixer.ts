import { type Router, sized } from './router.js';

/**
 * SparseMixer-v2 at inference (GRIN, arXiv 2409.12136): picks the best expert again and again. A pick's weight is its
 * share among those whose logits are near its own: (best − s) / max(|s|, best) ≤ 2 · jitter. Weights do not sum to 1.
 */
export function sparseMixer(chosen: number, jitter: number): Router {
  let left = new Float32Array();
  return {
    chosen,
    choose(logits, ids, weights) {
      left = sized(left, logits);
      left.set(logits);
      for (let pick = 0; pick < chosen; pick++) {
        const best = indexOfBest(left);
        ids[pick] = best;
        weights[pick] = 1 / sumOfNear(left, left[best]!, 2 * jitter);
        left[best] = -Infinity;
      }
    },
  };
}

function indexOfBest(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}

/** Sum of e^(s − best) over the values s near the best one. */
function sumOfNear(values: Float32Array, best: number, tolerance: number): number {
  let sum = 0;
  for (const s of values) {
    if (s === -Infinity) continue;
    if (!((best - s) / Math.max(Math.abs(s), best) > tolerance)) sum += Math.exp(s - best);
  }
  return sum;
}
