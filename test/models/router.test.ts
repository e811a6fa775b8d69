import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { softmaxOverChosen, topK } from '../../src/models/router.js';
import { choose, hostVector, logitsAndChosen, ranked, softmax } from './routing.js';

describe('topK', () => {
  it('finds the largest, the lower index first among equals', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -5, max: 5 }), { minLength: 1 }), fc.nat(), (values, n) => {
        const k = 1 + (n % values.length);
        const ids = new Int32Array(k);
        topK(Float32Array.from(values), ids);
        expect([...ids]).toEqual(ranked(values).slice(0, k));
      }),
    );
  });
});

describe('softmax over the chosen', () => {
  it('gives the shares of e^logit among the best', () => {
    const { ids, weights } = choose(softmaxOverChosen(2), [0, Math.log(3), -1, Math.log(9)]);
    expect(ids).toEqual([3, 1]);
    expect(weights[0]).toBeCloseTo(0.75, 6);
    expect(weights[1]).toBeCloseTo(0.25, 6);
  });

  it('equals softmax over all, divided by the sum of the chosen', () => {
    fc.assert(
      fc.property(logitsAndChosen, ([logits, chosen]) => {
        const { ids, weights } = choose(softmaxOverChosen(chosen), logits);
        const all = softmax(logits);
        const sum = ids.reduce((total, id) => total + all[id]!, 0);
        expect(ids).toEqual(ranked(logits).slice(0, chosen));
        for (const [i, id] of ids.entries()) expect(weights[i]).toBeCloseTo(all[id]! / sum, 5);
      }),
    );
  });

  it('adds a bias before choosing and multiplies the weights', () => {
    const router = softmaxOverChosen(2, { scale: 0.5, bias: hostVector([5, 0, 0]) });
    const { ids, weights } = choose(router, [-5, 0, -9]);
    expect(ids).toEqual([0, 1]);
    expect(weights).toEqual([0.25, 0.25]);
  });
});
