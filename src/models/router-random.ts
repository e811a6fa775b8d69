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
  const bounds = cumulative(ranks.map((rank) => rank ** -s));
  /** Draws the next of `drawn` until it is another than those before: without replacement. */
  const draw = (drawn: Int32Array, from: number) => {
    for (let i = from; i < drawn.length; i++) {
      do drawn[i] = firstAbove(bounds, random() * bounds.at(-1)!);
      while (drawn.indexOf(drawn[i]!) < i);
    }
  };
  /** The next choice, where it was made for a guess, and as many experts that it leaves out as there are. */
  const ahead = new Int32Array(Math.min(2 * chosen, experts));
  let guessed = false;
  return {
    chosen,
    choose(_, ids, weights) {
      if (guessed) ids.set(ahead.subarray(0, chosen));
      else draw(ids, 0);
      guessed = false;
      weights.fill(1 / chosen);
    },
    guess(_, ids, weights) {
      draw(ahead, 0);
      guessed = true;
      let wrong = chosen;
      for (let i = 0; i < chosen; i++) {
        ids[i] = random() < recall || wrong === ahead.length ? ahead[i]! : ahead[wrong++]!;
      }
      weights.fill(1 / chosen);
    },
  };
}

function cumulative(shares: readonly number[]): Float64Array {
  let sum = 0;
  return Float64Array.from(shares, (share) => (sum += share));
}

/** Index of the first of ascending `bounds` above `value`, which is below the last. */
function firstAbove(bounds: Float64Array, value: number): number {
  let [low, high] = [0, bounds.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (bounds[middle]! > value) high = middle;
    else low = middle + 1;
  }
  return low;
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
