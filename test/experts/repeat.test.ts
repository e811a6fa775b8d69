import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mean, repeat } from '../../src/experts/repeat.js';

const times = fc.array(fc.double({ min: 1e-3, max: 1e3, noNaN: true }), { minLength: 1, maxLength: 50 });
const ascending = times.map((all) => all.sort((a, b) => a - b));

describe('what repeated measurements come to', () => {
  it('is their mean, so that slow ones count', () => {
    expect(mean([1, 1, 1, 3])).toBe(1.5);
  });

  it('hardly changes with one that is slower still', () => {
    expect(mean([1, 1, 1, 1, 1000])).toBe(1.8);
  });

  it('lies between the fastest and the slowest, and is never more than five times the median', () => {
    fc.assert(
      fc.property(ascending, (all) => {
        const found = mean(all);
        expect(found).toBeGreaterThanOrEqual(all[0]! * (1 - 1e-12));
        expect(found).toBeLessThanOrEqual(Math.min(all.at(-1)!, 5 * all[all.length >> 1]!) * (1 + 1e-12));
      }),
    );
  });

  it('is of as many as were asked for, ascending, where these are short', () => {
    const found = repeat({ limit: 1000, repeats: 5, least: 0, tokens: [], lengths: [], heads: [] }, () => {});
    expect(found).toHaveLength(5);
    expect(found).toEqual([...found].sort((a, b) => a - b));
  });
});
