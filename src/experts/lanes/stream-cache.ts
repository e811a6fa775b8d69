import type { Share } from '../policy.js';
import { SlotCache } from './slot-cache.js';

/** While one slot is computed with, the next is filled. */
export const STREAM_SLOTS = 2;

/** How a streamed expert was there: copied now, found in the cache, or found there because it was copied ahead. */
export type Found = 'copied' | 'cached' | 'prefetched';

/** An expert that is computed now, or a part of one. */
export type Wanted = { key: number } & Pick<Share, 'range' | 'cached'>;

/** Where it is computed. */
export interface Served {
  slot: number;
  found: Found;
}

/**
 * Which experts lie in the slots for streaming, decided without a device: lanes copy and compute what it says, and
 * predictions count it. Whole experts stay until their slot is needed.
 */
export class StreamCache {
  private slots: SlotCache;
  /** Slots of experts that were copied ahead and not needed yet. */
  private readonly ahead = new Set<number>();
  /** Experts that were copied ahead, and of whose slots others were in need first. */
  private displaced = 0;

  /** @param count slots, at least {@link STREAM_SLOTS} */
  constructor(count: number) {
    this.slots = new SlotCache(count, STREAM_SLOTS);
  }

  /** Slots in use. */
  get size(): number {
    return this.slots.size;
  }

  /** Slots that are not in use. */
  get free(): number {
    return this.slots.free;
  }

  /** The whole expert lies in a slot, or is on its way there. */
  has(key: number): boolean {
    return this.slots.has(key);
  }

  /** Empties all slots, and uses so many of them from now on. */
  forget(count = this.size): void {
    this.ahead.clear();
    this.displaced = 0;
    this.slots = new SlotCache(count, STREAM_SLOTS);
  }

  /**
   * A slot for an expert that is computed now, in use until it is released. A part of one leaves nothing behind; one that
   * was not decided for as cached is copied even if it is there.
   */
  serve(key: number, share: Pick<Share, 'range' | 'cached'>): Served {
    return this.serveAll([{ key, ...share }])[0]!;
  }

  /** Slots for different experts that are computed together. Those that are copied whole get slots in their own order. */
  serveAll(experts: readonly Wanted[]): Served[] {
    const there = experts.map((each) => this.find(each)); // in use before anything is evicted
    const isNew = experts.map(({ key, range }, i) => !there[i] && !range && !this.slots.has(key));
    const taken = this.takeAll(experts.flatMap(({ key }, i) => (isNew[i] ? [key] : []))).values();
    return experts.map((_, i) => {
      return there[i] ?? { slot: isNew[i] ? taken.next().value! : this.takePassing(), found: 'copied' };
    });
  }

  private find({ key, range, cached }: Wanted): Served | undefined {
    const slot = cached && !range ? this.slots.at(key) : undefined;
    if (slot === undefined) return undefined;
    if (this.ahead.delete(slot)) {
      this.slots.hold(slot); // copied just now: neighbours stay neighbours
      return { slot, found: 'prefetched' };
    }
    this.slots.find(key);
    return { slot, found: 'cached' };
  }

  release(slot: number): void {
    this.slots.release(slot);
  }

  /** A slot to which an expert that may be needed next is to be copied, as long as enough stay free for those needed now. */
  guess(key: number): number | undefined {
    const found = this.slots.find(key);
    if (found !== undefined) {
      if (!this.ahead.has(found)) this.slots.release(found);
      return undefined;
    }
    if (this.slots.free <= STREAM_SLOTS) return undefined;
    const [slot] = this.takeAll([key]);
    this.ahead.add(slot!);
    return slot;
  }

  /**
   * Slots to which different experts that the next layer needs are to be copied, in their own order; undefined for those that
   * are there.
   */
  needAll(keys: readonly number[]): (number | undefined)[] {
    const found = keys.map((key) => this.slots.find(key));
    const taken = this.takeAll(keys.filter((_, i) => found[i] === undefined));
    for (const slot of taken) this.ahead.add(slot);
    for (const slot of [...found, ...taken]) if (slot !== undefined) this.slots.release(slot);
    const slots = taken.values();
    return found.map((slot) => (slot === undefined ? slots.next().value : undefined));
  }

  /** Gives up what was copied ahead and not needed: it stays. @returns how many experts that are */
  settle(): number {
    const wasted = this.ahead.size + this.displaced;
    for (const slot of this.ahead) this.slots.release(slot);
    this.ahead.clear();
    this.displaced = 0;
    return wasted;
  }

  private takeAll(keys: readonly number[]): number[] {
    const slots = this.slots.takeAll(keys);
    for (const slot of slots) this.overwrite(slot);
    return slots;
  }

  private takePassing(): number {
    const slot = this.slots.take()!;
    this.overwrite(slot);
    return slot;
  }

  private overwrite(slot: number): void {
    if (this.ahead.delete(slot)) this.displaced++;
  }
}
