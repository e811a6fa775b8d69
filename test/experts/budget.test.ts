import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Budget } from '../../src/experts/budget.js';

const TOOK = 10;
const EXCHANGE = 0.05;

/** Runs calls that gain so much, with so many exchanges where they may be made. @returns exchanges that were made */
function run(budget: Budget, calls: number, gained: number, exchanges: number): number {
  let made = 0;
  for (let i = 0; i < calls; i++) {
    for (let e = 0; e < exchanges && budget.open; e++) {
      budget.pay(EXCHANGE);
      made++;
    }
    budget.call({ gained, took: TOOK });
  }
  return made;
}

it('is open once a call was timed', () => {
  const budget = new Budget();
  expect(budget.open).toBe(false);
  run(budget, 1, 0, 0);
  expect(budget.open).toBe(true);
});

it('stays open for as long as hits pay for exchanges, and some time longer', () => {
  const budget = new Budget();
  run(budget, 1, 0, 0);
  expect(run(budget, 5000, 0.3, 5)).toBe(5 * 5000);
  expect(run(budget, 100, 0, 5)).toBe(5 * 100);
});

it('spends half a percent of the time where nothing is gained, and what was gathered', () => {
  const budget = new Budget();
  const made = run(budget, 20_000, 0, 5);
  const ms = 0.005 * 20_000 * TOOK + 5 * TOOK;
  expect((made * EXCHANGE) / ms).toBeCloseTo(1, 2);
});

it('opens again where it pays later', () => {
  const budget = new Budget();
  run(budget, 3000, 0, 5);
  run(budget, 500, 0.3, 5);
  expect(run(budget, 500, 0.3, 5)).toBe(5 * 500);
});

it('says that hits were lost, until that is earned again', () => {
  const budget = new Budget();
  run(budget, 2000, 0, 5);
  expect(budget.lost).toBe(false);
  run(budget, 200, -0.5, 5);
  expect([budget.lost, budget.open]).toEqual([true, false]);
  run(budget, 600, 0, 5);
  expect([budget.lost, budget.open]).toEqual([true, false]);
  run(budget, 2000, 0, 0);
  expect([budget.lost, budget.open]).toEqual([false, true]);
});

it('loses no more than its share of the time in the long run, whatever exchanges cost and lose', () => {
  const kind = fc.record({
    calls: fc.integer({ min: 1, max: 3000 }),
    gained: fc.double({ min: -0.3, max: 0.3, noNaN: true }),
    took: fc.double({ min: 1, max: 100, noNaN: true }),
    price: fc.double({ min: 0.001, max: 0.5, noNaN: true }),
    exchanges: fc.integer({ min: 1, max: 50 }),
  });
  fc.assert(
    fc.property(fc.array(kind, { minLength: 1, maxLength: 8 }), (kinds) => {
      const budget = new Budget();
      let [lost, time, longest] = [0, 0, 0];
      for (const { calls, gained, took, price, exchanges } of kinds) {
        for (let i = 0; i < calls; i++) {
          for (let e = 0; e < exchanges && budget.open; e++, lost += price * took) budget.pay(price * took);
          const found = budget.lost ? 0 : gained; // what was there at first is there again
          budget.call({ gained: found * took, took });
          lost -= found * took;
          time += took;
        }
        longest = Math.max(longest, took);
      }
      // What is gathered at first, as much until it shows that hits are lost, and the last exchange and call.
      expect(lost).toBeLessThan(0.005 * time + (5 + 5 + 1) * longest);
    }),
  );
});
