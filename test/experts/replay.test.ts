import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { belady } from '../../src/experts/caches/belady.js';
import type { Use } from '../../src/experts/caches/cache.js';
import { fixed } from '../../src/experts/caches/fixed.js';
import { CACHE_POLICIES } from '../../src/experts/caches/index.js';
import { lfruTwice } from '../../src/experts/caches/lfru.js';
import { lfu } from '../../src/experts/caches/lfu.js';
import { lru } from '../../src/experts/caches/lru.js';
import { MOST_DECODED, replay, usesOf } from '../../src/experts/replay.js';
import { randomRouter } from '../../src/models/router-random.js';

const EXPERTS = 12;

function inOrder(experts: readonly number[]): Use[] {
  return experts.map((expert, time) => ({ expert, time }));
}

const uses = fc.array(fc.integer({ min: 0, max: EXPERTS - 1 }), { minLength: 1, maxLength: 200 }).map(inOrder);
const slots = fc.integer({ min: 0, max: EXPERTS });

function missesOf(experts: readonly number[], count: number, policy = lru): number {
  return replay(policy, count, inOrder(experts)).misses;
}

describe('rules by which experts share slots', () => {
  it.each(CACHE_POLICIES)('$name never holds more than fits, and says of each use whether it was there', (policy) => {
    fc.assert(
      fc.property(uses, slots, (all, count) => {
        const cache = policy.create(count, all);
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
          expect(replay(policy, EXPERTS, all).misses).toBe(policy === fixed ? 0 : first);
        }
      }),
    );
  });

  it('miss no less than that which knows the future', () => {
    fc.assert(
      fc.property(uses, slots, (all, count) => {
        const { misses } = replay(belady, count, all);
        for (const policy of CACHE_POLICIES) {
          // What never changes begins with what it holds.
          if (policy !== fixed) expect(replay(policy, count, all).misses).toBeGreaterThanOrEqual(misses);
        }
      }),
    );
  });

  it('let go of what their names say', () => {
    const [often, then] = [[0, 0, 0, 1, 2], [0]];
    expect(missesOf([...often, ...then], 2, lru)).toBe(4); // 0 was used before 1
    expect(missesOf([...often, ...then], 2, lfu)).toBe(3); // 1 was used less than 0
    const once = [0, 1, 0, 1, 2, 0, 1];
    expect(replay(lfruTwice, 2, inOrder(once))).toMatchObject({ misses: 3, copies: 2 }); // 2 comes only once
  });
});

/** Share of uses that miss with a quarter of the experts of 4 layers. */
function missing(policy: typeof lru, locality: number): number {
  const [layers, experts, chosen, tokens] = [4, 64, 4, 300];
  const routers = Array.from({ length: layers }, (_, l) =>
    randomRouter(experts, chosen, l + 1, { zipf: 0.5, locality }),
  );
  const all: Use[] = [];
  const [ids, weights] = [new Int32Array(chosen), new Float32Array(chosen)];
  for (let t = 0; t < tokens; t++) {
    for (const [l, router] of routers.entries()) {
      router.choose(weights, ids, weights);
      for (const e of ids) all.push({ expert: l * experts + e, time: t + l / layers });
    }
  }
  const { uses, misses } = replay(policy, (layers * experts) / 4, all);
  return misses / uses;
}

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
