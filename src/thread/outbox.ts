/** Milliseconds between messages: waking the other thread takes a tenth of one, and nobody reads faster. */
const INTERVAL = 8;

/** Gathers items that come faster than is worth a message each; what waits goes with the next, or when it is flushed. */
export class Outbox<T> {
  private waiting: T[] = [];
  private posted = -INTERVAL;

  constructor(private readonly post: (items: T[]) => void) {}

  push(item: T): void {
    this.waiting.push(item);
    if (performance.now() - this.posted >= INTERVAL) this.flush();
  }

  flush(): void {
    if (this.waiting.length === 0) return;
    this.post(this.waiting);
    this.waiting = [];
    this.posted = performance.now();
  }
}
