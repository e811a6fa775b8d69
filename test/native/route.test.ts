import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { type Router, softmaxOverChosen } from '../../src/models/router.js';
import { scoreRouter } from '../../src/models/router-scores.js';
import { loadExpertKernels } from '../../src/native/kernels.js';
import { Choices } from '../../src/network/choices.js';
import { hostVector } from '../models/routing.js';

const kernels = loadExpertKernels()!;
afterEach(() => {
  kernels.select(null);
});

interface Case {
  experts: number;
  tokens: number;
  logits: Float32Array;
  router: Router;
}

/** Multiples of 1/16, so that some are equal; then two kernels' rounding of scores cannot decide between others. */
const logit = fc.integer({ min: -160, max: 160 }).map((n) => n / 16);
const vector = (size: number) => fc.array(logit, { minLength: size, maxLength: size });

function routers(experts: number): fc.Arbitrary<Router> {
  const groupCounts = [1, 2, 4].filter((count) => experts % count === 0 && experts / count > 1);
  return fc
    .record({
      chosen: fc.integer({ min: 1, max: Math.min(experts, 20) }),
      kind: fc.constantFrom('logit', 'softmax', 'sigmoid', 'root softplus'),
      scale: fc.constantFrom(1, 2.5),
      bias: fc.option(vector(experts), { nil: undefined }),
      correction: fc.option(vector(experts), { nil: undefined }),
      scales: fc.option(vector(experts), { nil: undefined }),
      renormalise: fc.constantFrom(undefined, {}, { epsilon: 1e-6 }, { minimum: 0.5 }),
      groups: fc.record({ count: fc.constantFrom(...groupCounts, 1), by: fc.constantFrom('best', 'best two') }),
    })
    .map(({ chosen, kind, scale, bias, correction, scales, renormalise, groups: { count, by } }) => {
      const on = (values?: number[]) => values && hostVector(values);
      if (kind === 'logit') return softmaxOverChosen(chosen, { scale, bias: on(bias), scales: on(scales) });
      const kept = Math.max(1, Math.ceil((chosen * count) / experts));
      const groups = count > 1 ? { count, kept, by: by as 'best' } : undefined;
      const score = kind as 'softmax';
      return scoreRouter({ chosen, score, scale, correction: on(correction), groups, renormalise });
    });
}

const cases: fc.Arbitrary<Case> = fc
  .record({
    experts: fc.constantFrom(1, 2, 7, 8, 31, 32, 40, 60, 128, 160, 256, 512),
    tokens: fc.constantFrom(1, 3, 300),
  })
  .chain(({ experts, tokens }) =>
    fc.record({
      experts: fc.constant(experts),
      tokens: fc.constant(tokens),
      logits: vector(experts).map((row) => {
        const logits = Float32Array.from({ length: tokens * experts }, (_, i) => row[(i * 7 + (i >> 5)) % experts]!);
        return logits;
      }),
      router: routers(experts),
    }),
  );

function choose(choices: Choices, { router, logits, tokens }: Case) {
  const ids = new Int32Array(tokens * router.chosen).fill(-7);
  const weights = new Float32Array(ids.length);
  choices.choose(router, logits, new Int32Array(tokens), ids, weights);
  return { ids, weights };
}

describe.each([...kernels.available])('routers by %s', (name) => {
  it('choose different experts also where there are NaNs', () => {
    kernels.select(name);
    const logits = Float32Array.from({ length: 128 }, (_, i) => (i % 3 ? Number.NaN : i));
    for (const router of [softmaxOverChosen(50), softmaxOverChosen(8), scoreRouter({ chosen: 8, score: 'softmax' })]) {
      const { ids } = choose(new Choices(kernels), { router, logits, tokens: 1, experts: 128 });
      expect(new Set(ids).size).toBe(router.chosen);
      expect(Math.max(...ids)).toBeLessThan(128);
      expect(Math.min(...ids)).toBeGreaterThanOrEqual(0);
    }
  });

  it('refuses what makes no sense', () => {
    kernels.select(name);
    const routed = (router: Router, experts: number) => () =>
      choose(new Choices(kernels), { router, logits: new Float32Array(experts), tokens: 1, experts });
    expect(routed(softmaxOverChosen(3), 2)).toThrow(/route failed \(an argument makes no sense\)/);
    const groups = { count: 3, kept: 1, by: 'best' } as const;
    expect(routed(scoreRouter({ chosen: 1, score: 'sigmoid', groups }), 8)).toThrow(/route failed/);
  });

  it('choose and weigh as in JavaScript', () => {
    kernels.select(name);
    const pool = kernels.pool(2);
    fc.assert(
      fc.property(cases, fc.constantFrom(kernels, pool), (c, native) => {
        const [expected, actual] = [choose(new Choices(), c), choose(new Choices(native), c)];
        const { chosen } = c.router;
        for (let t = 0; t < c.tokens; t++) {
          const [from, to] = [t * chosen, (t + 1) * chosen];
          const ids = actual.ids.subarray(from, to);
          expect([...ids]).toEqual([...expected.ids.subarray(from, to)]);
          const largest = Math.max(...expected.weights.subarray(from, to).map(Math.abs), 1e-30);
          for (let i = from; i < to; i++)
            expect(Math.abs(actual.weights[i]! - expected.weights[i]!)).toBeLessThan(2e-6 * largest);
        }
      }),
      { numRuns: 150 },
    );
    pool.close();
  });
});
