import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Candidates } from '../../src/sampling/candidates.js';
import {
  argmax,
  binsPerLogit,
  createSampler,
  GENERATE_DEFAULTS,
  type SamplingOptions,
  truncate,
} from '../../src/sampling/sampling.js';

const NONE = new Set<number>();
const ALL: SamplingOptions = { temperature: 1, topK: 0, topP: 1, minP: 0, seed: 1 };

// Integers among them, so that equal logits are frequent.
const logit = fc.oneof(fc.float({ min: -30, max: 30, noNaN: true }), fc.integer({ min: -3, max: 3 }));
const logits = fc
  .array(fc.oneof({ weight: 9, arbitrary: logit }, fc.constant(-Infinity)), { minLength: 1, maxLength: 50 })
  .filter((values) => values.some(Number.isFinite))
  .map((values) => Float32Array.from(values));
const limits = fc.record({
  temperature: fc.double({ min: 0.05, max: 5, noNaN: true }),
  topK: fc.integer({ min: 0, max: 60 }),
  topP: fc.oneof(fc.constantFrom(0, 0.5, 1), fc.double({ min: 0, max: 1, noNaN: true })),
  minP: fc.oneof(fc.constantFrom(0, 1), fc.double({ min: 0, max: 1, noNaN: true })),
});
type Limits = { temperature: number; topK: number; topP: number; minP: number };

/** What top-k, top-p and min-p keep, by sorting everything: ids, ascending. */
function reference(values: Float32Array, { temperature, topK, topP, minP }: Limits): number[] {
  const best = values.reduce((a, b) => Math.max(a, b));
  const weight = (id: number) => Math.exp((values[id]! - best) / temperature);
  let kept = [...values.keys()].filter((id) => values[id]! > -Infinity);
  kept.sort((a, b) => values[b]! - values[a]! || a - b);
  if (topK > 0) kept = kept.slice(0, topK);
  const total = kept.reduce((sum, id) => sum + weight(id), 0);
  let above = 0; // a token stays while those before it have not reached topP
  kept = kept.filter((id, rank) => {
    const stays = rank === 0 || topP === 1 || above < topP * total;
    above += weight(id);
    return stays;
  });
  return kept.filter((id) => weight(id) >= minP).sort((a, b) => a - b);
}

function kept(values: Float32Array, { temperature, ...rest }: Limits): number[] {
  const candidates = new Candidates(values.length);
  truncate(candidates, values, values[argmax(values)]!, { scale: binsPerLogit(temperature), ...rest });
  return [...candidates.tokens];
}

/** Limits moved a little, as rounding may: what holds on both sides is certain. */
function nudged(of: Limits, by: number): Limits {
  return { ...of, topP: of.topP === 1 ? 1 : of.topP * (1 + by), minP: of.minP * (1 - by) };
}

/** That what is kept is what sorting all tokens keeps, as far as rounding lets one say. */
function expectAsSorted(values: Float32Array, of: Limits): void {
  const ids = kept(values, of);
  // Tokens below e⁻⁴⁰ of the likeliest are never candidates.
  const best = Math.max(...values);
  const counted = (id: number) => (best - values[id]!) / of.temperature < 39.99;
  const possible = (id: number) => (best - values[id]!) / of.temperature < 40.01;
  expect(ids).toEqual(expect.arrayContaining(reference(values, nudged(of, -1e-9)).filter(counted)));
  expect(reference(values, nudged(of, 1e-9)).filter(possible)).toEqual(expect.arrayContaining(ids));
  expect(ids.length).toBeGreaterThan(0);
}

