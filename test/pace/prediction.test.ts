import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { spread } from '../../src/experts/placement.js';
import { POLICIES, policyNamed } from '../../src/experts/policies/index.js';
import type { Policy } from '../../src/experts/policy.js';
import type { ExpertsSpec } from '../../src/experts/spec.js';
import { predictDecode, predictPrefill } from '../../src/pace/prediction.js';
import { paceOf, type Rates, withoutExperts } from '../../src/pace/rates.js';
import type { Scenario } from '../../src/pace/simulation.js';

const none = { name: '' };
const layer: ExpertsSpec = {
  count: 8,
  chosen: 2,
  hidden: 64,
  width: 1792,
  activation: 'silu',
  matrices: () => ({ gate: none, up: none, down: none }),
};
const LAYERS = 4;
const TOTAL = LAYERS * layer.count;

const ms = (min: number, max: number) => fc.double({ min, max, noNaN: true });

/** A machine whose accelerator computes a token's experts before CPU and copies together are done with one. */
const machines: fc.Arbitrary<Rates> = fc
  .record({
    cpu: ms(0.5, 20),
    perToken: ms(0.001, 1),
    copy: ms(0.5, 30),
    part: ms(0.01, 0.9 / layer.chosen),
    call: ms(0, 0.2),
    overlap: fc.boolean(),
    slower: ms(1, 2),
    others: ms(0.01, 1),
    first: ms(0, 20),
  })
  .map(({ cpu, perToken, copy, part, call, overlap, slower, others, first }) => {
    const accelerator = part * (1 / (1 / cpu + 1 / copy));
    const at = (past: number) => [1, 512].map((tokens) => ({ tokens, past, ms: others * (1 + tokens / 64) }));
    return {
      experts: {
        calls: { resident: 0, streamed: call, cpu: call },
        cpu: [1, 512].map((tokens) => ({ tokens, ms: cpu + (tokens - 1) * perToken })),
        accelerator: [1, 512].map((tokens) => ({ tokens, ms: accelerator + (tokens - 1) * perToken * part })),
        copy,
        overlap,
        contention: { cpu: overlap ? slower : 1, copy: overlap ? slower : 1 },
        spread: 0.05,
      },
      sparse: [...at(0), ...at(4096)],
      dense: [],
      begin: [{ tokens: 1, past: 0, ms: 0 }],
      between: [],
      first,
      head: others,
      heads: [],
    };
  });

function scenario(rates: Rates, policy: string, resident: number): Scenario {
  return {
    pace: paceOf(rates),
    layers: Array(LAYERS).fill(layer),
    together: Array(LAYERS).fill(1),
    denseLayers: 1,
    placement: spread(resident, Array(LAYERS).fill(layer.count)),
    policy: policyNamed(policy),
    decides: true,
    slots: { one: 2, several: 2 },
    prefetch: false,
    chunk: 512,
    fresh: false,
  };
}

describe.each(POLICIES.map((p) => p.name))('a prediction of policy %s', (policy) => {
  it('is no slower with more experts resident', () => {
    fc.assert(
      fc.property(machines, fc.nat(TOTAL), fc.nat(TOTAL), (rates, a, b) => {
        const [fewer, more] = [Math.min(a, b), Math.max(a, b)].map((n) => scenario(rates, policy, n));
        expect(predictDecode(more!, 100).ms).toBeLessThanOrEqual(predictDecode(fewer!, 100).ms * (1 + 1e-9));
      }),
      { numRuns: 60 },
    );
  });

  it('is the same each time, and spends its time where it says', () => {
    fc.assert(
      fc.property(machines, fc.nat(TOTAL), (rates, resident) => {
        const given = scenario(rates, policy, resident);
        const found = predictDecode(given, 100);
        expect(predictDecode(given, 100)).toEqual(found);
        expect(found.ms).toBeGreaterThanOrEqual(found.others);
        expect(found.low).toBeLessThan(found.ms);
        expect(found.high / found.ms).toBeCloseTo(found.ms / found.low, 9);
        if (resident === TOTAL) {
          expect(found.limit).toBe('accelerator');
          expect(found.hitRate).toBe(1);
        }
        if (resident === 0 && policy === 'static') expect(found.hitRate).toBe(0);
      }),
      { numRuns: 40 },
    );
  });
});

