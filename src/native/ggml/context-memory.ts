import { type Mapping, mapAnonymous, unmap } from '../os/memory.js';
import { hold, Resources } from '../resources.js';

/** Sizes are multiples of this many bytes, so that contexts of almost the same size take turns. */
const UNIT = 1 << 17;
/** Most bytes that are kept for contexts to come. */
const MOST_SPARE = 8 << 20;

/**
 * Memory for contexts that come and go, in pages of their own: few of a large context's are used, and those between other things
 * would leave holes. They are used again, since touching a page for the first time takes longer than building a node.
 */
export class ContextMemory {
  /** Once nothing that was taken is used any more. */
  readonly free: () => void;
  private readonly resources = new Resources();
  private readonly spare = new Map<number, Mapping[]>();
  private spareBytes = 0;

  constructor() {
    this.free = hold(() => this.resources.free());
  }

  /** At least so many bytes. @throws FiddlerError `memory` */
  take(bytes: number): Mapping {
    const size = Math.ceil(bytes / UNIT) * UNIT;
    const known = this.spare.get(size)?.pop();
    if (!known) return this.resources.during(() => mapAnonymous('a context for tensors', size, false));
    this.spareBytes -= size;
    return known;
  }

  /** Takes back what nobody uses any more. */
  give(memory: Mapping): void {
    const { bytes } = memory;
    if (this.spareBytes + bytes > MOST_SPARE) {
      unmap(memory);
      return;
    }
    this.spareBytes += bytes;
    const others = this.spare.get(bytes);
    if (others) others.push(memory);
    else this.spare.set(bytes, [memory]);
  }
}
