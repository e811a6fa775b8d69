import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type Choose, ExchangedModel } from '../../bench/exchanged-model.js';
import { Budget } from '../../src/experts/budget.js';
import type { Exchange } from '../../src/experts/exchange.js';
import type { ExchangeCosts } from '../../src/experts/exchange-costs.js';
import { Rebalancer } from '../../src/experts/rebalance.js';
import { type RandomRouting, randomRouter } from '../../src/models/router-random.js';

afterEach(() => void vi.restoreAllMocks());

const LAYERS = Array.from({ length: 8 }, () => ({ count: 64, chosen: 4 }));
const RESIDENT = 16;

class Model extends ExchangedModel {
  constructor(price: ExchangeCosts) {
    const first = LAYERS.map(({ count }) => new Set([...Array(count).keys()].slice(-RESIDENT)));
    super(LAYERS, first, price, 1);
  }
}

/** @returns with how many uses of each expert there were */
function routing(how: RandomRouting, seed: number): { choose: Choose; counts: number[][] } {
  const counts = LAYERS.map(({ count }) => new Array<number>(count).fill(0));
  const routers = LAYERS.map(({ count, chosen }, l) => randomRouter(count, chosen, seed * 100 + l, how));
  const [ids, weights] = [new Int32Array(4), new Float32Array(4)];
  const choose = (layer: number) => {
    routers[layer]!.choose(weights, ids, weights);
    for (const e of ids) counts[layer]![e]!++;
    return [...ids];
  };
  return { choose, counts };
}

/** Hits of a use by the placement that stays and has most. */
function best(counts: readonly number[][]): number {
  const most = counts.map((all) => all.toSorted((a, b) => b - a));
  const sum = (all: readonly number[]) => all.reduce((a, b) => a + b);
  return sum(most.map((all) => sum(all.slice(0, RESIDENT)))) / sum(most.map(sum));
}

const seed = fc.integer({ min: 1, max: 1e6 });
const costs = fc.record({
  saved: fc.constantFrom(0.01, 0.02, 0.05, 0.2, 2),
  exchange: fc.constantFrom(0.03, 0.1, 1, 7),
});
const FEW = { numRuns: 12 };

describe('residency that follows use', () => {
  it('comes to hit as often as the best placement where use stays, though exchanges cost more than is gained at first', () => {
    const cheap = fc.record({ saved: fc.constantFrom(0.01, 0.02), exchange: fc.constantFrom(0.03, 0.1, 0.2, 0.3) });
    const few = fc.integer({ min: 1, max: 40 });
    fc.assert(
      fc.property(few, cheap, (seed, price) => {
        const model = new Model(price);
        const { choose, counts } = routing({ zipf: 1 }, seed);
        model.run(64, choose);
        if (price.exchange / price.saved > 16) expect(model.lost).toBeGreaterThan(0);
        model.run(436, choose);
        expect(model.lost).toBeLessThan(0);
        model.run(1000, choose);
        const hits = model.run(500, choose);
        expect(hits).toBeGreaterThan(0.97 * best(counts));
      }),
      FEW,
    );
  });

  it('pays for wandering use where hits save much', () => {
    fc.assert(
      fc.property(seed, fc.constantFrom(0.03, 0.1), (seed, exchange) => {
        const model = new Model({ saved: 0.2, exchange });
        const { choose, counts } = routing({ locality: 0.9 }, seed);
        expect(model.run(1000, choose)).toBeGreaterThan(1.5 * best(counts));
        expect(model.lost).toBeLessThan(-0.3 * model.time);
      }),
      FEW,
    );
  });

  it('loses less than 2% where use is even, whatever hits save and exchanges take', () => {
    fc.assert(
      fc.property(seed, costs, (seed, price) => {
        const model = new Model(price);
        model.run(2000, routing({}, seed).choose);
        expect(model.lost).toBeLessThan(0.02 * model.time);
      }),
      FEW,
    );
  });

  it('loses less than 2% where what left is what is used, and gives back what was there at first', () => {
    fc.assert(
      fc.property(costs, (price) => {
        const model = new Model(price);
        let givenBack = 0;
        for (let call = 0; call < 3000; call++) {
          const was = model.isFirst;
          model.call(leaving);
          if (!was && model.isFirst) givenBack++;
        }
        expect(model.lost).toBeLessThan(0.02 * model.time);
        expect(givenBack > 0).toBe(model.exchanges > 0);
      }),
      FEW,
    );
  });
  it('gives back within 200 calls what was there at first where use turns against what came, however much that gained', () => {
    const cheap = fc.record({ saved: fc.constantFrom(0.05, 0.2), exchange: fc.constantFrom(0.03, 0.1) });
    fc.assert(
      fc.property(seed, cheap, (seed, price) => {
        const model = new Model(price);
        model.run(1000, routing({ zipf: 1 }, seed).choose);
        expect(model.lost).toBeLessThan(-0.1 * model.time);
        let calls = 0;
        for (; !model.isFirst && calls < 400; calls++) model.call(leaving);
        expect(calls).toBeGreaterThan(0);
        expect(calls).toBeLessThan(200);
      }),
      FEW,
    );
  });
});

