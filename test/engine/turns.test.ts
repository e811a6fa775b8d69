import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { turnsOf, turnsWith } from '../../src/engine/turns.js';

describe('where a prompt may be come back to', () => {
  it('is where it parts from what was there, and a little before its end', () => {
    expect(turnsOf(0, 500, 1000)).toEqual([500, 992]);
    expect(turnsOf(500, 500, 1000)).toEqual([992]);
    expect(turnsOf(400, 410, 1000)).toEqual([992]);
    expect(turnsOf(0, 999, 1000)).toEqual([992]);
    expect(turnsOf(0, 0, 30)).toEqual([]);
  });

  it('is also where another parts from it that waits, unless that is there already', () => {
    expect(turnsWith([500, 992], 700, 256, 1000)).toEqual([500, 700, 992]);
    expect(turnsWith([992], 999, 0, 1000)).toEqual([992]);
    expect(turnsWith([992], 200, 256, 1000)).toEqual([992]);
    expect(turnsWith([], 992, 999, 1000)).toEqual([]);
  });

  it('lies behind what is served, within the prompt and apart', () => {
    fc.assert(
      fc.property(fc.nat(200), fc.nat(200), fc.nat(200), (served, more, own) => {
        const shared = served + more;
        const length = shared + own + 1;
        const turns = turnsOf(served, shared, length);
        expect(turns.length).toBeLessThanOrEqual(2);
        for (const [i, turn] of turns.entries()) {
          expect(turn).toBeGreaterThan((turns[i - 1] ?? served) + 8);
          expect(turn).toBeLessThan(length);
        }
      }),
    );
  });
});
