import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makespan, NO_COSTS } from '../../src/experts/costs.js';
import { fiddlerPolicy } from '../../src/experts/policies/fiddler.js';
import { POLICIES, policyNamed } from '../../src/experts/policies/index.js';
import { lruPolicy } from '../../src/experts/policies/lru.js';
import { staticPolicy } from '../../src/experts/policies/static.js';
import { streamPolicy } from '../../src/experts/policies/stream.js';
import type { Costs, Demand, Share } from '../../src/experts/policy.js';
import { fiddlerError } from '../support/errors.js';

const demands: fc.Arbitrary<Demand[]> = fc.uniqueArray(fc.nat(255), { maxLength: 24 }).chain((experts) =>
  fc.tuple(
    ...experts.map((expert) =>
      fc.record({
        expert: fc.constant(expert),
        tokens: fc.integer({ min: 1, max: 2048 }),
        resident: fc.boolean(),
        cached: fc.boolean(),
      }),
    ),
  ),
);

/** Costs that grow with tokens, as on any machine. */
const ms = (max: number) => fc.double({ min: 0.001, max, noNaN: true });
const growing = fc.tuple(ms(50), ms(1)).map(
  ([first, slope]) =>
    (tokens: number) =>
      first + slope * (tokens - 1),
);
const slower = fc.double({ min: 1, max: 4, noNaN: true });
const costs: fc.Arbitrary<Costs> = fc.record({
  calls: fc.record({ resident: ms(1), streamed: ms(1), cpu: ms(1) }),
  cpu: growing,
  copy: ms(50),
  accelerator: growing,
  overlap: fc.boolean(),
  contention: fc.record({ cpu: slower, copy: slower }),
});
const widths = fc.constantFrom(64, 192, 1408, 14336);

/** The rows that the shares of an expert compute, in order. */
function rowsOf(plan: readonly Share[], expert: number, width: number): [from: number, to: number][] {
  return plan
    .filter((share) => share.expert === expert)
    .map(({ range }): [number, number] => [range?.from ?? 0, range?.to ?? width])
    .sort((a, b) => a[0] - b[0]);
}

describe.each(POLICIES)('policy $name', (policy) => {
  it('computes every row of every demanded expert exactly once, for all of its tokens, and nothing else', () => {
    fc.assert(
      fc.property(demands, costs, widths, (demand, cost, width) => {
        const plan = policy.decide(demand, cost, width);
        for (const { expert, tokens } of demand) {
          let next = 0;
          for (const [from, to] of rowsOf(plan, expert, width)) {
            expect(from).toBe(next);
            expect(to).toBeGreaterThan(from);
            next = to;
          }
          expect(next).toBe(width);
          expect(plan.filter((share) => share.expert === expert).every((share) => share.tokens === tokens)).toBe(true);
        }
        const asked = new Set(demand.map((d) => d.expert));
        expect(plan.filter(({ expert }) => !asked.has(expert))).toEqual([]);
      }),
    );
  });

  it('computes resident experts, and only those, on the accelerator from its memory', () => {
    fc.assert(
      fc.property(demands, costs, widths, (demand, cost, width) => {
        const plan = policy.decide(demand, cost, width);
        for (const { expert, resident } of demand) {
          const lanes = plan.filter((share) => share.expert === expert).map((share) => share.lane);
          if (resident) expect(lanes).toEqual(['resident']);
          else expect(lanes).not.toContain('resident');
        }
      }),
    );
  });

  it('says of whole experts that it streams, and of no other share, whether they are cached', () => {
    fc.assert(
      fc.property(demands, costs, widths, (demand, cost, width) => {
        for (const share of policy.decide(demand, cost, width)) {
          const { cached } = demand.find(({ expert }) => expert === share.expert)!;
          expect(share.cached === true).toBe(cached && share.lane === 'streamed');
          if (share.cached) expect(share.range).toBeUndefined();
        }
      }),
    );
  });

  it('streams only where it says that it does', () => {
    fc.assert(
      fc.property(demands, costs, widths, (demand, cost, width) => {
        const streamed = policy.decide(demand, cost, width).filter(({ lane }) => lane === 'streamed');
        if (!policy.streams) expect(streamed).toEqual([]);
      }),
    );
  });

  it('changes neither the demand nor, asked again, its answer', () => {
    fc.assert(
      fc.property(demands, costs, widths, (demand, cost, width) => {
        const before = structuredClone(demand);
        const plan = policy.decide(demand, cost, width);
        expect(demand).toEqual(before);
        expect(policy.decide(demand, cost, width)).toEqual(plan);
      }),
    );
  });

  it('is found by its name', () => {
    expect(policyNamed(policy.name)).toBe(policy);
  });
});

