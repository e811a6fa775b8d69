import { LayerRivals } from './layer-rivals.js';
import type { Policy } from './policy.js';
import { Rivals } from './rivals.js';

/** What compares a policy with its rivals in calls of one token, and of several, where it has such. */
interface Compared {
  single?: Rivals;
  several?: LayerRivals;
}

/** Which policy serves a call: the one that was asked for, or its rival where that is faster. */
export class PolicyChoice {
  private readonly compared = new Map<Policy, Compared>();
  /** Of the call at hand. */
  private rivals?: Rivals;

  /** @param layers that have experts */
  constructor(private readonly layers: number) {}

  /** The policy for a layer that begins now, of a call of so many tokens. */
  of(policy: Policy, layer: number, tokens: number): Policy {
    const { single, several } = this.comparedTo(policy);
    this.rivals = tokens === 1 ? single : undefined;
    return (tokens === 1 ? single?.of(layer) : several?.of(layer, tokens)) ?? policy;
  }

  private comparedTo(policy: Policy): Compared {
    let found = this.compared.get(policy);
    if (!found) {
      const { rival, rivalForSeveral } = policy;
      const single = rival && new Rivals([policy, rival], this.layers);
      found = { single, several: rivalForSeveral && new LayerRivals([policy, rivalForSeveral]) };
      this.compared.set(policy, found);
    }
    return found;
  }

  /** The layer is done. */
  done(layer: number): void {
    this.rivals?.done(layer);
  }

  /** What was found out counts for nothing. */
  forget(): void {
    this.compared.clear();
  }
}
