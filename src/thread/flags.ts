/** What a call's thread is told: that the call should end, or that it should rest until it is told otherwise. */
export type Flag = 'ends' | 'rests';

const AT: Readonly<Record<Flag, number>> = { ends: 0, rests: 1 };
const FLAGS = 2;
/** Calls whose flags share a buffer. */
const CALLS = 128;

/**
 * Flags of calls in memory that both threads see, since one that is inside a native call reads no messages. Places are used
 * again: a buffer for each call would stay, in both heaps and outside of them, until a full garbage collection.
 */
export class CallFlags {
  readonly #buffers: Int32Array<SharedArrayBuffer>[] = [];
  readonly #free: number[] = [];

  /** @param onBuffer takes each new buffer, which the other thread has to {@link add} before it hears of places there */
  constructor(private readonly onBuffer: (memory: SharedArrayBuffer) => void = () => {}) {}

  /** Takes a buffer of the other thread. */
  add(memory: SharedArrayBuffer): void {
    this.#buffers.push(new Int32Array(memory));
  }

  /** A place for a call, its flags down. */
  take(): number {
    if (this.#free.length === 0) this.#grow();
    const place = this.#free.pop()!;
    this.set(place, 'ends', false);
    this.set(place, 'rests', false);
    return place;
  }

  /** Gives a place back that neither thread looks at any more. */
  release(place: number): void {
    this.#free.push(place);
  }

  set(place: number, flag: Flag, up: boolean): void {
    Atomics.store(this.#buffer(place), indexOf(place, flag), up ? 1 : 0);
  }

  isUp(place: number, flag: Flag): boolean {
    return Atomics.load(this.#buffer(place), indexOf(place, flag)) !== 0;
  }

  #buffer(place: number): Int32Array<SharedArrayBuffer> {
    return this.#buffers[Math.floor(place / CALLS)]!;
  }

  #grow(): void {
    const first = CALLS * this.#buffers.length;
    const memory = new SharedArrayBuffer(CALLS * FLAGS * Int32Array.BYTES_PER_ELEMENT);
    this.add(memory);
    this.onBuffer(memory);
    for (let place = first + CALLS - 1; place >= first; place--) this.#free.push(place);
  }
}

function indexOf(place: number, flag: Flag): number {
  return FLAGS * (place % CALLS) + AT[flag];
}