describe('each policy', () => {
  const lanes = (plan: readonly Share[]) => new Set(plan.map(({ lane }) => lane));

  it('static never streams, and neither stream nor lru ever uses the CPU', () => {
    fc.assert(
      fc.property(demands, costs, widths, (demand, cost, width) => {
        expect(lanes(staticPolicy.decide(demand, cost, width))).not.toContain('streamed');
        expect(lanes(streamPolicy.decide(demand, cost, width))).not.toContain('cpu');
        expect(lanes(lruPolicy.decide(demand, cost, width))).not.toContain('cpu');
      }),
    );
  });

  it('fiddler takes the cheaper lane for each missing expert', () => {
    fc.assert(
      fc.property(demands, costs, widths, (demand, cost, width) => {
        for (const { expert, lane, tokens } of fiddlerPolicy.decide(demand, cost, width)) {
          const { cached } = demand.find((d) => d.expert === expert)!;
          const [cpu, streamed] = [cost.cpu(tokens), (cached ? 0 : cost.copy) + cost.accelerator(tokens)];
          if (lane === 'cpu') expect(cpu).toBeLessThanOrEqual(streamed);
          if (lane === 'streamed') expect(streamed).toBeLessThan(cpu);
        }
      }),
    );
  });

  it('lanes ends no later than the CPU alone, the stream alone, and where nothing overlaps than fiddler', () => {
    fc.assert(
      fc.property(demands, costs, widths, (demand, cost, width) => {
        const time = (name: string) => makespan(policyNamed(name).decide(demand, cost, width), cost, width);
        const rivals = ['static', 'stream', 'lru', ...(cost.overlap ? [] : ['fiddler'])];
        for (const rival of rivals) expect(time('lanes')).toBeLessThanOrEqual(time(rival) * (1 + 1e-12));
      }),
    );
  });

  it('lanes divides work that the lanes do equally fast into halves, what is cached streamed', () => {
    const even: Costs = { ...NO_COSTS, cpu: () => 1, copy: 1, accelerator: () => 1, overlap: true };
    const missing = (expert: number, cached: boolean) => ({ expert, tokens: 1, resident: false, cached });
    const plan = (demand: Demand[]) => policyNamed('lanes').decide(demand, even, 128);
    expect(plan([missing(0, false)])).toEqual([
      { expert: 0, tokens: 1, lane: 'cpu', range: { from: 0, to: 64 } },
      { expert: 0, tokens: 1, lane: 'streamed', range: { from: 64, to: 128 } },
    ]);
    expect(plan([missing(0, true), missing(1, false)])).toEqual([
      { expert: 1, tokens: 1, lane: 'cpu' },
      { expert: 0, tokens: 1, lane: 'streamed', cached: true },
    ]);
  });

  it('lanes counts no copy for a cached expert', () => {
    const cost: Costs = {
      ...NO_COSTS,
      cpu: () => 3,
      copy: 100,
      accelerator: () => 1,
      overlap: true,
    };
    const demand = [0, 1, 2].map((expert) => ({ expert, tokens: 1, resident: false, cached: true }));
    const plan = policyNamed('lanes').decide(demand, cost, 64);
    expect(lanes(plan)).toEqual(new Set(['streamed']));
    expect(makespan(plan, cost, 64)).toBe(3);
  });

  it('is refused by an unknown name, which lists those there are', () => {
    const message = fiddlerError('usage', () => policyNamed('guess'));
    for (const { name } of POLICIES) expect(message).toContain(name);
  });
});
