import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { GoldenCase } from '../../bench/golden-data.js';
import { compareLogits, type Tolerance } from '../../bench/golden-logits.js';
import { choiceMargin } from '../../bench/near-ties.js';
import type { MoeSpec } from '../../src/models/model.js';
import { softmaxOverChosen } from '../../src/models/router.js';
import { scoreRouter } from '../../src/models/router-scores.js';
import type { OnRouted } from '../../src/network/routes.js';
import type { OnChosen } from '../../src/network/stack.js';

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

/** Compares a run whose logits are `off` at some positions, some of which had a router near a tie, or an indexer that ties. */
function compare(
  off: Record<number, number[]>,
  nearTies: readonly number[],
  {
    tied = [],
    near = [],
    tolerance = { nmse: 1e-3, rounds: true },
  }: { tied?: readonly number[]; near?: readonly number[]; tolerance?: Tolerance } = {},
) {
  let onRouted: OnRouted | undefined;
  let onChosen: OnChosen | undefined;
  const session = {
    observeIndexers: (observer?: OnChosen) => {
      onChosen = observer;
    },
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
      const scores = tokens.map((_, p) =>
        Float32Array.of(3, tied.includes(p) ? 1e-30 : near.includes(p) ? 0.02 : 1, 0, -Infinity),
      );
      onChosen?.(2, scores, 2);
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
  return compareLogits(session, golden, tolerance);
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

describe('a comparison in float32', () => {
  const turned = [0, -3, 2, 0];
  const exact = (off: Record<number, number[]>, tied: readonly number[], near: readonly number[] = []) =>
    compare(off, [], { tied, near, tolerance: { largest: 2e-3 } });

  it('leaves out a position where an indexer that ties chose otherwise, and says where', () => {
    expect(exact({}, [7])).toMatchObject({ problems: [], excluded: [], decided: 20 });
    const { problems, excluded, decided } = exact({ 7: turned }, [7]);
    expect(problems).toEqual([]);
    expect(excluded).toEqual([expect.stringMatching(/^position 7: layer 2 chose positions by 1\.0e-30/)]);
    expect(decided).toBe(19);
  });

  it('holds what that shows in behind it to an error', () => {
    const slight = [0.004, 0, 0, 0];
    expect(exact({ 7: turned, 9: slight }, [7]).problems).toEqual([]);
    expect(exact({ 7: turned, 5: slight }, [7]).problems).toEqual([expect.stringContaining('largest')]);
    expect(exact({ 7: turned, 9: [0.3, 0, 0, 0] }, [7]).problems).toEqual([expect.stringContaining('behind')]);
  });

  it('leaves out what is behind it where the choice hung on less than that error, and says so', () => {
    const more = { 7: turned, 9: [0.1, 0, 0, 0] };
    expect(exact(more, [7]).problems).toEqual([expect.stringContaining('behind')]);
    const { problems, excluded } = exact(more, [7], [9]);
    expect(problems).toEqual([]);
    expect(excluded[1]).toMatch(/^position 9: layer 2 chose positions by 2\.0e-2, rounding is 3\.0e-2/);
    expect(exact({ 5: [0.1, 0, 0, 0], 7: turned }, [7], [5]).problems).toEqual([expect.stringContaining('largest')]);
  });

  it('fails where no indexer ties', () => {
    expect(exact({ 7: turned }, [3]).problems.length).toBeGreaterThan(0);
  });
});
