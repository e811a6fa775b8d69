import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Policy } from '../../src/experts/policy.js';
import { Rivals } from '../../src/experts/rivals.js';
import { Random } from '../../src/sampling/random.js';
import { POLICIES } from '../support/two-policies.js';

const LAYERS = 5;

/** Milliseconds of passes that take so long by each policy, give or take noise. @param first layer of a pass */
function run(rivals: Rivals, takes: readonly number[], passes: number, random: Random, noise = 0.1, first = 0): number {
  let now = 0;
  let mixed = 0;
  for (let pass = 0; pass < passes; pass++) {
    const each = (1 + noise * (random.nextDouble() - 0.5)) / (LAYERS - first);
    const used = new Set<Policy>();
    for (let layer = first; layer < LAYERS; layer++) {
      const chosen = rivals.of(layer, now);
      used.add(chosen);
      now += each * takes[POLICIES.indexOf(chosen)]!;
      rivals.done(layer, now);
    }
    if (used.size > 1) mixed++;
    now += 100; // what happens between passes counts for nothing
  }
  expect(mixed).toBe(0);
  return now - 100 * passes;
}

describe('rivals', () => {
  const time = fc.double({ min: 1, max: 3, noNaN: true });

  it('take within 3% of what the fastest would, comparisons included', () => {
    fc.assert(
      fc.property(fc.tuple(time, time), fc.nat(), fc.nat(LAYERS - 1), (takes, seed, first) => {
        const rivals = new Rivals(POLICIES, LAYERS);
        const passes = 3000;
        const took = run(rivals, takes, passes, Random.fromSeed(seed), 0.1, first);
        expect(took / passes).toBeLessThan(1.03 * Math.min(...takes));
      }),
    );
  });

  it('find out when another becomes the fastest', () => {
    const rivals = new Rivals(POLICIES, LAYERS);
    const random = Random.fromSeed(1);
    run(rivals, [1.3, 1], 500, random);
    expect(run(rivals, [1.3, 1], 100, random)).toBeLessThan(101);
    run(rivals, [1, 1.3], 2000, random);
    expect(run(rivals, [1, 1.3], 100, random)).toBeLessThan(101);
  });

  it('prefer the first where none is faster', () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const rivals = new Rivals(POLICIES, LAYERS);
        run(rivals, [1, 1], 32, Random.fromSeed(seed), 0.005);
        expect(rivals.of(0)).toBe(POLICIES[0]);
      }),
    );
  });

  it('count no pass that an error broke off', () => {
    const rivals = new Rivals(POLICIES, LAYERS);
    const random = Random.fromSeed(1);
    rivals.of(0, -1e6);
    rivals.done(0, -1e6);
    run(rivals, [1, 1.3], 64, random);
    expect(run(rivals, [1, 1.3], 10, random)).toBeLessThan(11);
  });
});
