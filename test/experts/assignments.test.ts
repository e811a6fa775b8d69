import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KEPT_ROWS } from '../../src/devices/kept-graphs.js';
import { Assignments, type Routes } from '../../src/experts/assignments.js';
import { ORDER_LOOPS } from '../support/order-loops.js';

const EXPERTS = 16;

/** Routes of up to 40 tokens; −1 stands for an expert whose capacity was exceeded. */
const routes: fc.Arbitrary<Routes> = fc
  .record({ tokens: fc.integer({ min: 1, max: 40 }), chosen: fc.integer({ min: 1, max: 6 }) })
  .chain(({ tokens, chosen }) => {
    const size = { minLength: tokens * chosen, maxLength: tokens * chosen };
    return fc.record({
      layer: fc.constant(0),
      tokens: fc.constant(tokens),
      chosen: fc.constant(chosen),
      experts: fc.array(fc.integer({ min: -1, max: EXPERTS - 1 }), size).map((ids) => Int32Array.from(ids)),
      weights: fc.array(fc.float({ noNaN: true }), size).map((values) => Float32Array.from(values)),
    });
  });

/** Expert, token and weight of each assignment, straight from the routes: by expert, then as they come. */
function expected({ tokens, chosen, experts, weights }: Routes): [number, number, number][] {
  const all: [number, number, number][] = [];
  for (let e = 0; e < EXPERTS; e++) {
    for (let i = 0; i < tokens * chosen; i++) {
      if (experts[i] === e) all.push([e, Math.floor(i / chosen), weights[i]!]);
    }
  }
  return all;
}

const ids = fc.uniqueArray(fc.nat(EXPERTS - 1));

describe.each(ORDER_LOOPS)('assignments, %s', (_, loops) => {
  const assignments = new Assignments(EXPERTS, 40 * 6, loops); // reused, as by the engine
  const behind = (e: number) => assignments.start(e) + assignments.count(e);

  it('are the routes sorted by expert, each with its weight', () => {
    fc.assert(
      fc.property(routes, (given) => {
        assignments.group(given, () => false);
        const found: [number, number, number][] = [];
        for (let e = 0; e < EXPERTS; e++) {
          for (let i = assignments.start(e); i < behind(e); i++) {
            found.push([e, assignments.rows[i]!, assignments.weights[i]!]);
          }
        }
        expect(found).toEqual(expected(given));
        const last = Math.max(0, ...[...Array(EXPERTS).keys()].map((e) => assignments.count(e) && behind(e)));
        expect(assignments.end).toBe(last);
        for (const row of assignments.rows.subarray(0, last)) expect(row).toBeLessThan(given.tokens); // between them too
      }),
    );
  });

  it('begin at the same place for each expert in every call of few tokens', () => {
    fc.assert(
      fc.property(routes, routes, (one, other) => {
        const startsOf = (given: Routes) => {
          assignments.group(given, () => false);
          return Array.from({ length: EXPERTS }, (_, e) => assignments.start(e));
        };
        const few = ({ tokens, chosen }: Routes) => tokens > 1 && tokens * chosen <= KEPT_ROWS;
        fc.pre(few(one) && few(other));
        expect(startsOf(one)).toEqual(startsOf(other));
      }),
    );
  });

  it('demand just the experts that have tokens, with their number and where they are', () => {
    fc.assert(
      fc.property(routes, ids, ids, (given, resident, cached) => {
        const demand = assignments.group(
          given,
          (e) => resident.includes(e),
          (e) => cached.includes(e),
        );
        const all = expected(given);
        const tokensOf = (e: number) => all.filter(([expert]) => expert === e).length;
        const asked = [...new Set(all.map(([expert]) => expert))];
        expect(demand).toEqual(
          asked.map((expert) => ({
            expert,
            tokens: tokensOf(expert),
            resident: resident.includes(expert),
            cached: cached.includes(expert),
          })),
        );
        for (const { expert } of demand) {
          expect(assignments.weight(expert)).toBe(all.find(([e]) => e === expert)![2]);
        }
      }),
    );
  });
});
