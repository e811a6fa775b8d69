/**
 * Tokens of one call that each expert serves at most (GShard, arXiv 2006.16668, section 2.2): tokens beyond them are not
 * computed by that expert, so that what a model gives depends on which tokens are computed in one call.
 */
export type Capacity = (tokens: number) => number;

export interface CapacityOptions {
  experts: number;
  /** Experts chosen for a token. */
  chosen: number;
  /** Slots for each of an expert's even share of the choices. */
  factor: number;
  minimum: number;
}

/** `factor` times the even share, rounded down and then up to an even number: ColossalAI, colossalai/moe/routers.py. */
export function evenCapacity({ experts, chosen, factor, minimum }: CapacityOptions): Capacity {
  return (tokens) => {
    const share = Math.floor((chosen * factor * tokens) / experts);
    return Math.max(minimum, share + (share % 2));
  };
}

/**
 * Sets to −1 what exceeds the experts' slots: all tokens' first choices claim them, in the order of the tokens, before
 * any second choice does.
 * @param ids the tokens' choices, best first: [tokens, chosen]
 * @param slots of each expert
 */
export function dropOverflow(ids: Int32Array, chosen: number, experts: number, slots: number): void {
  const claimed = new Int32Array(experts);
  for (let rank = 0; rank < chosen; rank++) {
    for (let i = rank; i < ids.length; i += chosen) {
      if (claimed[ids[i]!]! < slots) claimed[ids[i]!]!++;
      else ids[i] = -1;
    }
  }
}
