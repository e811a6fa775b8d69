import type { Device } from '../../devices/device.js';
import type { Event } from '../../native/ggml/backend.js';
import type { PlacedExpert, RowRange } from '../expert.js';
import type { Slab } from '../resident-experts.js';
import type { SourcePart } from '../source-parts.js';
import type { ExpertsSpec, MatrixTypes } from '../spec.js';
import { runsOf, type WholeCopy } from './runs.js';
import { SlotCopies } from './slot-copies.js';
import { SlotMemory } from './slot-memory.js';
import { type Found, StreamCache } from './stream-cache.js';

/** An expert to be copied whole. */
export interface CopiedExpert {
  /** Names the expert in the cache. */
  key: number;
  source: PlacedExpert;
  /** See HostExperts. */
  parts: readonly SourcePart[];
}

/** An expert to be computed. */
export interface StreamedExpert extends CopiedExpert {
  /** Only this part of it, which leaves nothing cached. */
  range?: RowRange;
  /** It is taken from the cache if it is there; else it is copied even so. */
  cached?: true;
}

/** What orders the use of one slot by the two streams; slots that are used together share one's events. */
interface SlotEvents {
  filled: Event | undefined;
  emptied: Event | undefined;
  /** Of a copy into it that no computing waits for yet. */
  filling?: Event;
  /** Of computing with it that no copy waits for yet. */
  computing?: Event;
}

/** An expert, or a part of one, in a slot that is in use until it is computed. */
export interface Filled {
  slot: number;
  placed: PlacedExpert;
  found: Found;
}

/**
 * Room on the accelerator for experts, or parts of them, that are copied when they are needed, or ahead of that. Whole
 * ones stay until their slot is needed: a cache of those used last ({@link StreamCache}).
 */
export class StreamSlots {
  private readonly memory: SlotMemory;
  private readonly copies: SlotCopies;
  private readonly events: SlotEvents[];
  private readonly cache: StreamCache;

  readonly count: number;

  /** @param count slots, at least {@link STREAM_SLOTS}; `strided`: see SlotMemory */
  constructor(
    private readonly accelerator: Device,
    layers: readonly ExpertsSpec[],
    types: readonly MatrixTypes[],
    { count, strided }: { count: number; strided: boolean },
  ) {
    this.count = count;
    this.memory = new SlotMemory(accelerator, layers, types, count, strided);
    this.copies = new SlotCopies(accelerator.copies, this.memory, layers);
    this.cache = new StreamCache(count);
    this.events = Array.from({ length: count }, () => ({ filled: accelerator.event(), emptied: accelerator.event() }));
  }

  /** Uses so many of the slots from now on, at least {@link STREAM_SLOTS}, and forgets what lies in them unless that is what it did. */
  resize(count: number): void {
    if (count !== this.cache.size) this.cache.forget(Math.min(count, this.count));
  }

  /** Forgets what lies in the slots; only once nothing is queued. */
  forget(): void {
    this.cache.forget();
    this.memory.forget();
    for (const events of this.events) {
      events.filling = undefined;
      events.computing = undefined;
    }
  }

  /** Slots in use. */
  get size(): number {
    return this.cache.size;
  }

  /** Slots that are not in use. */
  get free(): number {
    return this.cache.free;
  }

  /** The whole expert lies in a slot, or is on its way there. */
  has(key: number): boolean {
    return this.cache.has(key);
  }

  /**
   * Queues the copies of different experts of a layer, or of parts of them, that are computed together, unless the cache
   * serves; there must be slots for them. A copy waits until its slot's last expert was computed. Those that are neighbours
   * in the host's memory and here travel together.
   */
  fill(layer: number, experts: readonly StreamedExpert[]): Filled[] {
    const served = this.cache.serveAll(experts);
    const whole: WholeCopy[] = [];
    const filled = served.map(({ slot, found }, i): Filled => {
      const { source, parts, range } = experts[i]!;
      if (range) return { slot, found, placed: this.copyPart(layer, slot, source, range) };
      if (found === 'copied') whole.push({ slot, parts });
      return { slot, found, placed: this.memory.at(layer, slot) };
    });
    this.copyWhole(layer, whole);
    this.copied(filled.filter(({ found }) => found === 'copied'));
    return filled;
  }

