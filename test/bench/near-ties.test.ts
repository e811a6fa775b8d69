import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { GoldenCase } from '../../bench/golden-data.js';
import { compareLogits } from '../../bench/golden-logits.js';
import { choiceMargin } from '../../bench/near-ties.js';
import type { MoeSpec } from '../../src/models/model.js';
import { softmaxOverChosen } from '../../src/models/router.js';
import { scoreRouter } from '../../src/models/router-scores.js';
import type { OnRouted } from '../../src/network/routes.js';

describe('the margin of a choice', () => {
  it('is the distance of the last chosen and the first left out', () => {
    const logit = fc.integer({ min: -4000, max: 4000 }).map((x) => x / 1000);
    fc.assert(
      fc.property(fc.uniqueArray(logit, { minLength: 5, maxLength: 12 }), (values) => {
        const sorted = values.toSorted((a, b) => b - a);
        const gap = sorted[1]! - sorted[2]!;
        const margin = choiceMargin(softmaxOverChosen(2), Float32Array.from(values), 0.5);
        if (gap < 0.499) expect(Math.abs(margin! - gap)).toBeLessThan(0.001);
        if (gap > 0.501) expect(margin).toBeUndefined();
      }),
    );
  });

  it('sees groups that nearly tie', () => {
    const groups = { count: 2, kept: 1, by: 'best two' } as const;
    const router = scoreRouter({ chosen: 1, score: 'sigmoid', groups });
    // Far from a tie within the first group, which is chosen by little.
    expect(choiceMargin(router, Float32Array.of(2, 1, 1.5, 1.5 - 1e-3), 0.2)).toBeLessThan(0.2);
    expect(choiceMargin(router, Float32Array.of(3, 2, 1, -1), 0.2)).toBeUndefined();
  });
});

const VOCABULARY = 4;
const golden: GoldenCase = {
  tokens: Array.from({ length: 20 }, (_, i) => i),
  continuation: [],
  logits: Float32Array.from({ length: 20 * VOCABULARY }, (_, i) => (i % VOCABULARY === 1 ? 5 : i % VOCABULARY)),
};
const moe = { router: softmaxOverChosen(1), experts: { count: 3 } } as MoeSpec;

/** Compares a run whose logits are `off` at some positions, some of which had a router near a tie. */
function compare(off: Record<number, number[]>, nearTies: readonly number[]) {
  let onRouted: OnRouted | undefined;
  const session = {
    observeRouters: (observer?: OnRouted) => {
      onRouted = observer;
    },
    evaluate: (tokens: readonly number[], _: () => boolean, onLogits: (p: number, logits: Float32Array) => void) => {
      const logits = tokens.flatMap((_, p) => (nearTies.includes(p) ? [1, 0.999, -3] : [1, -1, -3]));
      const routes = {
        layer: 0,
        tokens: tokens.length,
        chosen: 1,
        experts: new Int32Array(),
        weights: new Float32Array(),
      };
      onRouted?.(1, moe, Float32Array.from(logits), routes);
      for (const p of tokens) {
        const expected = golden.logits.slice(p * VOCABULARY, (p + 1) * VOCABULARY);
        onLogits(
          p,
          expected.map((x, i) => x + (off[p]?.[i] ?? 1e-3)),
        );
      }
      return true;
    },
  };
  return compareLogits(session, golden, { nmse: 1e-3, rounds: true });
}

describe('a comparison in a type that rounds', () => {
  const turned = [0, -3, 2, 0];

  it('passes with small errors, and takes part in all decided positions', () => {
    expect(compare({}, [])).toMatchObject({ problems: [], excluded: [], decided: 20 });
  });

  it('leaves out what a near-tie turned, and says why', () => {
    const { problems, excluded, decided } = compare({ 7: turned }, [3, 7]);
    expect(problems).toEqual([]);
    expect(excluded).toEqual([expect.stringMatching(/^position 7: layer 1 chose experts by .*e-3/)]);
    expect(decided).toBe(19);
  });

  it('fails where no router was near a tie', () => {
    expect(compare({ 7: turned }, [3]).problems).toEqual([expect.stringContaining('error')]);
  });

  it('fails where many positions are left out', () => {
    const three = { 3: turned, 7: turned, 9: turned };
    expect(compare(three, [3, 7, 9]).problems).toEqual([expect.stringContaining('3 positions')]);
  });

  it('fails where another token is the likeliest though the error is small', () => {
    // One position in 20, and its error is spread over 80 logits.
    const { problems } = compare({ 7: [0, -0.8, 0, 1.3] }, []);
    expect(problems.join()).toContain('likeliest at 7');
  });

  it('fails on what is no number', () => {
    expect(compare({ 7: [Number.NaN, 0, 0, 0] }, [7]).problems.length).toBeGreaterThan(0);
  });
});