/** What the first placement had and is gone, then what it has, and as much of what neither has. */
const leaving: Choose = (_, resident, first) => {
  const gone = [...first].filter((expert) => !resident.has(expert));
  const stayed = [...first].filter((expert) => resident.has(expert));
  const others = [...Array(64).keys()].filter((expert) => !resident.has(expert) && !first.has(expert));
  return [...gone, ...stayed].slice(0, 2).concat(others.slice(0, 2));
};

/** Calls of two layers that use the same experts, of which the first two are resident at first. */
class Calls {
  readonly exchanges: Exchange[] = [];
  now = 0;
  private readonly resident = [new Set([0, 1]), new Set([0, 1])];
  private readonly rebalancer: Rebalancer;

  constructor() {
    const exchange = (found: Exchange) => {
      this.exchanges.push(found);
      this.resident[found.layer]!.delete(found.evicted);
      this.resident[found.layer]!.add(found.admitted);
    };
    const layers = this.resident.map(() => ({ count: 8, chosen: 2 }));
    const resident = { names: (layer: number) => this.resident[layer]! };
    const model = { layers, resident, exchange, costs: () => ({ saved: 1, exchange: 0.01 }) };
    this.rebalancer = new Rebalancer(model, undefined, () => this.now);
  }

  /** @returns exchanges that were made in the call */
  call(experts: readonly number[], { tokens = 1, ms = 10, ends = true } = {}): readonly Exchange[] {
    const before = this.exchanges.length;
    this.rebalancer.begins();
    for (const [layer, resident] of this.resident.entries()) {
      const of = (expert: number) => ({ expert, tokens, resident: resident.has(expert), cached: false });
      this.rebalancer.used(layer, experts.map(of), tokens);
      this.rebalancer.follow(1 - layer);
    }
    this.now += ms;
    if (ends) this.rebalancer.afterCall(tokens);
    return this.exchanges.slice(before);
  }
}

it('neither brings experts in prompts nor gives back those that were there at first', () => {
  const calls = new Calls();
  const prompt = { tokens: 64 };
  for (let i = 0; i < 20; i++) calls.call([5, 6]);
  expect(calls.exchanges.length).toBeGreaterThan(0);
  expect(calls.call([3, 4], prompt)).toEqual([]);
  vi.spyOn(Budget.prototype, 'call').mockImplementation(function (this: Budget) {
    this.lost = true;
  });
  calls.call([2, 3]);
  calls.call([2, 3], prompt); // the last layer of the call before is followed in it
  expect(calls.call([2, 3], prompt)).toEqual([]);
  expect(calls.call([2, 3]).map(({ admitted }) => admitted)).toContain(0);
});

it('counts no time of a call that did not end', () => {
  const took: number[] = [];
  vi.spyOn(Budget.prototype, 'call').mockImplementation((result) => void took.push(result.took));
  const calls = new Calls();
  calls.call([0, 1]);
  calls.call([0, 1], { ms: 60_000, ends: false });
  calls.call([0, 1]);
  expect(took).toEqual([10, 10]);
});
