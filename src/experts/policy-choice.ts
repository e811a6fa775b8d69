import { LayerRivals } from './layer-rivals.js';
import type { Policy } from './policy.js';
import { Rivals } from './rivals.js';

/** Which policy serves a call: the one that was asked for, or its rival where that is faster. */
export class PolicyChoice {
  /** By policy: for calls of one token, and of several. */
  private readonly single = new Map<Policy, Rivals>();
  private readonly several = new Map<Policy, LayerRivals>();
  /** Of the call at hand. */
  private rivals?: Rivals;

  /** @param layers that have experts */
  constructor(private readonly layers: number) {}

  /** The policy for a layer that begins now, of a call of so many tokens. */
  of(policy: Policy, layer: number, tokens: number): Policy {
    const { rival, rivalForSeveral } = policy;
    this.rivals =
      tokens === 1 && rival ? got(this.single, policy, () => new Rivals([policy, rival], this.layers)) : undefined;
    if (this.rivals) return this.rivals.of(layer);
    if (tokens === 1 || !rivalForSeveral) return policy;
    return got(this.several, policy, () => new LayerRivals([policy, rivalForSeveral])).of(layer, tokens);
  }

  /** The layer is done. */
  done(layer: number): void {
    this.rivals?.done(layer);
  }

  /** What was found out counts for nothing. */
  forget(): void {
    this.single.clear();
    this.several.clear();
  }
}

function got<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let found = map.get(key);
  if (found === undefined) map.set(key, (found = make()));
  return found;
}
