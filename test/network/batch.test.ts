import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { groupsOf, type Part, sameGroups, tokensOf } from '../../src/network/batch.js';

const parts = fc
  .uniqueArray(
    fc.record({ slot: fc.nat(12), count: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 4 })), past: fc.nat(99) }),
    { minLength: 1, maxLength: 9, selector: ({ slot }) => slot },
  )
  .map((all) =>
    all.map(({ slot, count, past }): Part => {
      return { slot, tokens: Array.from({ length: count }, () => 0), past, source: past % 7, extended: false };
    }),
  );
const endOf = ({ past, tokens }: Part) => past + tokens.length;
const readsOf = (part: Part) =>
  new Map([
    [0, { from: 0, count: endOf(part) }],
    [9, { from: part.past, count: part.tokens.length }],
  ]);
const groups = (batch: readonly Part[]) => groupsOf(batch, readsOf, ({ source }) => source);

describe('the groups of a call', () => {
  it('hold its parts in order, neighbours of one length together, with room for the longest', () => {
    fc.assert(
      fc.property(parts, (batch) => {
        let [row, next] = [0, 0];
        for (const group of groups(batch)) {
          expect(group.first).toBe(row);
          const own = batch.slice(next, next + group.sequences);
          expect(own.map(({ slot }) => slot)).toEqual(own.map((_, i) => group.slot + i));
          for (const { tokens } of own) expect(tokens).toHaveLength(group.tokens);
          const [end, from] = [Math.max(...own.map(endOf)), Math.min(...own.map(({ past }) => past))];
          expect(group.reads.get(0)).toEqual({ from: 0, count: end });
          expect(group.reads.get(9)).toEqual({ from, count: end - from });
          expect(group.sourceRows).toBe(Math.max(...own.map(({ source }) => source)));
          next += own.length;
          row += group.sequences * group.tokens;
        }
        expect([next, row]).toEqual([batch.length, tokensOf(batch)]);
      }),
    );
  });

  it('are as few as there are breaks between neighbours', () => {
    fc.assert(
      fc.property(parts, (batch) => {
        const breaks = batch.filter((part, i) => {
          const before = batch[i - 1];
          return before && !(before.slot + 1 === part.slot && before.tokens.length === part.tokens.length);
        });
        expect(groups(batch)).toHaveLength(breaks.length + 1);
      }),
    );
  });

  it('are the same only where all of them are', () => {
    fc.assert(
      fc.property(parts, fc.nat(8), fc.constantFrom('slot', 'past'), (batch, at, what) => {
        expect(sameGroups(groups(batch), groups([...batch]))).toBe(true);
        const longest = batch.map((part, i) =>
          i === at % batch.length ? { ...part, [what]: part[what] + 500 } : part,
        );
        expect(sameGroups(groups(batch), groups(longest))).toBe(false);
      }),
    );
  });
});
