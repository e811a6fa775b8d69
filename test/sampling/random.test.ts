import { describe, expect, it } from 'vitest';
import { Random, splitmix64 } from '../../src/sampling/random.js';

describe('Random', () => {
  it('gives the numbers of the reference implementations', () => {
    const random = new Random([1, 2, 3, 4]); // xoshiro128starstar.c 1.1 from this state
    const expected = [11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849];
    expect(expected.map(() => random.nextUint32())).toEqual(expected);
    expect(splitmix64(1234567n, 3)).toEqual([6457827717110365317n, 3203168211198807973n, 9817491932198370423n]);
  });

  it('spreads doubles evenly over [0, 1)', () => {
    const random = Random.fromSeed(7);
    const counts = new Array(16).fill(0);
    for (let i = 0; i < 160_000; i++) counts[Math.floor(random.nextDouble() * 16)]++;
    const chiSquare = counts.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0);
    expect(counts).toHaveLength(16); // none at or above 1
    expect(chiSquare).toBeLessThan(37.7); // 15 degrees of freedom, 0.1%
  });

  it('differs from seed to seed, large ones too', () => {
    const seeds = [0, 1, 2, 2 ** 32, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER, -1];
    expect(new Set(seeds.map((seed) => Random.fromSeed(seed).nextDouble())).size).toBe(seeds.length);
  });
});
