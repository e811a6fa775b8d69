import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LayerRivals } from '../../src/experts/layer-rivals.js';
import { Random } from '../../src/sampling/random.js';
import { POLICIES } from '../support/two-policies.js';

/** Whole calls: which policy served each layer, and milliseconds of all. */
function run(
  rivals: LayerRivals,
  calls: readonly number[],
  takes: (policy: number, layer: number, tokens: number) => number,
  layers = 24,
) {
  let now = 0;
  let total = 0;
  const served = calls.map((tokens) => {
    now += 1000; // what happens between calls counts for nothing
    return Array.from({ length: layers }, (_, layer) => {
      const chosen = POLICIES.indexOf(rivals.of(layer, tokens, now));
      const ms = takes(chosen, layer, tokens);
      now += ms;
      total += ms;
      return chosen;
    });
  });
  return { served, total };
}

const times = (n: number, tokens: number) => Array<number>(n).fill(tokens);

describe('rivals in calls of several tokens', () => {
  it('take within 3% of what the faster would, comparisons included, whatever layers take', () => {
    const factor = fc.double({ min: 1, max: 2, noNaN: true });
    fc.assert(
      fc.property(factor, factor, fc.nat(), fc.integer({ min: 12, max: 61 }), (first, second, seed, layers) => {
        const random = Random.fromSeed(seed);
        const ofLayer = Array.from({ length: layers }, () => 1 + random.nextDouble());
        const ms = (p: number, layer: number) =>
          ofLayer[layer]! * [first, second][p]! * (1 + 0.1 * (random.nextDouble() - 0.5));
        const { total } = run(new LayerRivals(POLICIES), times(1500, 512), ms, layers);
        const best = 1500 * Math.min(first, second) * ofLayer.reduce((sum, x) => sum + x, 0);
        expect(total / best).toBeLessThan(1.03);
      }),
      { numRuns: 30 },
    );
  });

  it('serve one call by the first, then compute few layers of each call by the other, each once, then all by the faster', () => {
    const { served } = run(new LayerRivals(POLICIES), times(9, 300), (p) => [1.05, 1][p]!, 32);
    const byOther = (layers: readonly number[]) => layers.filter((p) => p === 1).length;
    expect(served.map(byOther)).toEqual([0, 8, 8, 8, 8, 32, 32, 32, 32]);
    const compared = served.slice(1, 5);
    const ofLayer = compared[0]!.map((_, layer) => byOther(compared.map((layers) => layers[layer]!)));
    expect(ofLayer).toEqual(Array(32).fill(1));
  });

  it('are compared for two calls where one is much faster', () => {
    for (const [takes, faster] of [
      [[1, 1.15], 0],
      [[1.3, 1], 1],
    ] as const) {
      const { served } = run(new LayerRivals(POLICIES), times(6, 300), (p) => takes[p]!, 16);
      expect(served.slice(3)).toEqual(Array(3).fill(Array(16).fill(faster)));
    }
  });

  it('are told apart by the length of calls', () => {
    const rivals = new LayerRivals(POLICIES);
    const takes = (p: number, _: number, tokens: number) => (tokens > 400 ? [2, 1] : [1, 2])[p]!;
    const mixed = Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? 200 : 600));
    const { served } = run(rivals, mixed, takes);
    expect(served.slice(10).map((layers) => layers.at(-1))).toEqual(Array.from({ length: 10 }, (_, i) => i % 2));
  });

  it('keep the first where calls have one layer', () => {
    const { served } = run(new LayerRivals(POLICIES), times(9, 100), (p) => [2, 1][p]!, 1);
    expect(served.slice(5)).toEqual(Array(4).fill([0]));
  });

  it('find out when the other becomes faster', () => {
    const rivals = new LayerRivals(POLICIES);
    run(rivals, times(200, 100), (p) => [1, 1.5][p]!);
    const { served } = run(rivals, times(300, 100), (p) => [1.5, 1][p]!);
    expect(served.at(-1)!.every((p) => p === 1)).toBe(true);
  });
});
