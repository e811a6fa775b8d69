import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { belady } from '../../src/experts/caches/belady.js';
import type { Use } from '../../src/experts/caches/cache.js';
import { classLru } from '../../src/experts/caches/class-lru.js';
import { fixed } from '../../src/experts/caches/fixed.js';
import { forecast, forecastFew } from '../../src/experts/caches/forecast.js';
import { CACHE_POLICIES } from '../../src/experts/caches/index.js';
import { lfru, lfruTwice } from '../../src/experts/caches/lfru.js';
import { lfu, lfuEver } from '../../src/experts/caches/lfu.js';
import { lru } from '../../src/experts/caches/lru.js';
import { MOST_DECODED, replay, usesOf } from '../../src/experts/replay.js';
import { type RandomRouting, randomRouter } from '../../src/models/router-random.js';

const EXPERTS = 12;

function inOrder(experts: readonly number[]): Use[] {
  return experts.map((expert, time) => ({ expert, time }));
}

const uses = fc.array(fc.integer({ min: 0, max: EXPERTS - 1 }), { minLength: 1, maxLength: 200 }).map(inOrder);
const slots = fc.integer({ min: 0, max: EXPERTS });
const ONE = [{ count: EXPERTS, chosen: 1 }];

function missesOf(experts: readonly number[], count: number, policy = lru): number {
  return replay(policy, count, inOrder(experts), ONE).misses;
}

describe('rules by which experts share slots', () => {
  it.each(CACHE_POLICIES)('$name never holds more than fits, and says of each use whether it was there', (policy) => {
    fc.assert(
      fc.property(uses, slots, (all, count) => {
        const cache = policy.create(count, all, ONE);
        for (const use of all) {
          const there = cache.has(use.expert);
          expect(cache.use(use)).toBe(there);
          const held = Array.from({ length: EXPERTS }, (_, e) => e).filter((e) => cache.has(e));
          expect(held.length).toBeLessThanOrEqual(count);
        }
      }),
    );
  });

  it('miss nothing but what is used for the first time where all fit', () => {
    fc.assert(
      fc.property(uses, (all) => {
        const first = new Set(all.map(({ expert }) => expert)).size;
        for (const policy of CACHE_POLICIES) {
          expect(replay(policy, EXPERTS, all, ONE).misses).toBe(policy === fixed ? 0 : first);
        }
      }),
    );
  });

  it('miss no less than that which knows the future', () => {
    fc.assert(
      fc.property(uses, slots, (all, count) => {
        const { misses } = replay(belady, count, all, ONE);
        for (const policy of CACHE_POLICIES) {
          // What never changes begins with what it holds, and what foretells may bring what is not being used.
          if ([fixed, forecast, forecastFew].includes(policy)) continue;
          expect(replay(policy, count, all, ONE).misses).toBeGreaterThanOrEqual(misses);
        }
      }),
    );
  });

  it('let go of what their names say', () => {
    const [often, then] = [[0, 0, 0, 1, 2], [0]];
    expect(missesOf([...often, ...then], 2, lru)).toBe(4); // 0 was used before 1
    expect(missesOf([...often, ...then], 2, lfu)).toBe(3); // 1 was used less than 0
    const once = [0, 1, 0, 1, 2, 0, 1];
    expect(replay(lfruTwice, 2, inOrder(once), ONE)).toMatchObject({ misses: 3, copies: 2 }); // 2 comes only once
  });
});

const LAYERS = Array.from({ length: 4 }, () => ({ count: 64, chosen: 4 }));

/** What some tokens use of 4 layers of 64 experts, 4 each. */
function made(routing: RandomRouting, tokens: number): Use[] {
  const chosen = 4;
  const routers = LAYERS.map(({ count }, l) => randomRouter(count, chosen, l + 1, routing));
  const all: Use[] = [];
  const [ids, weights] = [new Int32Array(chosen), new Float32Array(chosen)];
  for (let t = 0; t < tokens; t++) {
    for (const [l, router] of routers.entries()) {
      router.choose(weights, ids, weights);
      for (const e of ids) all.push({ expert: l * 64 + e, time: t + l / LAYERS.length });
    }
  }
  return all;
}

