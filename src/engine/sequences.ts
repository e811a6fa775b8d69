/** What is known of an extent of the KV cache. */
export interface Held {
  /** Tokens that are there. */
  readonly length: number;
  /** Tokens of a prompt that need not be computed with what is there. */
  served(prompt: readonly number[]): number;
}

/** From where the beginning of a prompt is copied, and how many tokens. */
export interface Source<S> {
  from: S;
  shared: number;
}

/**
 * Of the free extents that which serves most of a prompt, unless half of what it holds would be lost and could be copied:
 * then the least recently used.
 * @param free the least recently used first, at least one
 */
export function choosePlace<S extends Held>(free: readonly S[], prompt: readonly number[], copies: boolean): S {
  const { sequence, served } = mostServing(free, prompt);
  return served > 0 && (2 * served >= sequence.length || !copies) ? sequence : free[0]!;
}

/** What serves more of a prompt than its own extent does. */
export function sourceFor<S extends Held>(own: S, all: readonly S[], prompt: readonly number[]): Source<S> | undefined {
  const { sequence: from, served: shared } = mostServing(all, prompt);
  return shared > own.served(prompt) ? { from, shared } : undefined;
}

function mostServing<S extends Held>(
  sequences: readonly S[],
  prompt: readonly number[],
): { sequence: S; served: number } {
  let best = { sequence: sequences[0]!, served: -1 };
  for (const sequence of sequences) {
    const served = sequence.served(prompt);
    if (served > best.served) best = { sequence, served };
  }
  return best;
}

/** The extents of the KV cache, each of which one sequence has at a time. */
export class Sequences<S extends Held> {
  /** The least recently used first. */
  private readonly free: S[];

  /** @param copies the beginning of a prompt can be copied from another */
  constructor(
    readonly all: readonly S[],
    readonly copies: boolean,
  ) {
    this.free = [...all];
  }

  /** A place for a prompt, while one is free. Whoever takes it gives it back. */
  take(prompt: readonly number[]): S {
    const place = choosePlace(this.free, prompt, this.copies);
    this.free.splice(this.free.indexOf(place), 1);
    return place;
  }

  /** From where more of a prompt can be copied than its own place has. */
  sourceFor(own: S, prompt: readonly number[]): Source<S> | undefined {
    return this.copies ? sourceFor(own, this.all, prompt) : undefined;
  }

  /** So many are free. */
  hasFree(count = 1): boolean {
    return this.free.length >= count;
  }

  give(sequence: S): void {
    this.free.push(sequence);
  }
}