  /** Queues computing with what was filled, and gives up its slots. */
  compute(filled: readonly Pick<Filled, 'slot'>[], queue: () => void): void {
    const { copies, compute } = this.accelerator;
    const events = filled.map(({ slot }) => this.events[slot]!);
    for (const copied of new Set(events.map(({ filling }) => filling))) copied?.wait(compute);
    queue();
    const { emptied } = events[0]!;
    if (emptied) emptied.record(compute);
    else if (copies !== compute) compute.synchronize();
    for (const each of events) {
      each.filling = undefined;
      each.computing = emptied;
    }
    for (const { slot } of filled) this.cache.release(slot);
  }

  /** Names the place of an expert of that layer in a slot. */
  nameOf(layer: number, slot: number): string {
    return this.memory.name(layer, slot);
  }

  /** The slots as a slab for experts of that layer, and its name; undefined where the device does not take them as one. */
  slabFor(layer: number): { slab: Slab; name: string } | undefined {
    return this.memory.slabFor(layer);
  }

  /**
   * Queues the copy of an expert that may be needed next, as long as enough slots stay free for those that are needed now.
   * @returns whether anything is copied
   */
  prefetch(layer: number, expert: CopiedExpert): boolean {
    return this.fillAhead(layer, [expert], [this.cache.guess(expert.key)]) > 0;
  }

  /** Queues the copies of different experts that the next layer needs. @returns how many are copied */
  copyAhead(layer: number, experts: readonly CopiedExpert[]): number {
    return this.fillAhead(layer, experts, this.cache.needAll(experts.map(({ key }) => key)));
  }

  /** @param slots of those that are copied */
  private fillAhead(layer: number, experts: readonly CopiedExpert[], slots: readonly (number | undefined)[]): number {
    const whole = experts.flatMap(({ parts }, i): WholeCopy[] => {
      return slots[i] === undefined ? [] : [{ slot: slots[i], parts }];
    });
    this.copyWhole(layer, whole);
    this.copied(whole);
    return whole.length;
  }

  /** Gives up what was copied ahead and not needed: it stays in the cache. @returns how many experts that are */
  settle(): number {
    return this.cache.settle();
  }

  /** Queues the copies of whole experts; `copied` must follow. */
  private copyWhole(layer: number, whole: readonly WholeCopy[]): void {
    const awaited: Event[] = [];
    for (const run of runsOf(whole)) {
      this.await(run.slot, run.count, awaited);
      this.copies.run(layer, run);
    }
  }

  /** The same of a part of one. */
  private copyPart(layer: number, slot: number, source: PlacedExpert, range: RowRange): PlacedExpert {
    this.await(slot, 1, []);
    return this.copies.part(layer, slot, source, range);
  }

  /** What is copied from now on waits until what lies in these slots was computed. @param awaited what copies wait for already */
  private await(first: number, count: number, awaited: Event[]): void {
    for (let slot = first; slot < first + count; slot++) {
      const { computing } = this.events[slot]!;
      this.events[slot]!.computing = undefined;
      if (!computing || awaited.includes(computing)) continue;
      computing.wait(this.accelerator.copies);
      awaited.push(computing);
    }
  }

  /** Copies to these slots were queued: computing with them waits for the last. */
  private copied(to: readonly { slot: number }[]): void {
    const last = to.at(-1);
    if (!last) return;
    const { copies, compute } = this.accelerator;
    const { filled } = this.events[last.slot]!;
    if (filled) filled.record(copies);
    else if (copies !== compute) copies.synchronize();
    for (const { slot } of to) this.events[slot]!.filling = filled;
  }
}
