import type { Device } from '../../devices/device.js';
import type { Event } from '../../ggml/backend.js';
import { rowBytes, TensorContext, type Type } from '../../ggml/tensor.js';
import { mapMatrices } from '../activations.js';
import type { PlacedExpert, RowRange } from '../expert.js';
import { inSlab, SLAB_TENSORS, type Slab, slab, writeBiases, writeToSlab } from '../resident-experts.js';
import type { ExpertsSpec } from '../spec.js';
import { SlotCache } from './cache.js';

/** While one slot is computed with, the next is filled. */
export const STREAM_SLOTS = 2;

/** An expert to be copied. */
export interface StreamedExpert {
  /** Names the expert in the cache. */
  key: number;
  source: PlacedExpert;
  /** Only this part of it, which leaves nothing cached. */
  range?: RowRange;
  /** It is taken from the cache if it is there; else it is copied even so. */
  cached?: boolean;
}

/** What orders the use of one slot by the two streams. */
interface SlotEvents {
  filled: Event | undefined;
  emptied: Event | undefined;
  /** A copy into it was queued that no computing waits for yet. */
  filling: boolean;
  /** Computing with it was queued that no copy waits for yet. */
  computing: boolean;
}

/**
 * Room on the accelerator for experts, or parts of them, that are copied when they are needed, or ahead of that. Whole
 * ones stay until their slot is needed: a cache in which the least recently used expert is overwritten first.
 */
export class StreamSlots {
  private readonly context: TensorContext;
  private readonly slab: Slab;
  private readonly events: SlotEvents[];
  private cache: SlotCache;
  /** Slots of experts that were copied ahead and not needed yet. */
  private readonly ahead = new Set<number>();

  /** @param count slots, at least {@link STREAM_SLOTS} */
  constructor(
    private readonly accelerator: Device,
    private readonly spec: ExpertsSpec,
    type: Type,
    readonly count: number,
  ) {
    this.context = new TensorContext(SLAB_TENSORS);
    this.slab = slab(this.context, spec, type, count);
    accelerator.allocate(this.context, 'streaming slots');
    this.cache = new SlotCache(count, STREAM_SLOTS);
    this.events = Array.from({ length: count }, () => ({
      filled: accelerator.event(),
      emptied: accelerator.event(),
      filling: false,
      computing: false,
    }));
  }

  /** Uses so many of the slots from now on, at least {@link STREAM_SLOTS}, and forgets what lies in them unless that is what it did. */
  resize(count: number): void {
    if (count === this.cache.size) return;
    this.ahead.clear();
    this.cache = new SlotCache(Math.min(count, this.count), STREAM_SLOTS);
  }

  /** Slots in use. */
  get size(): number {
    return this.cache.size;
  }

  /** The whole expert lies in a slot, or is on its way there. */
  has(key: number): boolean {
    return this.cache.has(key);
  }

  /**
   * Queues `compute` with an expert, behind its copy into a slot unless the cache serves. The copy waits until the slot's
   * last expert was computed.
   * @returns how it was there: copied now, found in the cache, or found there because it was copied ahead
   */
  run(
    { key, source, range, cached }: StreamedExpert,
    compute: (expert: PlacedExpert, slot: number) => void,
  ): 'copied' | 'cached' | 'prefetched' {
    const found = cached && !range ? this.cache.find(key) : undefined;
    const slot = found ?? this.cache.take(range || this.cache.has(key) ? undefined : key)!;
    const placed = found === undefined ? this.fill(slot, source, range) : inSlab(this.slab, slot);
    this.use(slot, () => compute(placed, slot));
    this.cache.release(slot);
    if (found === undefined) return 'copied';
    return this.ahead.delete(slot) ? 'prefetched' : 'cached';
  }

  /**
   * Queues the copy of an expert that may be needed next, as long as enough slots stay free for those that are needed now.
   * @returns whether anything is copied
   */
  prefetch(key: number, source: PlacedExpert): boolean {
    const found = this.cache.find(key);
    if (found !== undefined) {
      if (!this.ahead.has(found)) this.cache.release(found);
      return false;
    }
    if (this.cache.free <= STREAM_SLOTS) return false;
    const slot = this.cache.take(key)!;
    this.fill(slot, source);
    this.ahead.add(slot);
    return true;
  }

  /** Queues the copy of an expert that the next layer needs. @returns whether anything is copied */
  copyAhead(key: number, source: PlacedExpert): boolean {
    const found = this.cache.find(key);
    const slot = found ?? this.cache.take(key)!;
    if (found === undefined) {
      this.fill(slot, source);
      this.ahead.add(slot);
    }
    this.cache.release(slot);
    return found === undefined;
  }

  /** Gives up what was copied ahead and not needed: it stays in the cache. @returns how many experts that are */
  settle(): number {
    const wasted = this.ahead.size;
    for (const slot of this.ahead) this.cache.release(slot);
    this.ahead.clear();
    return wasted;
  }

  private fill(slot: number, source: PlacedExpert, range?: RowRange): PlacedExpert {
    const { copies, compute } = this.accelerator;
    const events = this.events[slot]!;
    if (events.computing) events.emptied?.wait(copies);
    events.computing = false;
    const placed = range ? this.copyPart(source, slot, range) : this.copyWhole(source, slot);
    if (events.filled) events.filled.record(copies);
    else if (copies !== compute) copies.synchronize();
    events.filling = true;
    return placed;
  }

  private use(slot: number, queue: () => void): void {
    const { copies, compute } = this.accelerator;
    const events = this.events[slot]!;
    if (events.filling) events.filled?.wait(compute);
    events.filling = false;
    queue();
    if (events.emptied) events.emptied.record(compute);
    else if (copies !== compute) compute.synchronize();
    events.computing = true;
  }

  private copyWhole(source: PlacedExpert, slot: number): PlacedExpert {
    writeToSlab(this.accelerator.copies, source, this.slab, slot);
    return inSlab(this.slab, slot);
  }

  /** Rows of the inner matrices lie together; the columns of down are gathered, so that what arrives is packed. */
  private copyPart(source: PlacedExpert, slot: number, { from, to }: RowRange): PlacedExpert {
    const { copies } = this.accelerator;
    const { hidden } = this.spec;
    const rows = to - from;
    const parts = mapMatrices(this.slab, (target, name) => {
      const { address, strides, type } = source[name]!.tensor;
      const offset = slot * target.strides[2];
      if (name === 'down') {
        const start = address + BigInt(rowBytes(type, from));
        copies.writeRows(target, start, offset, rowBytes(type, rows), hidden, strides[1]);
        return { tensor: target, index: slot, packed: [rows, hidden] as const };
      }
      copies.write(target, address + BigInt(from * strides[1]), offset, rows * strides[1]);
      return { tensor: target, index: slot, packed: [hidden, rows] as const };
    });
    writeBiases(copies, source, this.slab, slot);
    const { biases } = inSlab(this.slab, slot);
    return { ...parts, biases, part: { from, to } };
  }

  free(): void {
    for (const { filled, emptied } of this.events) {
      filled?.free();
      emptied?.free();
    }
    this.context.free();
  }
}
