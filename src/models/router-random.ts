import type { Router } from './router.js';

/**
 * The share of guessed experts that are right by default: the lower end of what is reported for Mixtral-8x7B where the
 * next layer's router is applied to the present hidden state (arXiv 2312.17238, figure 2).
 */
export const GUESS_RECALL = 0.8;

/**
 * Chooses experts at random, for models without trained weights: without replacement, expert e with a probability
 * proportional to (rank of e)^−s, the ranks shuffled; equal weights. A guess names each expert of the choice that follows
 * with the probability `recall`, otherwise one that it leaves out.
 * @param s exponent of the Zipf distribution; 0 is uniform
 */
export function randomRouter(
  experts: number,
  chosen: number,
  s: number,
  seed: number,
  recall: number = GUESS_RECALL,
): Router {
  const random = mulberry32(seed);
  const ranks = Array.from({ length: experts }, (_, e) => e + 1);
  for (let i = experts - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [ranks[i], ranks[j]] = [ranks[j]!, ranks[i]!];
  }
  const share = ranks.map((rank) => rank ** -s);
  /** All experts, those that are chosen first. */
  const draw = () => {
    // Exponential races: the k smallest of e_i / share_i are a draw without replacement (Efraimidis and Spirakis 2006).
    const arrivals = share.map((p, e) => ({ e, at: -Math.log(1 - random()) / p }));
    return arrivals.sort((a, b) => a.at - b.at).map(({ e }) => e);
  };
  /** The next choice, where it was made for a guess. */
  let ahead: number[] | undefined;
  return {
    chosen,
    choose(_, ids, weights) {
      ids.set((ahead ?? draw()).slice(0, chosen));
      ahead = undefined;
      weights.fill(1 / chosen);
    },
    guess(_, ids, weights) {
      ahead = draw();
      let wrong = chosen;
      for (let i = 0; i < chosen; i++) ids[i] = random() < recall || wrong === experts ? ahead[i]! : ahead[wrong++]!;
      weights.fill(1 / chosen);
    },
  };
}

/** A small generator of uniform numbers in [0, 1), by Tommy Ettinger. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