// `fiddler` decides about each expert alone: a short prompt may leave a lane idle that a longer one of the same machine uses.
const WHOLE = POLICIES.map((p) => p.name).filter((name) => name !== 'fiddler');

describe.each(WHOLE)('a prediction of policy %s', (policy) => {
  it('takes no less for a longer prompt', () => {
    fc.assert(
      fc.property(machines, fc.nat(TOTAL), fc.integer({ min: 64, max: 512 }), (rates, resident, tokens) => {
        const given = scenario(rates, policy, resident);
        // Shares are cut at multiples of rows, which may cost the shorter one a few percent more.
        expect(predictPrefill(given, 2 * tokens).ms).toBeGreaterThanOrEqual(predictPrefill(given, tokens).ms * 0.95);
      }),
      { numRuns: 40 },
    );
  });
});

/** Two tokens of an expert take no longer than twice one. */
const saving = machines.filter(({ experts }) =>
  [experts.cpu, experts.accelerator].every(([one, many]) => many!.ms <= many!.tokens * one!.ms),
);

describe.each(WHOLE)('a prediction of several sequences, policy %s', (policy) => {
  it('has more tokens a second in sum with each further one, and fewer of each', () => {
    fc.assert(
      fc.property(saving, fc.nat(TOTAL / 2), fc.nat(4096), (rates, resident, past) => {
        const given = scenario(rates, policy, resident);
        const [one, ...more] = [1, 2, 4, 8].map((n) => ({ n, ms: predictDecode(given, past, n).ms }));
        let fewer = one!;
        for (const many of more) {
          expect(many.ms).toBeGreaterThan(fewer.ms);
          // Other routes are drawn for each number.
          expect(many.ms / many.n).toBeLessThan((fewer.ms / fewer.n) * 1.05);
          fewer = many;
        }
      }),
      { numRuns: 12 },
    );
  });

  it('is of one what it is without a number, and what a call of one token takes', () => {
    fc.assert(
      fc.property(machines, fc.nat(TOTAL), fc.nat(4096), (rates, resident, past) => {
        const given = scenario(rates, policy, resident);
        const alone = predictDecode(given, past);
        expect(predictDecode(given, past, 1)).toEqual(alone);
        expect(alone.others).toBe(withoutExperts(given.pace, { sparse: LAYERS, dense: 1 }, 1, past) + rates.head);
      }),
      { numRuns: 20 },
    );
  });
});

