import fc from 'fast-check';
import { expect, it } from 'vitest';
import { LearntCosts } from '../../src/experts/adaptation.js';
import { costsOf, type ExpertRates, NO_COSTS } from '../../src/experts/costs.js';
import { lanesPolicy } from '../../src/experts/policies/lanes.js';
import { type Policy, whole } from '../../src/experts/policy.js';
import { MadeUpLanes, type MadeUpMachine, type MadeUpRouting } from '../support/made-up-lanes.js';

const EXPERTS = 64;
/** Prompts until it is known, and those whose mean counts: what was slow is tried again now and then. */
const LEARNING = 16;
const COUNTED = 8;

/** So many experts are computed on the CPU, those with fewest tokens. */
function fixed(onCpu: number): Policy {
  return {
    ...lanesPolicy,
    decide(demand) {
      const missing = demand.filter((d) => !d.resident);
      missing.sort((a, b) => Number(a.cached) - Number(b.cached) || a.tokens - b.tokens);
      const resident = demand.filter((d) => d.resident).map((d) => whole(d, 'resident'));
      return [...resident, ...missing.map((d, i) => whole(d, i < onCpu ? 'cpu' : 'streamed'))];
    },
  };
}

/** The shortest time of a prompt with a fixed number of experts on the CPU. */
function best(machine: MadeUpMachine, routing: MadeUpRouting): number {
  const missing = EXPERTS - routing.resident;
  const times = Array.from({ length: missing + 1 }, (_, n) => new MadeUpLanes(machine, routing, fixed(n)).prompt());
  return Math.min(...times);
}

/** What was measured of a machine, off by these factors. */
function measured(machine: MadeUpMachine, off: { cpu: number; accelerator: number; copy: number }): ExpertRates {
  const samples = (of: (tokens: number) => number, factor: number) =>
    [1, 4, 16, 64, 256].map((tokens) => ({ tokens, ms: factor * of(tokens) }));
  return {
    ...NO_COSTS,
    cpu: samples(machine.cpu, off.cpu),
    accelerator: samples(machine.accelerator, off.accelerator),
    copy: off.copy * machine.copy,
    contention: { cpu: 1.1, copy: 1.1 },
    overlap: true,
    spread: 0,
  };
}

const between = (min: number, max: number) => fc.double({ min, max, noNaN: true });

const machines: fc.Arbitrary<MadeUpMachine> = fc
  .record({
    perToken: between(0.001, 0.004),
    copy: between(0.05, 0.4),
    computing: between(0.00005, 0.0005),
    contention: fc.record({ cpu: between(1, 1.4), copy: between(1, 1.4), computing: between(1, 1.5) }),
    queue: between(0.005, 0.03),
  })
  .map(({ perToken, copy, computing, contention, queue }) => ({
    cpu: (tokens) => Math.max(copy / 2.5, perToken * tokens),
    accelerator: (tokens) => 0.01 + computing * tokens,
    copy,
    contention,
    attend: 0.5,
    queue: { copy: queue, graph: 0.1 },
  }));

/** From even use to one by Zipf's law; the resident ones are as popular as others. */
const routings: fc.Arbitrary<MadeUpRouting> = fc
  .record({
    assigned: fc.integer({ min: 1000, max: 16_000 }),
    skew: between(0, 1),
    resident: fc.integer({ min: 0, max: 24 }),
  })
  .map(({ assigned, skew, resident }) => {
    const ranks = Array.from({ length: EXPERTS }, (_, e) => 1 + ((e * 37) % EXPERTS));
    const total = ranks.reduce((sum, rank) => sum + rank ** -skew, 0);
    return { tokens: ranks.map((rank) => Math.max(1, Math.round((assigned * rank ** -skew) / total))), resident };
  });

/** How near prompts come to the best fixed division, on so many machines. */
function learnt(errors: fc.Arbitrary<Parameters<typeof measured>[1]>, numRuns: number): number[] {
  const found = fc.sample(fc.tuple(machines, routings, errors), { numRuns, seed: 1 }).map(([machine, routing, off]) => {
    const costs = new LearntCosts();
    costs.set(costsOf(measured(machine, off)), true);
    const lanes = new MadeUpLanes(machine, routing, lanesPolicy, costs);
    for (let prompt = 0; prompt < LEARNING; prompt++) lanes.prompt();
    const times = Array.from({ length: COUNTED }, () => lanes.prompt());
    return times.reduce((sum, ms) => sum + ms, 0) / COUNTED / best(machine, routing);
  });
  return found.sort((a, b) => a - b);
}

it('prompts become nearly as fast as by any fixed division, whatever was measured wrongly', () => {
  const errors = fc.record({ cpu: between(0.7, 1.3), accelerator: between(0.7, 3), copy: fc.constant(1) });
  const ratios = learnt(errors, 120);
  expect(ratios[ratios.length >> 1]).toBeLessThan(1.01);
  expect(ratios[Math.floor(0.95 * ratios.length)]).toBeLessThan(1.06);
  expect(ratios.at(-1)).toBeLessThan(1.3);
});

it('they come near it where a busy machine was measured, on which all took several times as long', () => {
  const errors = fc.record({ cpu: between(1, 5), accelerator: between(1, 5), copy: between(1, 5) });
  const ratios = learnt(errors, 40);
  expect(ratios[ratios.length >> 1]).toBeLessThan(1.04);
  expect(ratios[Math.floor(0.95 * ratios.length)]).toBeLessThan(1.16);
});
