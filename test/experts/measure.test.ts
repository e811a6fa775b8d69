import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Routes } from '../../src/experts/assignments.js';
import type { Experts } from '../../src/experts/experts.js';
import { mean, measureExperts, repeat } from '../../src/experts/measure.js';
import type { Share } from '../../src/experts/policy.js';

afterEach(() => void vi.restoreAllMocks());

const times = fc.array(fc.double({ min: 1e-3, max: 1e3, noNaN: true }), { minLength: 1, maxLength: 50 });
const ascending = times.map((all) => all.sort((a, b) => a - b));

describe('what repeated measurements come to', () => {
  it('is their mean, so that slow ones count', () => {
    expect(mean([1, 1, 1, 3])).toBe(1.5);
  });

  it('hardly changes with one that is slower still', () => {
    expect(mean([1, 1, 1, 1, 1000])).toBe(1.8);
  });

  it('lies between the fastest and the slowest, and is never more than five times the median', () => {
    fc.assert(
      fc.property(ascending, (all) => {
        const found = mean(all);
        expect(found).toBeGreaterThanOrEqual(all[0]! * (1 - 1e-12));
        expect(found).toBeLessThanOrEqual(Math.min(all.at(-1)!, 5 * all[all.length >> 1]!) * (1 + 1e-12));
      }),
    );
  });

  it('is of as many as were asked for, ascending, where these are short', () => {
    const found = repeat({ limit: 1000, repeats: 5, least: 0, tokens: [], lengths: [], heads: [] }, () => {});
    expect(found).toHaveLength(5);
    expect(found).toEqual([...found].sort((a, b) => a - b));
  });
});

describe('measuring experts', () => {
  it('waits for every call of several tokens before the next, since that frees its graphs', () => {
    const spec = { count: 8, chosen: 2, hidden: 64, width: 64, activation: 'silu' as const };
    let now = 0;
    let queued = 0;
    const several: Share[][] = [];
    vi.spyOn(performance, 'now').mockImplementation(() => now);
    const experts = {
      resident: { missing: () => [0, 1, 2, 3, 4, 5, 6, 7], of: () => [] },
      offloads: true,
      overlaps: true,
      bytesOf: () => 1e6,
      measure({ tokens }: Routes, plan: readonly Share[]) {
        expect(queued).toBeLessThanOrEqual(1); // graphs of one token are kept
        queued = tokens;
        if (tokens > 1) several.push([...plan]);
        for (const { lane } of plan) now += lane === 'cpu' ? 1 : 0.5;
      },
      wait: () => void (queued = 0),
    } as unknown as Experts;
    const patience = { limit: 20, repeats: 2, least: 0, tokens: [1, 64], lengths: [], heads: [] };
    const found = measureExperts(experts, [spec] as never, { chunk: 512, streams: true }, patience);
    expect(found.several?.contention).toBeDefined();
    const lanes = several.map((plan) => new Set(plan.map(({ lane }) => lane)).size);
    expect(lanes.filter((size) => size === 2).length).toBeGreaterThan(1);
  });
});
