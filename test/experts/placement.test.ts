import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hitRates } from '../../src/experts/hit-rates.js';
import { hitRate, popular, residentCount, spread, unpopular } from '../../src/experts/placement.js';

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

/** Layers with a count for each of their experts. */
const counted = layers.chain((sizes) =>
  fc.tuple(...sizes.map((size) => fc.array(fc.nat(50), { minLength: size, maxLength: size }))),
);
const sizesOf = (counts: readonly number[][]) => counts.map(({ length }) => length);
const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);

describe('placing by popularity', () => {
  it('places as many as asked, none twice, none that a layer does not have', () => {
    fc.assert(
      fc.property(counted, fc.nat(3000), (counts, count) => {
        for (const placement of [popular(count, sizesOf(counts), counts), unpopular(count, sizesOf(counts), counts)]) {
          expect(sum(placement.map(({ length }) => length))).toBe(Math.min(count, sum(sizesOf(counts))));
          placement.forEach((experts, layer) => {
            expect(new Set(experts).size).toBe(experts.length);
            expect(experts.every((e) => e in counts[layer]!)).toBe(true);
          });
        }
      }),
    );
  });

  it('has the best hit rate of all placements of that size, and the opposite the worst', () => {
    fc.assert(
      fc.property(counted, fc.nat(200), fc.infiniteStream(fc.nat(999)), (counts, count, random) => {
        const places = counts.flatMap((layer, l) => layer.map((_, e) => ({ l, e, at: random.next().value })));
        const other: number[][] = counts.map(() => []);
        for (const { l, e } of places.sort((a, b) => a.at - b.at).slice(0, count)) other[l]!.push(e);
        const found = hitRate(other, counts);
        expect(hitRate(popular(count, sizesOf(counts), counts), counts)).toBeGreaterThanOrEqual(found);
        expect(hitRate(unpopular(count, sizesOf(counts), counts), counts)).toBeLessThanOrEqual(found);
      }),
    );
  });

  it('is as good as the largest counts', () => {
    fc.assert(
      fc.property(counted, fc.nat(200), (counts, count) => {
        const all = counts.flat().sort((a, b) => b - a);
        const best = sum(all) === 0 ? 0 : sum(all.slice(0, count)) / sum(all);
        expect(hitRate(popular(count, sizesOf(counts), counts), counts)).toBeCloseTo(best, 12);
      }),
    );
  });

  it('spreads experts that are equally popular, and those that were never chosen', () => {
    fc.assert(
      fc.property(layers, fc.nat(3000), fc.nat(9), (sizes, count, same) => {
        const even = sizes.map((size) => new Array<number>(size).fill(same));
        expect(popular(count, sizes, even)).toEqual(spread(count, sizes));
      }),
    );
    expect(
      popular(
        4,
        [3, 3],
        [
          [0, 0, 5],
          [0, 7, 0],
        ],
      ),
    ).toEqual([
      [2, 0],
      [1, 0],
    ]);
  });

  it('rates hits by all that was routed', () => {
    expect(
      hitRate(
        [[0], [1]],
        [
          [3, 1],
          [1, 5],
        ],
      ),
    ).toBe(0.8);
    expect(hitRate([[0]], [[0, 0]])).toBe(0);
    expect(hitRates(1, [[9, 0, 0, 0]], [[1, 2, 3, 4]])).toEqual({ spread: 0.1, profiled: 0.1, best: 0.4, worst: 0.1 });
  });
});
