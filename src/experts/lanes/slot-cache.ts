/**
 * Which expert lies in which slot, and which slot is overwritten next; pure, so that it can be tested alone. A slot is in
 * use from when it is found or taken until it is released.
 */
export class SlotCache {
  /** What lies in each slot; undefined where nothing can be found again. */
  private readonly keys: (number | undefined)[];
  private readonly places = new Map<number, number>();
  /** The slots used before and after each slot, in a ring; the place behind all slots is before the least recently used. */
  private readonly older: Int32Array;
  private readonly newer: Int32Array;
  private readonly used: Uint8Array;
  /** Slots not in use. */
  free: number;

  /**
   * @param size slots
   * @param passing as many slots, at least 1, serve what leaves nothing behind, before anything is evicted for it
   */
  constructor(
    readonly size: number,
    private readonly passing: number,
  ) {
    this.keys = Array(size).fill(undefined);
    this.older = Int32Array.from({ length: size + 1 }, (_, i) => (i + size) % (size + 1));
    this.newer = Int32Array.from({ length: size + 1 }, (_, i) => (i + 1) % (size + 1));
    this.used = new Uint8Array(size);
    this.free = size;
  }

  has(key: number): boolean {
    return this.places.has(key);
  }

  /** The slot in which `key` lies; undefined where it lies in none. */
  at(key: number): number | undefined {
    return this.places.get(key);
  }

  /** The slot in which `key` lies, now the most recently used and in use; undefined where it lies in none. */
  find(key: number): number | undefined {
    const slot = this.at(key);
    if (slot !== undefined) this.use(slot);
    return slot;
  }

  /**
   * The least recently used slot that is not in use, emptied, and in use for `key`, which lies in none, from now on;
   * undefined where all are in use. Without a key nothing will be found there.
   */
  take(key?: number): number | undefined {
    const slot = key === undefined ? this.passes() : this.next(this.size);
    if (slot === undefined) return undefined;
    this.put(slot, key);
    return slot;
  }

  /**
   * Takes a slot for each of several keys, as long as there are any, those that are least recently used. The first key gets
   * the first of these, the others follow in the order of their numbers, and the last slot is before the first.
   */
  takeAll(keys: readonly number[]): number[] {
    const slots: number[] = [];
    for (let slot = this.next(this.size); slot !== undefined && slots.length < keys.length; slot = this.next(slot)) {
      slots.push(slot);
    }
    const [first = 0] = slots;
    const turn = (slot: number) => (slot - first + this.size) % this.size;
    slots.sort((a, b) => turn(a) - turn(b));
    for (const [i, slot] of slots.entries()) this.put(slot, keys[i]);
    return slots;
  }

  /** Keeps the slot in use, as recently used as it was. */
  hold(slot: number): void {
    this.free -= 1 - this.used[slot]!;
    this.used[slot] = 1;
  }

  release(slot: number): void {
    this.free += this.used[slot]!;
    this.used[slot] = 0;
  }

  /** What passes through takes turns in the slots that hold nothing once there are enough of them. */
  private passes(): number | undefined {
    let [first, empty]: (number | undefined)[] = [];
    let count = 0;
    for (let slot = this.next(this.size); slot !== undefined; slot = this.next(slot)) {
      first ??= slot;
      if (this.keys[slot] !== undefined) continue;
      empty ??= slot;
      if (++count === this.passing) return empty;
    }
    return first;
  }

  /** The least recently used slot that is not in use and was used after `slot`. */
  private next(slot: number): number | undefined {
    let next = this.newer[slot]!;
    while (next !== this.size && this.used[next]) next = this.newer[next]!;
    return next === this.size ? undefined : next;
  }

  private put(slot: number, key: number | undefined): void {
    const evicted = this.keys[slot];
    if (evicted !== undefined) this.places.delete(evicted);
    this.keys[slot] = key;
    if (key !== undefined) this.places.set(key, slot);
    this.use(slot);
  }

  private use(slot: number): void {
    this.link(this.older[slot]!, this.newer[slot]!);
    this.link(this.older[this.size]!, slot);
    this.link(slot, this.size);
    this.hold(slot);
  }

  private link(older: number, newer: number): void {
    this.newer[older] = newer;
    this.older[newer] = older;
  }
}
