import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sparseMixer } from '../../src/models/router-sparsemixer.js';
import { choose, logitsAndChosen, ranked, softmax } from './routing.js';

describe('sparsemixer', () => {
  it('weighs a pick among the logits near it alone', () => {
    // Near 2 within 2 · 0.1 of max(|s|, 2): 1.7 is, 1.5 is not; without the first, near 1.7: 1.5 is, −1.7 is not.
    const { ids, weights } = choose(sparseMixer(2, 0.1), [1.5, 2, -1.7, 1.7]);
    expect(ids).toEqual([1, 3]);
    expect(weights[0]).toBeCloseTo(1 / (1 + Math.exp(-0.3)), 6);
    expect(weights[1]).toBeCloseTo(1 / (1 + Math.exp(-0.2)), 6);
  });

  it('measures nearness of negative logits by their own size', () => {
    // (−1 + 1.2) / 1.2 = 0.17 ≤ 0.2, but (−1 + 1.3) / 1.3 = 0.23.
    const { ids, weights } = choose(sparseMixer(1, 0.1), [-1.3, -1.2, -1]);
    expect(ids).toEqual([2]);
    expect(weights[0]).toBeCloseTo(1 / (1 + Math.exp(-0.2)), 6);
  });

  it('gives weights 1 where nothing is near, so that they do not sum to 1', () => {
    expect(choose(sparseMixer(2, 0.01), [4, 1, 2]).weights).toEqual([1, 1]);
  });

  it('agrees with masking, softmax and gathering', () => {
    fc.assert(
      fc.property(logitsAndChosen, fc.constantFrom(0.01, 0.1, 0.5), ([logits, chosen], jitter) => {
        const { ids, weights } = choose(sparseMixer(chosen, jitter), logits);
        expect(ids).toEqual(ranked(logits).slice(0, chosen));
        const left = [...logits];
        ids.forEach((id, pick) => {
          const best = Math.max(...left);
          const far = (s: number) => (best - s) / Math.max(Math.abs(s), best) > 2 * jitter;
          const masked = left.map((s) => (s === -Infinity || far(s) ? -Infinity : s));
          expect(weights[pick]).toBeCloseTo(softmax(masked)[id]!, 4);
          left[id] = -Infinity;
        });
      }),
    );
  });
});
