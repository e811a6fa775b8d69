/** Milliseconds between messages: waking the other thread takes a tenth of one, and nobody reads faster. */
const INTERVAL = 8;

/** Gathers what comes faster than is worth a message each: that of all calls goes together, in its order. */
export class Outbox<T> {
  #waiting: T[] = [];
  #posted = -INTERVAL;
  #urgent = false;

  constructor(private readonly post: (all: T[]) => void) {}

  /** @param urgent it goes at the next occasion, with all before it */
  add(one: T, urgent = false): void {
    this.#waiting.push(one);
    this.#urgent ||= urgent;
  }

  /** An occasion to post what waits: does so where the last message is long ago, or something is urgent. */
  flushDue(): void {
    if (this.#urgent || performance.now() - this.#posted >= INTERVAL) this.flush();
  }

  flush(): void {
    if (this.#waiting.length === 0) return;
    this.post(this.#waiting);
    this.#waiting = [];
    this.#posted = performance.now();
    this.#urgent = false;
  }
}
