/**
 * Which expert lies in which slot, and which slot is overwritten next; pure, so that it can be tested alone. A slot is in
 * use from when it is found or taken until it is released.
 */
export class SlotCache {
  /** What lies in each slot; undefined where nothing can be found again. */
  private readonly keys: (number | undefined)[];
  private readonly places = new Map<number, number>();
  /** Slots, the least recently used first. */
  private readonly order: Set<number>;
  private readonly used = new Set<number>();

  /**
   * @param size slots
   * @param passing as many slots, at least 1, serve what leaves nothing behind, before anything is evicted for it
   */
  constructor(
    readonly size: number,
    private readonly passing: number,
  ) {
    this.keys = Array(size).fill(undefined);
    this.order = new Set(this.keys.keys());
  }

  /** Slots not in use. */
  get free(): number {
    return this.size - this.used.size;
  }

  has(key: number): boolean {
    return this.places.has(key);
  }

  /** The slot in which `key` lies, now the most recently used and in use; undefined where it lies in none. */
  find(key: number): number | undefined {
    const slot = this.places.get(key);
    if (slot !== undefined) this.use(slot);
    return slot;
  }

  /**
   * The least recently used slot that is not in use, emptied, and in use for `key`, which lies in none, from now on;
   * undefined where all are in use. Without a key nothing will be found there.
   */
  take(key?: number): number | undefined {
    const slot = this.victim(key === undefined);
    if (slot === undefined) return undefined;
    const evicted = this.keys[slot];
    if (evicted !== undefined) this.places.delete(evicted);
    this.keys[slot] = key;
    if (key !== undefined) this.places.set(key, slot);
    this.use(slot);
    return slot;
  }

  release(slot: number): void {
    this.used.delete(slot);
  }

  /** What passes through takes turns in the slots that hold nothing once there are enough of them. */
  private victim(passes: boolean): number | undefined {
    const free = [...this.order].filter((slot) => !this.used.has(slot));
    if (!passes) return free[0];
    const empty = free.filter((slot) => this.keys[slot] === undefined);
    return empty.length >= this.passing ? empty[0] : free[0];
  }

  private use(slot: number): void {
    this.order.delete(slot);
    this.order.add(slot);
    this.used.add(slot);
  }
}
