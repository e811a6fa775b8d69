import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  aged,
  fingerprint,
  fits,
  formatProfile,
  mergeProfiles,
  type Profile,
  parseProfile,
  profileOf,
} from '../../src/experts/profile.js';
import type { ExpertsSpec } from '../../src/experts/spec.js';

const named = { model: 'a model', fingerprint: '0123456789abcdef' };
const layersOf = (counts: readonly number[][], chosen = 2) =>
  counts.map(({ length: count }) => ({ count, chosen, hidden: 8, width: 4 }) as ExpertsSpec);

/** Profiles of one model, as many as asked. */
const profiles = (count: number) =>
  fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 }).chain((sizes) => {
    const layers = fc.tuple(...sizes.map((size) => fc.array(fc.nat(1000), { minLength: size, maxLength: size })));
    const one = fc.record({ tokens: fc.nat(90_000), counts: layers });
    return fc.tuple(...Array.from({ length: count }, () => one.map((found): Profile => ({ ...named, ...found }))));
  });

describe('a profile', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(profiles(1), ([written]) => {
        expect(parseProfile(formatProfile(written!))).toEqual(written);
      }),
    );
  });

  it.each([
    ['nothing', ''],
    ['something else', '{}'],
    ['half a file', formatProfile({ ...named, tokens: 1, counts: [[1, 2]] }).slice(0, 60)],
    ['no layers', formatProfile({ ...named, tokens: 1, counts: [] })],
    ['a layer without experts', formatProfile({ ...named, tokens: 1, counts: [[]] })],
    ['a negative count', formatProfile({ ...named, tokens: 1, counts: [[-1]] })],
    ['half a count', formatProfile({ ...named, tokens: 1, counts: [[0.5]] })],
    ['a count beyond all numbers', formatProfile({ ...named, tokens: 1, counts: [[2]] }).replace('[[2]]', '[[1e400]]')],
    ['another version', formatProfile({ ...named, tokens: 1, counts: [[1]] }).replace('"version":1', '"version":2')],
    ['control characters', formatProfile({ ...named, model: '\u001b[2J', tokens: 1, counts: [[1]] })],
  ])('is not read from %s', (_, text) => expect(parseProfile(text)).toBeUndefined());

  it('counts the tokens of its layer that routed most', () => {
    const choices = [
      [3, 1, 2],
      [1, 1, 0],
    ];
    expect(profileOf(named, layersOf(choices), choices)).toEqual({ ...named, tokens: 3, counts: choices });
    expect(profileOf(named, [], []).tokens).toBe(0);
  });

  it('is of one shape of model', () => {
    const one = { ...named, tokens: 1, counts: [[1, 2], [3]] };
    expect(fits(one, [{ count: 2 }, { count: 1 }])).toBe(true);
    expect(fits(one, [{ count: 2 }, { count: 2 }])).toBe(false);
    expect(fits(one, [{ count: 2 }])).toBe(false);
  });
});

describe('a fingerprint', () => {
  const layers = layersOf([
    [0, 0],
    [0, 0],
  ]);

  it('differs between configs and between shapes of experts', () => {
    const [spec] = layers as [ExpertsSpec, ExpertsSpec];
    const all = [
      fingerprint({ hidden: 8 }, layers),
      fingerprint({ hidden: 9 }, layers),
      fingerprint({ hidden: 8 }, [spec]),
      fingerprint({ hidden: 8 }, [spec, { ...spec, width: 5 }]),
      fingerprint({ hidden: 8 }, [spec, { ...spec, count: 3 }]),
    ];
    expect(new Set(all).size).toBe(all.length);
    expect(
      fingerprint(
        { hidden: 8 },
        layersOf([
          [0, 0],
          [0, 0],
        ]),
      ),
    ).toBe(all[0]);
    for (const name of all) expect(name).toMatch(/^[0-9a-f]{16}$/);
  });
});

describe('profiles of one model', () => {
  it('add up until they are many, then age', () => {
    fc.assert(
      fc.property(profiles(2), (pair) => {
        const [a, b] = pair as [Profile, Profile];
        const both = mergeProfiles(a, b);
        expect(both.tokens).toBeLessThanOrEqual(100_000);
        const shift = a.tokens + b.tokens > 100_000 ? 2 : 1;
        both.counts.forEach((layer, l) => {
          Array.from(layer).forEach((n, e) => {
            expect(n).toBe(Math.floor((a.counts[l]![e]! + b.counts[l]![e]!) / shift));
          });
        });
      }),
    );
  });

  it('keep their order as they age', () => {
    const old = aged({ ...named, tokens: 1e9, counts: [[1e9, 5e8, 3, 0]] });
    expect(old.tokens).toBeLessThanOrEqual(100_000);
    expect(old.tokens).toBeGreaterThan(49_000);
    expect(old.counts[0]![0]! / old.counts[0]![1]!).toBeCloseTo(2, 3);
    expect(old.counts[0]![2]).toBe(0);
  });

  it('follow new use within as many tokens as are kept', () => {
    let learnt: Profile = aged({ ...named, tokens: 1e7, counts: [[1e7, 0]] });
    for (let run = 0; run < 120; run++) learnt = mergeProfiles(learnt, { ...named, tokens: 1000, counts: [[0, 1000]] });
    expect(learnt.counts[0]![1]).toBeGreaterThan(learnt.counts[0]![0]!);
  });
});
