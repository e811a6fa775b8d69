import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inCallOf, interpolate, makespan, type Sample } from '../../src/experts/costs.js';
import { lanesPolicy } from '../../src/experts/policies/lanes.js';
import type { Costs } from '../../src/experts/policy.js';

/** Samples of growing numbers of tokens. */
const samples: fc.Arbitrary<Sample[]> = fc
  .uniqueArray(fc.integer({ min: 1, max: 1000 }), { minLength: 1, maxLength: 8 })
  .chain((tokens) =>
    fc
      .array(fc.double({ min: 0.001, max: 1000, noNaN: true }), { minLength: tokens.length, maxLength: tokens.length })
      .map((ms) => [...tokens].sort((a, b) => a - b).map((n, i) => ({ tokens: n, ms: ms[i]! }))),
  );
const growing = samples.map((all) => {
  const times = all.map((s) => s.ms).sort((a, b) => a - b);
  return all.map(({ tokens }, i) => ({ tokens, ms: times[i]! }));
});

describe('interpolated costs', () => {
  it('go through growing samples, and grow', () => {
    fc.assert(
      fc.property(growing, fc.nat(2000), fc.nat(2000), (measured, a, b) => {
        const cost = interpolate(measured);
        for (const { tokens, ms } of measured) expect(cost(tokens)).toBeCloseTo(ms, 6);
        expect(cost(Math.min(a, b))).toBeLessThanOrEqual(cost(Math.max(a, b)));
      }),
    );
  });

  it('are straight between two samples and beyond the last', () => {
    const cost = interpolate([
      { tokens: 1, ms: 2 },
      { tokens: 5, ms: 10 },
      { tokens: 9, ms: 30 },
    ]);
    expect([1, 2, 5, 7, 9, 11].map(cost)).toEqual([2, 4, 10, 20, 30, 40]);
  });

  it('do not fall beyond the last sample, whatever was measured', () => {
    fc.assert(
      fc.property(samples, fc.nat(5000), (measured, more) => {
        const { tokens } = measured.at(-1)!;
        const cost = interpolate(measured);
        expect(cost(tokens + more)).toBeGreaterThanOrEqual(cost(tokens));
      }),
    );
  });

  it('never fall below zero, whatever was measured', () => {
    fc.assert(
      fc.property(samples, fc.nat(5000), (measured, tokens) => {
        expect(interpolate(measured)(tokens)).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});

it('the CPU takes no part in a long call where handing its part over takes longer than it saves', () => {
  const measured: Costs = {
    calls: { resident: 0.1, streamed: 0.1, cpu: 0.1 },
    cpu: () => 0.2,
    accelerator: () => 0.01,
    copy: 0.1,
    overlap: true,
    contention: { cpu: 1, copy: 1 },
    several: { calls: { resident: 0.1, streamed: 0.1, cpu: 0.1 }, handOver: 0.0005 },
  };
  const demand = Array.from({ length: 12 }, (_, expert) => ({ expert, tokens: 20, resident: false, cached: false }));
  const lanesOf = (tokens: number) => {
    const shares = lanesPolicy.decide(demand, inCallOf(measured, tokens), 64);
    return [...new Set(shares.map(({ lane }) => lane))].sort();
  };
  expect(lanesOf(100)).toEqual(['cpu', 'streamed']);
  expect(lanesOf(2000)).toEqual(['streamed']);
  const plan = [{ expert: 0, tokens: 20, lane: 'cpu' as const }];
  expect(makespan(plan, inCallOf(measured, 2000), 64)).toBeCloseTo(0.3 + 1, 9);
});