describe('a prediction', () => {
  const rates: Rates = {
    experts: {
      calls: { resident: 0, streamed: 0, cpu: 0 },
      cpu: [{ tokens: 1, ms: 3 }],
      accelerator: [{ tokens: 1, ms: 0.1 }],
      copy: 7,
      overlap: true,
      contention: { cpu: 1, copy: 1 },
      spread: 0,
    },
    sparse: [{ tokens: 1, past: 0, ms: 0.5 }],
    dense: [{ tokens: 1, past: 0, ms: 0.25 }],
    begin: [{ tokens: 1, past: 0, ms: 0.125 }],
    between: [],
    first: 10,
    head: 1,
    heads: [],
  };

  it('adds up what every layer takes', () => {
    const others = 0.125 + LAYERS * 0.5 + 0.25 + 1;
    const of = (policy: string) => predictDecode(scenario(rates, policy, 0), 0);
    expect(of('static').ms).toBeCloseTo(others + LAYERS * 2 * 3, 9);
    expect(of('stream').ms).toBeCloseTo(others + LAYERS * 2 * 7, 9);
    expect(of('static').limit).toBe('memory');
    expect(of('stream').limit).toBe('link');
    expect(predictDecode(scenario(rates, 'static', TOTAL), 0).ms).toBeCloseTo(others + LAYERS * 2 * 0.1, 9);
    // Both lanes together are faster than either, and no faster than the sum of their speeds.
    expect(of('lanes').ms).toBeLessThan(of('static').ms * 0.8);
    expect(of('lanes').ms).toBeGreaterThan(others + (LAYERS * 2) / (1 / 3 + 1 / 7));
  });

  it('has missing experts on the CPU where nothing can be streamed', () => {
    const given = (policy: string) => ({ ...scenario(rates, policy, 2 * LAYERS), slots: { one: 0, several: 0 } });
    const alone = predictDecode({ ...given('lanes'), decides: false }, 0);
    expect(alone.ms).toBe(predictDecode(given('static'), 0).ms);
    expect(predictDecode({ ...given('stream'), decides: false }, 0)).toEqual(alone);
  });

  it('divides experts where the blocks of their types end', () => {
    const cuts = new Set<number>();
    const of = (together: number) => {
      const given = scenario(rates, 'lanes', 0);
      const { decide } = given.policy;
      const policy: Policy = {
        ...given.policy,
        decide: (...asked) => {
          const plan = decide(...asked);
          for (const { range } of plan) if (range) cuts.add(range.to);
          return plan;
        },
      };
      predictDecode({ ...given, policy, together: Array(LAYERS).fill(together) }, 0);
      return [...cuts].filter((cut) => cut % 256 !== 0).length;
    };
    expect(of(256)).toBe(0);
    expect(of(1)).toBeGreaterThan(0);
  });

  it("takes longer for a process's first prompt, once, and only a part for a short one", () => {
    const given = scenario(rates, 'static', 0);
    const longer = (tokens: number) =>
      predictPrefill({ ...given, fresh: true }, tokens).ms - predictPrefill(given, tokens).ms;
    expect(longer(128)).toBeCloseTo(2.5, 9);
    expect(longer(512)).toBeCloseTo(10, 9);
    expect(longer(2048)).toBeCloseTo(10, 9);
    expect(predictDecode({ ...given, fresh: true }, 100)).toEqual(predictDecode(given, 100));
  });

  it('decodes several sequences with what each reads of its own context', () => {
    const at = (past: number) => [1, 8].map((tokens) => ({ tokens, past, ms: 0.5 + tokens / 16 + past / 1000 }));
    const several = paceOf({ ...rates, sparse: [...at(0), ...at(1000)], heads: [{ tokens: 8, ms: 4.5 }] });
    const given = { ...scenario(rates, 'static', 0), pace: several };
    // Weights once, eight rows; the context's milliseconds eight times, though a call of eight tokens reads it once.
    const layers = LAYERS * (0.5 + 8 / 16 + 8 * 1) + 0.25;
    expect(predictDecode(given, 1000, 8).others).toBeCloseTo(0.125 + layers + 4.5, 9);
    expect(predictDecode(given, 0, 1).others).toBeCloseTo(0.125 + LAYERS * (0.5 + 1 / 16) + 0.25 + 1, 9);
    const unmeasured = predictDecode({ ...given, pace: paceOf({ ...rates, sparse: at(0) }) }, 0, 8);
    expect(unmeasured.others).toBeCloseTo(0.125 + LAYERS + 0.25 + 8, 9);
  });

  it('has all sequences share the only expert', () => {
    const cpu = [1, 8].map((tokens) => ({ tokens, ms: 2 + tokens }));
    const one = { ...layer, count: 1, chosen: 1 };
    const given = { ...scenario({ ...rates, experts: { ...rates.experts, cpu } }, 'static', 0), layers: [one, one] };
    const routed = (sequences: number) => {
      const { ms, others } = predictDecode({ ...given, placement: [[], []] }, 0, sequences);
      return ms - others;
    };
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 64 }), (n) => {
        expect(routed(n)).toBeCloseTo(2 * (2 + n), 9);
      }),
    );
  });

  it('finds popular experts on the accelerator', () => {
    const popularity = Array.from({ length: LAYERS }, () => [100, 100, 1, 1, 1, 1, 1, 1]);
    const given = { ...scenario(rates, 'static', 2 * LAYERS), popularity };
    expect(predictDecode(given, 0).hitRate).toBeGreaterThan(0.8);
    expect(predictDecode({ ...given, popularity: undefined }, 0).hitRate).toBeLessThan(0.4);
  });
});
