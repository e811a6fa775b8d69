import type { Router } from '#fiddler/models/router.js';
import type { OnRouted } from '#fiddler/network/routes.js';
import type { OnChosen } from '#fiddler/network/stack.js';

/** A choice of experts, or of positions, that rounding may have turned. */
export interface NearTie {
  layer: number;
  of: 'experts' | 'positions';
  /** How far logits had to move for another choice, and how far rounding moves them. */
  margin: number;
  rounding: number;
}

/** Half the distance of neighbouring bfloat16 numbers, relative: 8 bits of significand. */
const BF16_ROUNDING = 2 ** -9;
/** Inputs of matrix products that a layer rounds: those of q, k and v, of o, of gate and up, and of down. */
const ROUNDED_INPUTS = 4;
/** How far float32 sums in another order move a score, relative to the largest. */
const FLOAT_ROUNDING = 1e-5;
/** Standard deviations. */
const DEVIATIONS = 4;

/**
 * How far rounding moves one of a router's logits against another. Each rounded input moves the hidden state by at most
 * BF16_ROUNDING of its norm in a direction of its own; the logits, which spread by the router's rows in all directions,
 * move by that part of their standard deviation.
 */
function roundingOf(logits: Float32Array, layer: number): number {
  const mean = logits.reduce((sum, x) => sum + x, 0) / logits.length;
  const deviation = Math.sqrt(logits.reduce((sum, x) => sum + (x - mean) ** 2, 0) / logits.length);
  return DEVIATIONS * BF16_ROUNDING * Math.sqrt(ROUNDED_INPUTS * (layer + 1)) * deviation;
}

/**
 * The least distance by which one logit must fall and another rise, together, so that other experts are chosen: with a
 * plain top-k, how far the last chosen is from the first left out.
 * @returns undefined where it is `limit` or more
 */
export function choiceMargin(router: Router, logits: Float32Array, limit: number): number | undefined {
  const ids = new Int32Array(router.chosen);
  const weights = new Float32Array(router.chosen);
  const choose = (given: Float32Array) => {
    router.choose(given, ids, weights);
    return [...ids].sort((a, b) => a - b);
  };
  const chosen = choose(logits);
  const others = [...logits.keys()].filter((e) => !chosen.includes(e));
  const moved = logits.slice();
  const turns = (distance: number) =>
    chosen.some((fallen) =>
      others.some((risen) => {
        moved.set(logits);
        moved[fallen]! -= distance / 2;
        moved[risen]! += distance / 2;
        return choose(moved).some((e, i) => e !== chosen[i]);
      }),
    );
  if (!turns(limit)) return undefined;
  let [low, high] = [0, limit];
  while (high - low > limit / 1000) {
    const middle = (low + high) / 2;
    if (turns(middle)) high = middle;
    else low = middle;
  }
  return high;
}

/** Collects near-ties of a run from its first token on; the smallest of each position, against its rounding. */
export class NearTies {
  private readonly ties = new Map<number, NearTie>();
  private readonly seen = new Map<number, number>();
  private readonly chosen = new Map<number, number>();
  /** Of each position the indexer's choice that hung on least, for its largest score. */
  private readonly closest = new Map<number, NearTie>();

  /** @param rounds hidden states are rounded to bfloat16 */
  constructor(private readonly rounds = true) {}

  readonly onRouted: OnRouted = (layer, { router, experts }, logits, { tokens }) => {
    const first = this.seen.get(layer) ?? 0;
    this.seen.set(layer, first + tokens);
    for (let t = 0; t < tokens; t++) {
      const own = logits.subarray(t * experts.count, (t + 1) * experts.count);
      const rounding = roundingOf(own, layer);
      const margin = choiceMargin(router, own, rounding);
      if (margin === undefined) continue;
      const known = this.ties.get(first + t);
      if (!known || margin / rounding < known.margin / known.rounding) {
        this.ties.set(first + t, { layer, of: 'experts', margin, rounding });
      }
    }
  };

  /** An indexer's choice: how far its last chosen score is from the first left out. */
  readonly onChosen: OnChosen = (layer, scores, kept) => {
    const first = this.chosen.get(layer) ?? 0;
    this.chosen.set(layer, first + scores.length);
    for (const [t, own] of scores.entries()) {
      const seen = own.filter((score) => score > -Infinity).sort((a, b) => b - a);
      if (seen.length <= kept) continue;
      const margin = seen[kept - 1]! - seen[kept]!;
      const largest = Math.max(...seen.map(Math.abs));
      const before = this.closest.get(first + t);
      if (!before || margin / largest < before.margin / before.rounding) {
        this.closest.set(first + t, { layer, of: 'positions', margin, rounding: largest });
      }
      const rounding = this.rounds ? roundingOf(seen, layer) : FLOAT_ROUNDING * largest;
      if (margin > rounding) continue;
      const known = this.ties.get(first + t);
      if (!known || margin / rounding < known.margin / known.rounding) {
        this.ties.set(first + t, { layer, of: 'positions', margin, rounding });
      }
    }
  };

  at(position: number): NearTie | undefined {
    return this.ties.get(position);
  }

  /** An indexer's choice at a position whose scores are off by so much, relative to the largest. */
  within(position: number, error: number): NearTie | undefined {
    const tie = this.closest.get(position);
    if (!tie || tie.margin > error * tie.rounding) return undefined;
    return { ...tie, rounding: error * tie.rounding };
  }
}
