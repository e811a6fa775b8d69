/** What a call's thread is told. */
interface Told {
  end(): void;
  /** It rests from now on, or goes on. */
  rest(rests: boolean): void;
}

/**
 * Ends a call, and lets it rest while what it made waits for its reader. No AbortSignal: of each, Node 20 leaves a kilobyte
 * behind until a full garbage collection.
 */
export class Control {
  #rests = false;
  #ended = false;
  #told: Told | undefined;

  /** @param ahead items that may wait; it goes on once half of them are read */
  constructor(private readonly ahead: number) {}

  bind(told: Told): void {
    this.#told = told;
    if (this.#rests) told.rest(true);
    if (this.#ended) told.end();
  }

  /** So many items wait. */
  waiting(items: number): void {
    const rests = this.#rests ? items > this.ahead / 2 : items >= this.ahead;
    if (rests === this.#rests) return;
    this.#rests = rests;
    this.#told?.rest(rests);
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#told?.end();
  }
}
