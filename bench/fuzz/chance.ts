import { Random } from '#fiddler/sampling/random.js';

/** What is left to chance in making an input; the same for the same seed and case. */
export class Chance {
  readonly #random: Random;

  /** @param seed below 2²¹, so that both fit into a safe integer */
  constructor(seed: number, index: number) {
    this.#random = Random.fromSeed(seed * 2 ** 32 + index);
  }

  /** Whether something of this probability happens. */
  happens(probability: number): boolean {
    return this.#random.nextDouble() < probability;
  }

  /** A whole number from 0, below `limit`. */
  below(limit: number): number {
    return Math.floor(this.#random.nextDouble() * limit);
  }

  /** One of `items`, which are not none. */
  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  /** 1 most often, twice as large each with half the probability. */
  few(): number {
    let count = 1;
    while (count < 64 && this.happens(0.5)) count *= 2;
    return count;
  }
}
