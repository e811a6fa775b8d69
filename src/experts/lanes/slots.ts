import type { Device } from '../../devices/device.js';
import type { Event } from '../../native/ggml/backend.js';
import { rowBytes } from '../../native/ggml/tensor.js';
import { mapMatrices, matrixEntries } from '../activations.js';
import type { PlacedExpert, RowRange } from '../expert.js';
import { type Slab, sendBiases, sendExpert } from '../resident-experts.js';
import type { ExpertsSpec, MatrixTypes } from '../spec.js';
import { SlotMemory } from './slot-memory.js';
import { type Found, StreamCache } from './stream-cache.js';

/** An expert to be copied. */
export interface StreamedExpert {
  /** Names the expert in the cache. */
  key: number;
  layer: number;
  source: PlacedExpert;
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
  private readonly events: SlotEvents[];
  private readonly cache: StreamCache;

  readonly count: number;

  /** @param count slots, at least {@link STREAM_SLOTS}; `strided`: see SlotMemory */
  constructor(
    private readonly accelerator: Device,
    private readonly layers: readonly ExpertsSpec[],
    types: readonly MatrixTypes[],
    { count, strided }: { count: number; strided: boolean },
  ) {
    this.count = count;
    this.memory = new SlotMemory(accelerator, layers, types, count, strided);
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
   * Queues the copies of experts, or parts of them, that are computed together, unless the cache serves; there must be slots
   * for them. A copy waits until its slot's last expert was computed.
   */
  fill(experts: readonly StreamedExpert[]): Filled[] {
    const served = experts.map(({ key, range, cached }) => this.cache.serve(key, { range, cached }));
    const filled = experts.map(({ layer, source, range }, i): Filled => {
      const { slot, found } = served[i]!;
      const placed = found === 'copied' ? this.copy(layer, slot, source, range) : this.memory.at(layer, slot);
      return { slot, placed, found };
    });
    this.copied(filled.filter(({ found }) => found === 'copied').map(({ slot }) => slot));
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
  prefetch(key: number, layer: number, source: PlacedExpert): boolean {
    return this.fillAhead(this.cache.guess(key), layer, source);
  }

  /** Queues the copy of an expert that the next layer needs. @returns whether anything is copied */
  copyAhead(key: number, layer: number, source: PlacedExpert): boolean {
    return this.fillAhead(this.cache.need(key), layer, source);
  }

  private fillAhead(slot: number | undefined, layer: number, source: PlacedExpert): boolean {
    if (slot === undefined) return false;
    this.copy(layer, slot, source);
    this.copied([slot]);
    return true;
  }

  /** Gives up what was copied ahead and not needed: it stays in the cache. @returns how many experts that are */
  settle(): number {
    return this.cache.settle();
  }

  /** Queues the copy of an expert, or a part of one, to its slot; `copied` must follow. */
  private copy(layer: number, slot: number, source: PlacedExpert, range?: RowRange): PlacedExpert {
    const events = this.events[slot]!;
    events.computing?.wait(this.accelerator.copies);
    events.computing = undefined;
    return range ? this.copyPart(layer, slot, source, range) : this.copyWhole(layer, slot, source);
  }

  /** Copies to these slots were queued: computing with them waits for the last. */
  private copied(slots: readonly number[]): void {
    if (slots.length === 0) return;
    const { copies, compute } = this.accelerator;
    const { filled } = this.events[slots.at(-1)!]!;
    if (filled) filled.record(copies);
    else if (copies !== compute) copies.synchronize();
    for (const slot of slots) this.events[slot]!.filling = filled;
  }

  private copyWhole(layer: number, slot: number, source: PlacedExpert): PlacedExpert {
    const { copies } = this.accelerator;
    const target = this.memory.at(layer, slot);
    sendExpert(copies, source, target);
    for (const [name] of matrixEntries(target)) this.memory.clearBehind(copies, name, slot, source[name]!.tensor.bytes);
    return target;
  }

  /** Rows of the inner matrices lie together; the columns of down are gathered, so that what arrives is packed. */
  private copyPart(layer: number, slot: number, source: PlacedExpert, { from, to }: RowRange): PlacedExpert {
    const { copies } = this.accelerator;
    const { hidden } = this.layers[layer]!;
    const rows = to - from;
    const target = this.memory.at(layer, slot);
    const parts = mapMatrices(target, (place, name) => {
      const { tensor, index = 0 } = place;
      const { address, strides, type } = source[name]!.tensor;
      const offset = index * tensor.strides[2];
      if (name === 'down') {
        const start = address + BigInt(rowBytes(type, from));
        copies.writeRows(tensor, start, offset, rowBytes(type, rows), hidden, strides[1]);
        this.memory.clearBehind(copies, name, slot, hidden * rowBytes(type, rows));
        return { ...place, packed: [rows, hidden] as const };
      }
      copies.write(tensor, address + BigInt(from * strides[1]), offset, rows * strides[1]);
      this.memory.clearBehind(copies, name, slot, rows * strides[1]);
      return { ...place, packed: [hidden, rows] as const };
    });
    sendBiases(copies, source, target);
    return { ...parts, biases: target.biases, part: { from, to } };
  }
}
