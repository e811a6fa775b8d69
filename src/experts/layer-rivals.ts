import { Contest } from './contest.js';
import type { Policy } from './policy.js';
import { median } from './repeat.js';

/** Layers in a row by one policy while it is compared; the first counts for nothing: the one before copied ahead for it. */
const TURN = 4;
/**
 * While they are compared, one of so many turns is the other's, and each layer is so once in as many calls. After these the
 * faster is chosen; after fewer the other where it is faster by this, divided by how many there were, or none where the one
 * that serves already is.
 */
const CALLS = 4;
const CLEARLY = { faster: 0.25, slower: 0.1 };
/** Calls until they are compared again. The first counts for nothing: much is done, compiled and learnt in it that is not again. */
const REST = { first: 1, least: 32, longest: 512 };

/**
 * Chooses between two policies for calls of several tokens, of which there may be one in all: by the time that layers of the
 * same calls take, some by the one and some by the other. Calls of about as many tokens are compared with each other.
 */
export class LayerRivals {
  /** By the power of two that is not more than a call's tokens. */
  private readonly comparisons = new Map<number, Comparison>();
  /** The call at hand: its latest layer, and when that began. */
  private call?: { comparison: Comparison; tokens: number; layer: number; begin: number };

  /** @param policies the first is chosen where none is faster */
  constructor(private readonly policies: readonly [Policy, Policy]) {}

  /** The policy for a layer that begins now. @param now milliseconds */
  of(layer: number, tokens: number, now = performance.now()): Policy {
    const before = this.call;
    const follows = before?.layer === layer - 1 && before.tokens === tokens;
    if (follows) before.comparison.took(before.layer, (now - before.begin) / tokens);
    const comparison = follows ? before.comparison : this.comparisonOf(tokens);
    if (!follows) comparison.begin();
    this.call = { comparison, tokens, layer, begin: now };
    return this.policies[comparison.of(layer)];
  }

  private comparisonOf(tokens: number): Comparison {
    const size = 31 - Math.clz32(tokens);
    let found = this.comparisons.get(size);
    if (!found) this.comparisons.set(size, (found = new Comparison()));
    return found;
  }
}

class Comparison {
  /** By policy: the latest milliseconds of each layer since they are compared, for each token. */
  private readonly times: [Map<number, number>, Map<number, number>] = [new Map(), new Map()];
  private readonly contest = new Contest(REST);

  /** A call begins. */
  begin(): void {
    const { contest } = this;
    if (!contest.comparing) contest.wake();
    else if (contest.passes > 0) this.compare();
    contest.passes++;
  }

  /** Which policy serves a layer of the call at hand. */
  of(layer: number): 0 | 1 {
    const { comparing, chosen, other, passes } = this.contest;
    return comparing && (Math.floor(layer / TURN) + passes) % CALLS === 0 ? other : chosen;
  }

  took(layer: number, ms: number): void {
    if (this.contest.comparing && layer % TURN > 0) this.times[this.of(layer)].set(layer, ms);
  }

  private compare(): void {
    const { chosen, other, passes: calls } = this.contest;
    const found = [...this.times[other]].flatMap(([layer, ms]) => {
      const before = this.times[chosen].get(layer);
      return before === undefined ? [] : before / ms;
    });
    const faster = found.length > 0 ? median(found) : 1;
    const clearly = faster > 1 + CLEARLY.faster / calls || faster < 1 - CLEARLY.slower / calls;
    if (calls < CALLS && !clearly) return;
    this.contest.decide(faster);
    for (const times of this.times) times.clear();
  }
}
