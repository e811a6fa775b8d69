import fc from 'fast-check';
import { expect, it } from 'vitest';
import { KEPT_ROWS } from '../../src/devices/kept-graphs.js';
import { FiddlerError } from '../../src/errors.js';
import { Assignments } from '../../src/experts/assignments.js';
import { GroupOrder, WORDS } from '../../src/experts/lanes/group-order.js';
import { loadExpertKernels } from '../../src/native/kernels.js';
import { ORDER_LOOPS } from '../support/order-loops.js';

const EXPERTS = 24;
const CHOSEN = 5;
const MOST = 700;

/** What a seed gives: each token's experts, some of them none, and heavy ones among them. */
function routesOf(tokens: number, seed: number) {
  let state = seed;
  const next = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const experts = new Int32Array(tokens * CHOSEN);
  for (let t = 0; t < tokens; t++) {
    const chosen = new Set<number>();
    while (chosen.size < CHOSEN) chosen.add(next(3) === 0 ? next(2) : next(EXPERTS));
    experts.set([...chosen], t * CHOSEN);
    if (next(9) === 0) experts[t * CHOSEN + next(CHOSEN)] = -1;
  }
  const weights = Float32Array.from(experts, () => 1 + next(1000));
  return { layer: 0, tokens, chosen: CHOSEN, experts, weights };
}

it('native code orders as JavaScript does, to the last word', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: KEPT_ROWS + 1, max: MOST }),
      fc.nat(),
      fc.integer({ min: 1, max: EXPERTS }),
      fc.constantFrom(-1, 1e4),
      (tokens, seed, taken, idle) => {
        const routes = routesOf(tokens, seed);
        const found = ORDER_LOOPS.map(([, loops]) => {
          const assignments = new Assignments(EXPERTS, MOST * CHOSEN, loops);
          const demand = assignments.group(routes, () => false);
          const members = demand.slice(0, taken).map(({ expert }) => ({ expert, slot: 2 * expert }));
          const numbers = new Int32Array(WORDS * 2 * MOST * CHOSEN).fill(-7);
          const order = new GroupOrder(numbers, new Float32Array(numbers.buffer), MOST, CHOSEN, loops);
          const written = order.write(64, members, assignments, tokens, idle);
          const { rows, weights, end } = assignments;
          return { demand, written, numbers, rows: rows.slice(0, end), weights: weights.slice(0, end) };
        });
        for (const other of found.slice(1)) expect(other).toEqual(found[0]);
      },
    ),
    { numRuns: 60 },
  );
});

it('native code refuses experts that there are none of', () => {
  const loops = loadExpertKernels()?.orderLoops;
  const counts = new Int32Array(4);
  if (loops) expect(() => loops.count(Int32Array.of(0, 4), counts)).toThrow(FiddlerError);
});
