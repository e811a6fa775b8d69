import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkFinite, logprobOf, logSumExp, topLogprobs } from '../../src/sampling/sampling.js';
import { fiddlerError } from '../support/errors.js';

const logit = fc.oneof(fc.float({ min: -200, max: 200, noNaN: true }), fc.integer({ min: -3, max: 3 }));
const logits = fc.array(logit, { minLength: 1, maxLength: 60 }).map((values) => Float32Array.from(values));

/** log Σ exp with Math.exp over all. */
function reference(values: Float32Array): number {
  const best = Math.max(...values);
  return best + Math.log([...values].reduce((sum, value) => sum + Math.exp(value - best), 0));
}

describe('log-probabilities', () => {
  it('normalise as log Σ exp does', () => {
    fc.assert(
      fc.property(logits, (values) => {
        expect(Math.abs(logSumExp(values) - reference(values))).toBeLessThan(1e-11);
      }),
    );
  });

  it('are those of the k likeliest, likeliest first and lowest id first', () => {
    fc.assert(
      fc.property(logits, fc.integer({ min: 0, max: 70 }), (values, k) => {
        const top = topLogprobs(values, k);
        const sorted = [...values.keys()].sort((a, b) => values[b]! - values[a]! || a - b);
        expect(top.map(({ token }) => token)).toEqual(sorted.slice(0, k));
        for (const { token, logprob } of top) expect(logprob).toBe(logprobOf(values, token));
      }),
    );
  });

  it('have probabilities that sum to at most 1, and to 1 over all', () => {
    const sum = (values: Float32Array, k: number) =>
      topLogprobs(values, k).reduce((total, { logprob }) => total + Math.exp(logprob), 0);
    fc.assert(
      fc.property(logits, fc.integer({ min: 1, max: 60 }), (values, k) => {
        expect(sum(values, k)).toBeLessThanOrEqual(1 + 1e-9);
        expect(sum(values, values.length)).toBeCloseTo(1, 9);
      }),
    );
  });

  it('leave out tokens that are ruled out', () => {
    const values = Float32Array.of(-Infinity, 2, -Infinity, 2);
    expect(topLogprobs(values, 4).map(({ token }) => token)).toEqual([1, 3]);
    expect(logprobOf(values, 3)).toBeCloseTo(Math.log(0.5), 12);
    expect(logprobOf(values, 0)).toBe(-Infinity);
  });
});

describe('checkFinite', () => {
  it.each([[NaN, 0], [0, NaN, -Infinity], [0, Infinity], [-Infinity, -Infinity], []])('refuses %s, %s', (...values) => {
    expect(fiddlerError('numeric', () => checkFinite(Float32Array.from(values)))).toContain('not numbers');
  });

  it('takes numbers, with tokens ruled out', () => {
    expect(() => checkFinite(Float32Array.of(-Infinity, -3e38, 3e38))).not.toThrow();
  });
});
