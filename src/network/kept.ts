/**
 * What layers keep of a sequence beside a row for each of its positions: a recurrent state, or a sliding window's last
 * rows. With it a sequence cannot go on from any position, as it can by rows of the KV cache.
 */
export interface Keeper {
  /** The last position ≤ `most` from which the sequence in `slot` can go on; 0 always is one. */
  resumable(slot: number, most: number): number;
  /** A part up to `end` begins at `position`, one of those; what is kept of positions beyond is of no use any more. */
  begin(slot: number, position: number, end: number): void;
  /** The part was computed, and the sequence has `length` tokens. Without this, what the part wrote is of no use. */
  computed(slot: number, length: number): void;
  /** The sequence may come back to where it stands; for what cannot go back a few tokens by itself. */
  mark?(slot: number): void;
  /**
   * The sequence in `to` takes over what is kept of the first `position` tokens of `from`, which can go on from there.
   * @param shared of these, how many the two have in common and have computed each
   */
  copy(from: number, to: number, position: number, shared: number): void;
  /** Nothing that is kept of the sequence is of use any more. */
  forget(slot: number): void;
}

/** All that the layers of a model keep so, as one. */
export class Kept implements Keeper {
  constructor(private readonly keepers: readonly Keeper[]) {}

  /** Some of it wants to be told where sequences may come back to, which then has to be where a part ends. */
  get marked(): boolean {
    return this.keepers.some(({ mark }) => mark);
  }

  resumable(slot: number, most: number): number {
    let position = most;
    for (;;) {
      const before = position;
      for (const keeper of this.keepers) position = keeper.resumable(slot, position);
      if (position === before) return position;
    }
  }

  begin(slot: number, position: number, end: number): void {
    for (const keeper of this.keepers) keeper.begin(slot, position, end);
  }

  computed(slot: number, length: number): void {
    for (const keeper of this.keepers) keeper.computed(slot, length);
  }

  mark(slot: number): void {
    for (const keeper of this.keepers) keeper.mark?.(slot);
  }

  copy(from: number, to: number, position: number, shared: number): void {
    for (const keeper of this.keepers) keeper.copy(from, to, position, shared);
  }

  forget(slot: number): void {
    for (const keeper of this.keepers) keeper.forget(slot);
  }
}