/** Share of uses that miss with a quarter of the experts. */
function missing(policy: typeof lru, locality: number): number {
  const { uses, misses } = replay(policy, 64, made({ zipf: 0.5, locality }, 300), LAYERS);
  return misses / uses;
}

describe('the rule that foretells', () => {
  const others = [lru, lfu, lfuEver, classLru, lfru];

  it.each<RandomRouting>([
    {},
    { zipf: 1 },
    { locality: 0.9 },
    { zipf: 0.6, locality: 0.5 },
    { zipf: 1, drift: 0.1 },
    { zipf: 0.8, locality: 0.8, drift: 0.1 },
  ])('misses at most 5% more than the best of those that do not, %o', (routing) => {
    const uses = made(routing, 800);
    const best = Math.min(...others.map((policy) => replay(policy, 64, uses, LAYERS).misses));
    for (const policy of [forecast, forecastFew]) {
      expect(replay(policy, 64, uses, LAYERS).misses).toBeLessThan(1.05 * best);
    }
  });

  it('copies next to nothing once it knows that use is even', () => {
    const uses = made({}, 2000);
    const copies = (tokens: number) => replay(forecastFew, 64, uses.slice(0, 16 * tokens), LAYERS).copies;
    expect(copies(2000) - copies(500)).toBeLessThan(0.05 * 1500);
  });

  it('exchanges no more than one expert of a layer in a call, and none that the call uses', () => {
    const uses = made({ locality: 0.8 }, 200);
    const cache = forecastFew.create(64, uses, LAYERS);
    const experts = Array.from({ length: 256 }, (_, e) => e);
    const held = () => new Set(experts.filter((e) => cache.has(e)));
    for (let at = 0; at < uses.length; at += 4) {
      const call = uses.slice(at, at + 4);
      const before = held();
      const hits = call.filter((use) => cache.use(use));
      const after = held();
      for (const { expert } of hits) expect(after.has(expert)).toBe(true);
      const left = [...before].filter((e) => !after.has(e));
      expect(left.length).toBeLessThanOrEqual(1);
      for (const e of left) expect(e >> 6).toBe(call[0]!.expert >> 6);
    }
  });
});

describe('routing at random', () => {
  it('that repeats itself is served by what was used of late, and what never changes gains nothing by that', () => {
    expect(missing(lru, 0.9)).toBeLessThan(0.5 * missing(lru, 0));
    expect(missing(lru, 0.9)).toBeLessThan(missing(fixed, 0.9));
    expect(missing(fixed, 0)).toBeLessThan(missing(lru, 0));
  });

  it('changes with drift what is popular', () => {
    const counts = (drift: number) => {
      const router = randomRouter(32, 2, 1, { zipf: 2, drift });
      const [ids, weights] = [new Int32Array(2), new Float32Array(2)];
      const halves = [new Float64Array(32), new Float64Array(32)];
      for (let t = 0; t < 4000; t++) {
        router.choose(weights, ids, weights);
        for (const e of ids) halves[t < 2000 ? 0 : 1]![e]! += 1 / 2000;
      }
      return Math.max(...halves[0]!.map((share, e) => Math.abs(share - halves[1]![e]!)));
    };
    expect(counts(0)).toBeLessThan(0.1);
    expect(counts(0.02)).toBeGreaterThan(0.2);
  });
});

describe('uses of a trace', () => {
  it('are the different experts of each layer of a call that decodes', () => {
    const layers = [
      { count: 4, chosen: 2 },
      { count: 8, chosen: 1 },
    ];
    const calls = [
      { tokens: MOST_DECODED + 1, first: 0, experts: [[], []] },
      {
        tokens: 2,
        first: 0,
        experts: [
          [1, 3, 3, 1],
          [7, -1],
        ],
      },
      { tokens: 1, first: 1, experts: [[0]] },
    ];
    expect(usesOf({ model: 'm', layers }, calls)).toEqual({
      tokens: 3,
      uses: [
        { expert: 1, time: 0 },
        { expert: 3, time: 0 },
        { expert: 11, time: 0.5 },
        { expert: 4, time: 1 },
      ],
    });
  });
});
