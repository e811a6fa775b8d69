import fc from 'fast-check';
import { expect, it } from 'vitest';
import { batchesOf, halving, lastBatch } from '../../src/experts/lanes/batches.js';

it('divides shares into batches that keep their bounds, each share once', () => {
  const share = fc.record({
    expert: fc.nat(),
    tokens: fc.integer({ min: 1, max: 300 }),
    lane: fc.constant('resident' as const),
  });
  fc.assert(
    fc.property(
      fc.array(share, { maxLength: 60 }),
      fc.integer({ min: 1, max: 2000 }),
      fc.integer({ min: 2, max: 40 }),
      fc.constantFrom(undefined, (expert: number) => -expert),
      fc.constantFrom(0, 400),
      (shares, most, free, place, few) => {
        const batches = batchesOf(shares, { most, few }, halving(free), place);
        expect(new Set(batches.flat())).toEqual(new Set(shares));
        expect(batches.flat()).toHaveLength(shares.length);
        for (const batch of batches) {
          const tokens = batch.map((each) => each.tokens);
          const total = tokens.reduce((sum, n) => sum + n, 0);
          expect(batch.length).toBeLessThanOrEqual(Math.max(1, Math.floor(free / 2)));
          if (batch.length === 1) continue;
          expect(total).toBeLessThanOrEqual(most);
          if (total > few) expect(2 * Math.max(...tokens)).toBeLessThanOrEqual(total);
        }
      },
    ),
  );
});

const ROOM = { most: 1000, few: 1000 };

it('leaves few tokens together, whoever has most of them', () => {
  const shares = [300, 20, 10].map((tokens, expert) => ({ expert, tokens, lane: 'streamed' as const }));
  expect(batchesOf(shares, { most: 1000, few: 330 })).toEqual([shares]);
  expect(batchesOf(shares, { most: 1000, few: 329 })).toHaveLength(2);
});

it('does not divide experts further that are copied as fast as they are computed', () => {
  const shares = (tokens: number) => [{ expert: 0, tokens, lane: 'streamed' as const }];
  const weights = 3 * 2048 * 768;
  const [q4, bf16] = [0.5625 * weights, 2 * weights];
  expect([lastBatch(shares(280), q4, weights), lastBatch(shares(72), q4, weights)]).toEqual([31, 8]);
  expect([lastBatch(shares(280), bf16, weights), lastBatch([], bf16, weights)]).toEqual([8, 4]);
  expect(lastBatch(shares(512), 352e6, 176e6)).toBe(4); // large ones travel for long
  const five = [9, 8, 7, 6, 5].flatMap(shares);
  expect(batchesOf(five, ROOM, halving(40, 5))).toHaveLength(1);
  expect(batchesOf(five, ROOM, halving(40, 4))).toHaveLength(2);
});

it('has neighbours meet in a batch, and those with fewest tokens in the last', () => {
  const share = fc.record({
    expert: fc.nat(),
    tokens: fc.integer({ min: 90, max: 110 }),
    lane: fc.constant('streamed' as const),
  });
  const shares = fc.uniqueArray(share, { minLength: 12, maxLength: 60, selector: ({ expert }) => expert });
  fc.assert(
    fc.property(shares, (all) => {
      const batches = batchesOf(all, { most: 1e6, few: 0 }, halving(100), (expert) => -expert);
      const order = batches.flat().map(({ expert }) => expert);
      const descending = (some: readonly number[]) => some.every((expert, i) => i === 0 || expert < some[i - 1]!);
      expect(descending(order.slice(0, -4))).toBe(true);
      expect(batches.at(-1)!.length).toBeLessThanOrEqual(4);
      const tokens = all.map((each) => each.tokens).sort((a, b) => a - b);
      const last = batches.flat().slice(-4);
      expect(last.map((each) => each.tokens).sort((a, b) => a - b)).toEqual(tokens.slice(0, 4));
    }),
  );
});
