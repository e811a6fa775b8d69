import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HostVector, RelativeBias } from '../../src/models/parameters.js';
import { relativeBucket } from '../../src/models/relative-position.js';
import { BiasLines, fillMask } from '../../src/network/masks.js';

/** Buckets of transformers' T5Attention._relative_position_bucket (32 buckets, 128): distance, in both directions, causal. */
const REFERENCE: readonly (readonly [distance: number, both: number, causal: number])[] = [
  [-300, 15, 31],
  [-128, 15, 31],
  [-127, 15, 31],
  [-91, 15, 29],
  [-90, 14, 29],
  [-64, 14, 26],
  [-63, 13, 26],
  [-32, 12, 21],
  [-17, 10, 16],
  [-16, 10, 16],
  [-15, 9, 15],
  [-8, 8, 8],
  [-1, 1, 1],
  [0, 0, 0],
  [1, 17, 0],
  [7, 23, 0],
  [8, 24, 0],
  [11, 24, 0],
  [12, 25, 0],
  [16, 26, 0],
  [23, 27, 0],
  [32, 28, 0],
  [46, 29, 0],
  [64, 30, 0],
  [90, 30, 0],
  [91, 31, 0],
  [128, 31, 0],
  [1000, 31, 0],
];

describe('the bucket of a distance', () => {
  it.each(REFERENCE)('%i: %i in both directions, %i causal', (distance, both, causal) => {
    const bucket = (bidirectional: boolean) => relativeBucket(distance, { count: 32, maxDistance: 128, bidirectional });
    expect([bucket(true), bucket(false)]).toEqual([both, causal]);
  });

  it('is one of its own for each short distance, then grows by equal ratios up to the last', () => {
    const sizes = fc.record({
      count: fc.integer({ min: 1, max: 16 }).map((n) => 4 * n),
      farther: fc.integer({ min: 1, max: 500 }),
      bidirectional: fc.boolean(),
      distance: fc.integer({ min: -2000, max: 2000 }),
    });
    fc.assert(
      fc.property(sizes, ({ count, farther, bidirectional, distance }) => {
        const maxDistance = count / 2 + farther;
        const found = relativeBucket(distance, { count, maxDistance, bidirectional });
        const half = bidirectional ? count / 2 : count;
        const after = bidirectional && distance > 0;
        const apart = after ? distance : Math.max(0, -distance);
        expect(Math.floor(found / half)).toBe(after ? 1 : 0);
        const within = found % half;
        const exact = Math.floor(half / 2);
        if (apart < exact) expect(within).toBe(apart);
        else {
          // apart lies in [exact · ratio^i, exact · ratio^(i + 1)) of bucket exact + i, up to rounding in float32.
          const ratio = (maxDistance / exact) ** (1 / (half - exact));
          expect(apart * (1 + 1e-4)).toBeGreaterThanOrEqual(exact * ratio ** (within - exact));
          if (within < half - 1) expect(apart * (1 - 1e-4)).toBeLessThan(exact * ratio ** (within - exact + 1));
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('a mask with a relative bias', () => {
  const heads = 2;
  const biasOf = (bidirectional: boolean) => {
    const table = new HostVector('table', [32, heads]);
    table.values = Float32Array.from({ length: 32 * heads }, (_, i) => Math.sin(i + 1));
    return new RelativeBias(table, heads, bidirectional, (distance) =>
      relativeBucket(distance, { count: 32, maxDistance: 128, bidirectional }),
    );
  };

  it('holds what the distance adds where a token may look, and −∞ elsewhere', () => {
    const calls = fc.record({
      past: fc.nat(200),
      count: fc.integer({ min: 1, max: 9 }),
      at: fc.nat(50),
      bidirectional: fc.boolean(),
    });
    fc.assert(
      fc.property(calls, ({ past: behind, count, at, bidirectional }) => {
        const past = bidirectional ? 0 : behind;
        const rows = bidirectional ? count : past + count + 5;
        const bias = biasOf(bidirectional);
        const before = new Float32Array(at).fill(7);
        const all = new Float32Array(at + heads * count * rows).fill(7);
        new BiasLines(bias, 256).fill(all, { past, count, rows, at });
        expect(all.subarray(0, at)).toEqual(before);
        const mask = all.subarray(at);
        const seen = new Uint16Array(count * rows);
        fillMask(seen, { past, count, rows, at: 0 }, 0, { kept: 256, from: 0 });
        for (let head = 0; head < heads; head++) {
          for (let i = 0; i < count; i++) {
            for (let j = 0; j < rows; j++) {
              const looks = bidirectional || seen[i * rows + j] === 0;
              const added = bias.table.values[bias.bucket(j - past - i) * heads + head]!;
              expect(mask[(head * count + i) * rows + j]).toBe(looks ? added : -Infinity);
            }
          }
        }
      }),
      { numRuns: 50 },
    );
  });
});
