import type { Router } from './router.js';

/**
 * The share of guessed experts that are right by default: the lower end of what is reported for Mixtral-8x7B where the
 * next layer's router is applied to the present hidden state (arXiv 2312.17238, figure 2).
 */
export const GUESS_RECALL = 0.8;

/** How random routing resembles that of trained models; all are optional, and alike in every layer. */
export interface RandomRouting {
  /** Exponent of a Zipf distribution over a layer's experts; 0 (default) routes uniformly. */
  zipf?: number;
  /** Share of choices that repeat one of the layer's last ones, 0 (default) to 1. */
  locality?: number;
  /** Probability at each token that two experts of a layer exchange how popular they are; 0 by default. */
  drift?: number;
  /** Share of guessed experts that are right, 0 to 1. */
  guessRecall?: number;
}

/** Tokens of whose choices one is repeated. */
const REMEMBERED = 16;
/** Where all are repeated a token could find too few different ones. */
const MOST_REPEATED = 0.98;
/** Draws after which an expert is taken from those that are left: a steep distribution hardly ever gives them. */
const MOST_DRAWS = 10_000;

/**
 * Chooses experts at random, for models without trained weights: without replacement, expert e with a probability
 * proportional to (rank of e)^−s, the ranks shuffled, or one of the last again; equal weights. A guess names each expert of
 * the choice that follows with the probability `guessRecall`, otherwise one that it leaves out.
 */
export function randomRouter(experts: number, chosen: number, seed: number, routing: RandomRouting = {}): Router {
  const { guessRecall: recall = GUESS_RECALL } = routing;
  const random = mulberry32(seed);
  const choices = new Choices(experts, chosen, random, routing);
  /** The next choice, where it was made for a guess, and as many experts that it leaves out as there are. */
  const ahead = new Int32Array(Math.min(2 * chosen, experts));
  let guessed = false;
  return {
    chosen,
    choose(_, ids, weights) {
      if (guessed) ids.set(ahead.subarray(0, chosen));
      else choices.draw(ids);
      choices.remember(ids.subarray(0, chosen));
      guessed = false;
      weights.fill(1 / chosen);
    },
    guess(_, ids, weights) {
      choices.draw(ahead);
      guessed = true;
      let wrong = chosen;
      for (let i = 0; i < chosen; i++) {
        ids[i] = random() < recall || wrong === ahead.length ? ahead[i]! : ahead[wrong++]!;
      }
      weights.fill(1 / chosen);
    },
  };
}

/** Draws what a layer's tokens choose. */
class Choices {
  private readonly ranks: number[];
  private bounds: Float64Array;
  /** The experts of the last tokens, in a ring. */
  private readonly last: Int32Array;
  private remembered = 0;

  constructor(
    experts: number,
    chosen: number,
    private readonly random: () => number,
    private readonly routing: RandomRouting,
  ) {
    this.ranks = Array.from({ length: experts }, (_, e) => e + 1);
    for (let i = experts - 1; i > 0; i--) this.swap(i, Math.floor(random() * (i + 1)));
    this.bounds = this.boundsOf();
    this.last = new Int32Array(REMEMBERED * chosen);
  }

  /** Fills `drawn` with different experts: each is drawn until it is another than those before. */
  draw(drawn: Int32Array): void {
    for (let i = 0; i < drawn.length; i++) {
      let draws = 0;
      do drawn[i] = draws++ < MOST_DRAWS ? this.one() : this.oneBeside(drawn.subarray(0, i));
      while (isRepeated(drawn, i));
    }
  }

  /** What a token chose. */
  remember(ids: Int32Array): void {
    const { locality = 0, drift = 0 } = this.routing;
    if (locality > 0) for (const id of ids) this.last[this.remembered++ % this.last.length] = id;
    if (drift === 0 || this.random() >= drift) return;
    const [a, b] = [this.any(this.ranks.length), this.any(this.ranks.length)];
    this.swap(a, b);
    this.bounds = this.boundsOf();
  }

  private one(): number {
    const { zipf = 0, locality = 0 } = this.routing;
    const { last, remembered, bounds, random } = this;
    if (locality > 0 && remembered > 0 && random() < Math.min(locality, MOST_REPEATED)) {
      return last[this.any(Math.min(remembered, last.length))]!;
    }
    return zipf === 0 ? this.any(bounds.length) : firstAbove(bounds, random() * bounds.at(-1)!);
  }

  /** One of the others, by the same distribution. */
  private oneBeside(drawn: Int32Array): number {
    const { zipf = 0 } = this.routing;
    const left = [...this.ranks.keys()].filter((e) => !drawn.includes(e));
    const first = Math.min(...left.map((e) => this.ranks[e]!));
    const bounds = cumulative(left.map((e) => (this.ranks[e]! / first) ** -zipf));
    return left[firstAbove(bounds, this.random() * bounds.at(-1)!)]!;
  }

  private any(count: number): number {
    return Math.floor(this.random() * count);
  }

  private swap(a: number, b: number): void {
    [this.ranks[a], this.ranks[b]] = [this.ranks[b]!, this.ranks[a]!];
  }

  private boundsOf(): Float64Array {
    const { zipf = 0 } = this.routing;
    return cumulative(this.ranks.map((rank) => rank ** -zipf));
  }
}

/** Whether one of those before is the same. */
function isRepeated(drawn: Int32Array, i: number): boolean {
  for (let j = 0; j < i; j++) if (drawn[j] === drawn[i]) return true;
  return false;
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
