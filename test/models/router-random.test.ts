import { describe, expect, it } from 'vitest';
import { randomRouter } from '../../src/models/router-random.js';

const [EXPERTS, CHOSEN, CALLS] = [16, 4, 4000];
const logits = new Float32Array(EXPERTS);
const weights = new Float32Array(CHOSEN);

/** Chooses many times, each after a guess; the share of the guessed experts that were then chosen. */
function recallOf(recall: number, zipf: number): number {
  const router = randomRouter(EXPERTS, CHOSEN, 1, { zipf, guessRecall: recall });
  const [guessed, chosen] = [new Int32Array(CHOSEN), new Int32Array(CHOSEN)];
  let right = 0;
  for (let i = 0; i < CALLS; i++) {
    router.guess!(logits, guessed, weights);
    router.choose(logits, chosen, weights);
    expect(new Set(guessed).size).toBe(CHOSEN);
    right += guessed.filter((e) => chosen.includes(e)).length;
  }
  return right / (CALLS * CHOSEN);
}

describe('the random router', () => {
  it.each([0, 0.8, 1])('guesses a share of %s of the experts that it then chooses', (recall) => {
    for (const zipf of [0, 1]) expect(Math.abs(recallOf(recall, zipf) - recall)).toBeLessThan(0.02);
  });

  it('chooses alike with and without guesses', () => {
    const counts = [false, true].map((guesses) => {
      const router = randomRouter(EXPERTS, CHOSEN, 3, { zipf: 1 });
      const count = new Float64Array(EXPERTS);
      const ids = new Int32Array(CHOSEN);
      for (let i = 0; i < CALLS; i++) {
        if (guesses) router.guess!(logits, ids, weights);
        router.choose(logits, ids, weights);
        for (const e of ids) count[e]! += 1 / CALLS;
      }
      return count;
    });
    expect(Math.max(...counts[0]!)).toBeGreaterThan(0.7);
    const differences = counts[0]!.map((share, e) => Math.abs(share - counts[1]![e]!));
    expect(Math.max(...differences)).toBeLessThan(0.04);
  });

  it.each([20, 1000])('chooses different experts however steep their distribution is: %i', (zipf) => {
    const router = randomRouter(EXPERTS, CHOSEN, 1, { zipf });
    const ids = new Int32Array(CHOSEN);
    for (let i = 0; i < 3; i++) {
      router.choose(logits, ids, weights);
      expect(new Set(ids).size).toBe(CHOSEN);
    }
  });

  it('guesses what it chooses where it chooses all', () => {
    const router = randomRouter(2, 2, 1, { guessRecall: 0 });
    const ids = new Int32Array(2);
    router.guess!(logits, ids, weights);
    expect([...ids].sort()).toEqual([0, 1]);
  });
});
