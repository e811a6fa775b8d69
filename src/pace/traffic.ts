import type { ExpertsSpec } from '../experts/spec.js';
import { Random } from '../sampling/random.js';

/** More tokens than this are drawn for as few, and counted as many times. */
const DRAWN = 64;

/** Draws what experts a call's tokens are routed to: the same numbers for the same seed, whatever is done with them. */
export class Traffic {
  private readonly random: Random;
  /** How likely each expert of a layer is chosen, up to a factor; undefined where all are alike. */
  private readonly weights: readonly (Float64Array | undefined)[];

  /**
   * @param popularity how often each expert of a layer is chosen, in any unit; all alike where undefined
   */
  constructor(
    private readonly layers: readonly ExpertsSpec[],
    popularity: readonly ArrayLike<number>[] | undefined,
    seed: number,
  ) {
    this.random = Random.fromSeed(seed);
    this.weights = layers.map((_, layer) => {
      const counts = Float64Array.from(popularity?.[layer] ?? []);
      const total = counts.reduce((a, b) => a + b, 0);
      return total > 0 ? counts.map((n) => n / total + 1e-6) : undefined;
    });
  }

  /** Tokens of a call that are routed to each expert of a layer [experts]. */
  draw(layer: number, tokens: number): Float64Array {
    const { count, chosen } = this.layers[layer]!;
    const routed = new Float64Array(count);
    const drawn = Math.min(tokens, DRAWN);
    for (let t = 0; t < drawn; t++) for (const e of this.choose(layer, count, chosen)) routed[e]!++;
    if (drawn < tokens) for (let e = 0; e < count; e++) routed[e] = Math.round((routed[e]! * tokens) / drawn);
    return routed;
  }

  /** `chosen` different experts, likelier by popularity: the smallest of exponential variables (Efraimidis, Spirakis 2006). */
  private choose(layer: number, count: number, chosen: number): number[] {
    const weights = this.weights[layer];
    const best: { e: number; key: number }[] = [];
    for (let e = 0; e < count; e++) {
      const key = -Math.log(1 - this.random.nextDouble()) / (weights?.[e] ?? 1);
      if (best.length === chosen && key >= best.at(-1)!.key) continue;
      if (best.length === chosen) best.pop();
      let at = best.length;
      while (at > 0 && best[at - 1]!.key > key) at--;
      best.splice(at, 0, { e, key });
    }
    return best.map(({ e }) => e);
  }
}