describe('what may be chosen', () => {
  it('is what sorting all tokens keeps', () => {
    fc.assert(
      fc.property(logits, limits, (values, of) => {
        fc.pre(of.topK > 0 || of.topP < 1 || of.minP > 0);
        expectAsSorted(values, of);
      }),
      { numRuns: 1000 },
    );
  });

  it('is exact at the limits', () => {
    const values = Float32Array.of(0, 0, Math.log(2), -9, 0); // probabilities about 1/5, 1/5, 2/5, 0, 1/5
    const of = { temperature: 1, topK: 0, topP: 1, minP: 0 };
    expect(kept(values, { ...of, topK: 3 })).toEqual([0, 1, 2]);
    expect(kept(values, { ...of, topP: 0.3 })).toEqual([2]);
    expect(kept(values, { ...of, topP: 0.5 })).toEqual([0, 2]);
    expect(kept(values, { ...of, minP: 0.49 })).toEqual([0, 1, 2, 4]);
    expect(kept(values, { ...of, minP: 0.51 })).toEqual([2]);
    expect(kept(values, { ...of, topK: 2, topP: 0.6 })).toEqual([2]); // top-p of what top-k leaves
    expect(kept(values, { ...of, temperature: 100, topP: 0.3 })).toEqual([0, 2]); // after the temperature
    expect(kept(Float32Array.of(-0, 0), { ...of, topK: 1 })).toEqual([0]);
  });

  it('is found in a large vocabulary too', () => {
    const values = Float32Array.from({ length: 150_000 }, (_, id) => 4 * Math.sin(id * id) + Math.cos(id));
    const flat = new Float32Array(150_000).fill(1);
    for (const of of [
      { temperature: 0.7, topK: 0, topP: 0.9, minP: 0 },
      { temperature: 1, topK: 1000, topP: 0.5, minP: 0.1 },
    ]) {
      expect(kept(values, of)).toEqual(reference(values, of));
      expect(kept(flat, of)).toEqual(reference(flat, of));
    }
  });
});

describe('near and far tokens of a large vocabulary', () => {
  /** Few likely tokens and many that are nearly ruled out, so that only the near ones are looked at where that does. */
  const large = fc
    .record({
      likely: fc.array(fc.float({ min: 0, max: 30, noNaN: true }), { minLength: 1, maxLength: 60 }),
      far: fc.double({ min: -60, max: 0, noNaN: true }),
    })
    .map(({ likely, far }) => {
      const values = Float32Array.from({ length: 2000 }, (_, id) => far + Math.sin(id * id));
      likely.forEach((logit, i) => {
        values[(i * 331) % values.length] = logit;
      });
      return values;
    });

  it('are kept as by sorting all', () => {
    fc.assert(
      fc.property(large, limits, (values, of) => {
        fc.pre(of.topK > 0 || of.topP < 1);
        expectAsSorted(values, of);
      }),
      { numRuns: 300 },
    );
  });
});

it('counts far tokens where it matters what they have together', () => {
  const values = new Float32Array(150_000).fill(-24.5).fill(0, 0, 2);
  const of = { temperature: 1, topK: 0, topP: 0.5, minP: 0 };
  expect(kept(values, of)).toEqual([0, 1]); // the first alone has less than half
  expect(kept(values, { ...of, topP: 0.4999 })).toEqual([0]);
});

describe('the largest logit', () => {
  it('is the first of equal ones, wherever it lies', () => {
    const values = fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 1, maxLength: 4000 });
    fc.assert(
      fc.property(values, (all) => {
        const best = Math.max(...all);
        expect(argmax(Float32Array.from(all))).toBe(all.indexOf(best));
      }),
    );
    expect(argmax(new Float32Array(3000).fill(-Infinity))).toBe(0);
    expect(argmax(Float32Array.from({ length: 3000 }, (_, i) => (i === 2999 ? 1 : -i)))).toBe(2999);
  });
});

