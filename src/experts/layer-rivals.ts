import type { Policy } from './policy.js';
import { median } from './repeat.js';

/** Layers in a row by one policy while it is compared; the first counts for nothing: the one before copied ahead for it. */
const TURN = 4;
/** Calls after which the faster is chosen; fewer where one is faster by this, divided by how many there were. */
const CALLS = 4;
const CLEARLY = 0.25;
/** The one that was chosen stays unless another is faster by so much: less is chance. */
const FASTER = 1.02;
/** Calls until they are compared again: twice as many each time the same is chosen, up to the last. */
const REST = 32;
const LONGEST_REST = 512;

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
  /** Milliseconds of layers by each policy since they were last compared, for each token. */
  private times: [number[], number[]] = [[], []];
  private chosen: 0 | 1 = 0;
  private rest = REST;
  /** Calls of this comparison, or of the rest behind it. */
  private calls = 0;
  private comparing = true;

  /** A call begins. */
  begin(): void {
    if (this.comparing && this.calls > 0) this.compare();
    else if (!this.comparing && this.calls >= this.rest) this.start(true);
    this.calls++;
  }

  /** Which policy serves a layer of the call at hand: the next call's has the other one. */
  of(layer: number): 0 | 1 {
    if (!this.comparing) return this.chosen;
    return (Math.floor(layer / TURN) + this.calls) % 2 === 1 ? 0 : 1;
  }

  took(layer: number, ms: number): void {
    if (this.comparing && layer % TURN > 0) this.times[this.of(layer)].push(ms);
  }

  private compare(): void {
    const { chosen, calls } = this;
    const [some, others] = [this.times[chosen], this.times[1 - chosen]!];
    if (calls < CALLS && (some.length === 0 || others.length === 0)) return;
    const faster = some.length > 0 && others.length > 0 ? median(some) / median(others) : 1;
    const clearly = 1 + CLEARLY / calls;
    if (calls < CALLS && faster < clearly && faster > 1 / clearly) return;
    if (faster > FASTER) this.chosen = chosen === 0 ? 1 : 0;
    this.rest = this.chosen === chosen ? Math.min(LONGEST_REST, 2 * this.rest) : REST;
    this.start(false);
  }

  private start(comparing: boolean): void {
    this.comparing = comparing;
    this.calls = 0;
    this.times = [[], []];
  }
}
