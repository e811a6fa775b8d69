import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TokenLogprob } from '../../src/report.js';
import { BeamSearch, type BeamSettings } from '../../src/sampling/beam-search.js';
import { topLogprobs } from '../../src/sampling/logprobs.js';

const VOCABULARY = 4;
const END = 0;

/** Log-probabilities after each text: made of a table of logits by the last two tokens. */
type Model = (tokens: readonly number[]) => Float32Array;

function modelOf(table: readonly (readonly number[])[]): Model {
  return (tokens) => {
    const [a = VOCABULARY, b = VOCABULARY] = tokens.slice(-2);
    return Float32Array.from(table[a * (VOCABULARY + 1) + b]!);
  };
}

const logits = fc.array(fc.integer({ min: -400, max: 400 }), { minLength: VOCABULARY, maxLength: VOCABULARY });
const models = fc
  .array(
    logits.map((row) => row.map((value) => value / 100)),
    { minLength: (VOCABULARY + 1) ** 2, maxLength: (VOCABULARY + 1) ** 2 },
  )
  .map(modelOf);
const settings = fc.record({
  beams: fc.integer({ min: 1, max: 5 }),
  lengthPenalty: fc.constantFrom(-1, 0, 0.5, 1, 2),
  earlyStopping: fc.constantFrom(true, false, 'never' as const),
  ends: fc.constantFrom<ReadonlySet<number>>(new Set(), new Set([END]), new Set([END, 2])),
  most: fc.integer({ min: 1, max: 5 }),
});

function search(model: Model, given: BeamSettings): BeamSearch {
  const found = new BeamSearch(given);
  const next = ({ tokens }: { tokens: readonly number[] }): TokenLogprob[] => topLogprobs(model(tokens), found.wanted);
  while (found.step(found.beams.map(next)));
  return found;
}

const sorted = <T>(all: T[], by: (one: T) => number) => all.sort((a, b) => by(b) - by(a));

interface Text {
  tokens: readonly number[];
  logprob: number;
}

function continuationsOf(model: Model, { tokens, logprob }: Text): Text[] {
  return topLogprobs(model(tokens), VOCABULARY).map((next) => ({
    tokens: [...tokens, next.token],
    logprob: logprob + next.logprob,
  }));
}

/** Every answer that there is. */
function everyAnswer(model: Model, { ends, most }: BeamSettings, text: Text = { tokens: [], logprob: 0 }): Text[] {
  return continuationsOf(model, text).flatMap((next) =>
    ends.has(next.tokens.at(-1)!) || next.tokens.length === most
      ? [next]
      : everyAnswer(model, { ends, most } as BeamSettings, next),
  );
}

/** The rules in the order in which the reference applies them, over arrays of a fixed size with a score for what is missing. */
function byTheReference(model: Model, given: BeamSettings): { tokens: readonly number[]; score: number }[] {
  const { beams, lengthPenalty, earlyStopping, ends, most } = given;
  const MISSING = -1e9;
  let running: Text[] = Array.from({ length: beams }, (_, i) => ({ tokens: [], logprob: i === 0 ? 0 : MISSING }));
  let kept = Array.from({ length: beams }, () => ({ tokens: [] as readonly number[], score: MISSING, full: false }));
  for (let length = 1; ; length++) {
    const top = sorted(
      running.flatMap((text) => continuationsOf(model, text)),
      ({ logprob }) => logprob,
    ).slice(0, Math.max(2, 1 + ends.size) * beams);
    const hits = ({ tokens }: Text) => length === most || ends.has(tokens.at(-1)!);
    running = sorted(
      top.map((text) => ({ ...text, logprob: text.logprob + (hits(text) ? MISSING : 0) })),
      ({ logprob }) => logprob,
    ).slice(0, beams);
    const ended = top
      .slice(0, beams)
      .filter(hits)
      .map(({ tokens, logprob }) => ({ tokens, score: logprob / length ** lengthPenalty, full: true }));
    kept = sorted([...kept, ...ended], ({ score }) => score).slice(0, beams);
    const best =
      running[0]!.logprob / (earlyStopping === 'never' && lengthPenalty > 0 ? most : length) ** lengthPenalty;
    const improves = kept.some(({ full }) => best > (full ? kept.at(-1)!.score : MISSING));
    const open = !(kept.every(({ full }) => full) && earlyStopping === true);
    if (!improves || !open || top.every(hits)) return kept.filter(({ full }) => full);
  }
}

describe('beam search', () => {
  it('finds with beams enough the best of all answers there are', () => {
    fc.assert(
      fc.property(models, settings, (model, given) => {
        const most = Math.min(given.most, 3);
        const all = everyAnswer(model, { ...given, most });
        const wide = { ...given, most, beams: all.length };
        const { found } = search(model, wide);
        const scores = sorted(all, ({ tokens, logprob }) => logprob / tokens.length ** given.lengthPenalty);
        expect(found).toHaveLength(all.length);
        for (const [i, { score, logprob, tokens }] of found.entries()) {
          const { tokens: other, logprob: sum } = scores[i]!;
          expect(score).toBeCloseTo(sum / other.length ** given.lengthPenalty, 6);
          expect(all.find((one) => one.tokens.join() === tokens.join())!.logprob).toBeCloseTo(logprob, 6);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('gives what the rules of the reference give', () => {
    fc.assert(
      fc.property(models, settings, (model, given) => {
        const expected = byTheReference(model, given).filter(({ score }) => score > -1e6);
        const { found } = search(model, given);
        expect(found.map(({ score }) => score.toFixed(5))).toEqual(expected.map(({ score }) => score.toFixed(5)));
      }),
      { numRuns: 500 },
    );
  });

  it('is greedy with one beam that stops early', () => {
    fc.assert(
      fc.property(models, settings, (model, given) => {
        const { found } = search(model, { ...given, beams: 1, earlyStopping: true });
        const tokens: number[] = [];
        do tokens.push(topLogprobs(model(tokens), 1)[0]!.token);
        while (tokens.length < given.most && !given.ends.has(tokens.at(-1)!));
        expect(found[0]!.tokens).toEqual(tokens);
      }),
    );
  });

  it('keeps no two answers that are the same, and says which have ended', () => {
    fc.assert(
      fc.property(models, settings, (model, given) => {
        const { found } = search(model, given);
        expect(new Set(found.map(({ tokens }) => tokens.join())).size).toBe(found.length);
        for (const { tokens, ended } of found) {
          expect(ended).toBe(given.ends.has(tokens.at(-1)!));
          if (!ended) expect(tokens).toHaveLength(given.most);
        }
      }),
    );
  });
});
