import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { residentCount, spread } from '../../src/experts/placement.js';

const layers = fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 40 });

describe('spreading experts over layers', () => {
  it('places as many as asked, none twice, none that a layer does not have', () => {
    fc.assert(
      fc.property(layers, fc.nat(3000), (sizes, count) => {
        const placement = spread(count, sizes);
        const all = sizes.reduce((a, b) => a + b, 0);
        expect(placement).toHaveLength(sizes.length);
        expect(placement.reduce((sum, experts) => sum + experts.length, 0)).toBe(Math.min(count, all));
        placement.forEach((experts, layer) => {
          expect(new Set(experts).size).toBe(experts.length);
          expect(experts.every((e) => Number.isInteger(e) && e >= 0 && e < sizes[layer]!)).toBe(true);
        });
      }),
    );
  });

  it('gives layers of equal size numbers that differ by one at most', () => {
    fc.assert(
      fc.property(layers, fc.nat(3000), (sizes, count) => {
        const placement = spread(count, sizes);
        for (const size of new Set(sizes)) {
          const counts = placement.filter((_, layer) => sizes[layer] === size).map((experts) => experts.length);
          expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
        }
      }),
    );
  });

  it('keeps what is resident when there is room for more', () => {
    fc.assert(
      fc.property(layers, fc.nat(500), fc.nat(500), (sizes, count, more) => {
        const [few, many] = [spread(count, sizes), spread(count + more, sizes)];
        few.forEach((experts, layer) => {
          expect(many[layer]).toEqual(expect.arrayContaining(experts as number[]));
        });
      }),
    );
  });
});

describe('how many experts fit', () => {
  const bytes = fc.integer({ min: 1, max: 2 ** 40 });

  it('is as many as the budget holds beside the rest, and no more than there are', () => {
    fc.assert(
      fc.property(bytes, bytes, bytes, fc.nat(100_000), (budget, fixed, each, total) => {
        const count = residentCount(budget, fixed, each, total);
        expect(count).toBeGreaterThanOrEqual(0);
        expect(count).toBeLessThanOrEqual(total);
        if (count > 0) expect(fixed + count * each).toBeLessThanOrEqual(budget);
        if (count < total) expect(fixed + (count + 1) * each).toBeGreaterThan(budget);
      }),
    );
  });
});
