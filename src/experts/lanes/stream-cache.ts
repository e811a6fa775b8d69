import type { Share } from '../policy.js';
import { SlotCache } from './slot-cache.js';

/** While one slot is computed with, the next is filled. */
export const STREAM_SLOTS = 2;

/** How a streamed expert was there: copied now, found in the cache, or found there because it was copied ahead. */
export type Found = 'copied' | 'cached' | 'prefetched';

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
  serve(key: number, { range, cached }: Pick<Share, 'range' | 'cached'>): { slot: number; found: Found } {
    const there = cached && !range ? this.slots.find(key) : undefined;
    if (there !== undefined) return { slot: there, found: this.ahead.delete(there) ? 'prefetched' : 'cached' };
    return { slot: this.take(range || this.slots.has(key) ? undefined : key), found: 'copied' };
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
    const slot = this.take(key);
    this.ahead.add(slot);
    return slot;
  }

  /** A slot to which an expert that the next layer needs is to be copied; undefined where it is there. */
  need(key: number): number | undefined {
    const found = this.slots.find(key);
    const slot = found ?? this.take(key);
    this.slots.release(slot);
    if (found !== undefined) return undefined;
    this.ahead.add(slot);
    return slot;
  }

  /** Gives up what was copied ahead and not needed: it stays. @returns how many experts that are */
  settle(): number {
    const wasted = this.ahead.size + this.displaced;
    for (const slot of this.ahead) this.slots.release(slot);
    this.ahead.clear();
    this.displaced = 0;
    return wasted;
  }

  private take(key?: number): number {
    const slot = this.slots.take(key)!;
    if (this.ahead.delete(slot)) this.displaced++;
    return slot;
  }
}