describe('a sampler', () => {
  it('chooses only tokens that are kept', () => {
    fc.assert(
      fc.property(logits, limits, fc.integer(), (values, of, seed) => {
        const sampler = createSampler({ ...of, seed });
        const allowed = new Set(reference(values, nudged(of, 1e-9)));
        for (let i = 0; i < 20; i++) expect(allowed).toContain(sampler.sample(values, NONE));
      }),
      { numRuns: 200 },
    );
  });

  it('gives the same tokens for the same seed, and says which seed it drew', () => {
    const values = new Float32Array(1000);
    const draw = (options: SamplingOptions) => {
      const sampler = createSampler(options);
      return { seed: sampler.seed, tokens: Array.from({ length: 20 }, () => sampler.sample(values, NONE)) };
    };
    expect(draw({ ...ALL, seed: 5 })).toEqual(draw({ ...ALL, seed: 5 }));
    expect(draw({ ...ALL, seed: 5 }).tokens).not.toEqual(draw({ ...ALL, seed: 6 }).tokens);
    const drawn = draw({});
    expect(draw({ seed: drawn.seed }).tokens).toEqual(drawn.tokens);
    expect(draw({}).seed).not.toBe(drawn.seed);
  });

  it('is greedy at temperature 0, at top-k 1, at top-p 0 and at tiny temperatures', () => {
    fc.assert(
      fc.property(logits, fc.integer(), (values, seed) => {
        const best = Math.max(...values);
        const greedy = values.indexOf(best);
        for (const options of [{ temperature: 0 }, { topK: 1 }, { topP: 0 }]) {
          expect(createSampler({ ...ALL, ...options, seed }).sample(values, NONE)).toBe(greedy);
        }
        const tiny = createSampler({ ...ALL, temperature: 1e-320, seed }).sample(values, NONE);
        expect(values[tiny]! === best).toBe(true); // 0 and -0 are equal likely
      }),
    );
  });

  it.each<[string, SamplingOptions, number[], number?]>([
    ['all', {}, [0, 1, 2, 3, 4, 5]],
    ['top-k', { topK: 4 }, [0, 2, 3, 5]],
    ['top-p', { topP: 0.95 }, [0, 1, 2, 3, 5]],
    ['min-p', { minP: 0.2 }, [0, 3, 5]],
    ['a temperature', { temperature: 2 }, [0, 1, 2, 3, 4, 5]],
    ['top-p, beside many that are far', { topP: 0.95 }, [0, 1, 2, 3, 5], 1000],
    ['top-k, beside many that are far', { topK: 4 }, [0, 2, 3, 5], 1000],
  ])('draws from the softmax of what is left: %s', (_, options, ids, vocabulary = 6) => {
    const values = new Float32Array(vocabulary).fill(-60);
    values.set([1, -0.5, 0, 2, -0.5, 1.5]); // two of them in one bin
    const { temperature } = { ...ALL, ...options };
    const weights = ids.map((id) => Math.exp(values[id]! / temperature!));
    const total = weights.reduce((a, b) => a + b);
    const sampler = createSampler({ ...ALL, ...options, seed: 42 });
    const counts = new Map<number, number>();
    const draws = 4000;
    for (let i = 0; i < draws; i++) {
      const token = sampler.sample(values, NONE);
      counts.set(token, (counts.get(token) ?? 0) + 1);
    }
    expect([...counts.keys()].sort()).toEqual(ids);
    const chiSquare = ids.reduce((sum, id, i) => {
      const expected = (draws * weights[i]!) / total;
      return sum + (counts.get(id)! - expected) ** 2 / expected;
    }, 0);
    expect(chiSquare).toBeLessThan(20.5); // 5 degrees of freedom at most, 0.1%
  });

  it('never chooses a token that is ruled out', () => {
    const values = Float32Array.of(-Infinity, 0, -Infinity, -1);
    for (const temperature of [0, 1, 1e308]) {
      const sampler = createSampler({ ...ALL, temperature });
      for (let i = 0; i < 100; i++) expect([1, 3]).toContain(sampler.sample(values, NONE));
    }
  });

  it('penalises tokens that were seen, once each, and leaves the logits as they are', () => {
    const values = Float32Array.of(3, 2, -1, -1.5);
    const greedy = { temperature: 0, repetitionPenalty: 2 };
    const sampler = createSampler(greedy);
    expect(sampler.sample(values, NONE)).toBe(0);
    expect(sampler.sample(values, [0])).toBe(1); // 1.5 < 2
    expect(sampler.sample(values, [0, 1, 0])).toBe(0); // 1.5 > 1
    expect([...values]).toEqual([3, 2, -1, -1.5]);
    expect(createSampler(greedy).sample(Float32Array.of(-1, -1.5), [0])).toBe(1); // −2 < −1.5
    expect(createSampler({ ...greedy, repetitionPenalty: 1 }).sample(values, [0])).toBe(0);
  });

  it('penalises before it truncates', () => {
    const sampler = createSampler({ ...ALL, topK: 1, repetitionPenalty: 2 });
    expect(sampler.sample(Float32Array.of(3, 2), [0])).toBe(1);
  });

  it('has defaults that cannot be changed', () => {
    expect(Object.isFrozen(GENERATE_DEFAULTS)).toBe(true);
    expect(GENERATE_DEFAULTS).toMatchObject({ temperature: 0.7, topP: 0.9, topK: 0, minP: 0, maxTokens: 256 });
  });
});
