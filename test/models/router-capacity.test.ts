import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dropOverflow, evenCapacity } from '../../src/models/router-capacity.js';

const sizes = fc.record({ experts: fc.integer({ min: 2, max: 8 }), chosen: fc.integer({ min: 1, max: 2 }) });
/** Choices of a call's tokens: different experts for each token. */
const calls = sizes.chain(({ experts, chosen }) =>
  fc.record({
    experts: fc.constant(experts),
    chosen: fc.constant(chosen),
    slots: fc.integer({ min: 1, max: 6 }),
    tokens: fc.array(
      fc.uniqueArray(fc.integer({ min: 0, max: experts - 1 }), { minLength: chosen, maxLength: chosen }),
      { minLength: 1, maxLength: 40 },
    ),
  }),
);

/** The rule as its references state it: ranks are cumulative sums of one-hot choices, second ones behind all first ones. */
function byCumulativeSums(tokens: readonly number[][], experts: number, slots: number): number[][] {
  const result = tokens.map((choices) => choices.slice());
  const before = Array.from({ length: experts }, () => 0);
  for (const rank of tokens[0]!.keys()) {
    tokens.forEach((choices, t) => {
      const earlier = tokens.slice(0, t).filter((other) => other[rank] === choices[rank]).length;
      if (before[choices[rank]!]! + earlier >= slots) result[t]![rank] = -1;
    });
    for (const choices of tokens) before[choices[rank]!]!++;
  }
  return result;
}

describe('the capacity of experts', () => {
  it('is claimed by first choices before second ones, in the order of tokens', () => {
    fc.assert(
      fc.property(calls, ({ experts, chosen, slots, tokens }) => {
        const ids = Int32Array.from(tokens.flat());
        dropOverflow(ids, chosen, experts, slots);
        expect([...ids]).toEqual(byCumulativeSums(tokens, experts, slots).flat());
      }),
    );
  });

  it('drops a second choice for a later token’s first', () => {
    const ids = Int32Array.of(1, 0, 0, 1, 0, 1);
    dropOverflow(ids, 2, 2, 2);
    expect([...ids]).toEqual([1, -1, 0, 1, 0, -1]);
  });

  it('is an even number of slots, and at least the minimum', () => {
    const slots = evenCapacity({ experts: 8, chosen: 2, factor: 2, minimum: 4 });
    expect([1, 8, 9, 10, 13, 17, 40].map(slots)).toEqual([4, 4, 4, 6, 6, 8, 20]);
    expect(evenCapacity({ experts: 32, chosen: 2, factor: 1.25, minimum: 4 })(100)).toBe(8);
  });
});
