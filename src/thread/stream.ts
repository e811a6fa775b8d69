/** A queue between a producer that never waits and one consumer. Iterating again goes on where the last stopped. */
export class Stream<T> implements AsyncIterable<T> {
  readonly #items: T[] = [];
  #ended = false;
  #failure: { error: unknown } | undefined;
  #wake: (() => void) | undefined;
  readonly #onLeave: () => void;
  readonly #onLength: (length: number) => void;

  /**
   * @param onLeave called when the consumer leaves before the end
   * @param onLength told how many items wait, whenever that changes
   */
  constructor(onLeave: () => void, onLength: (length: number) => void = () => {}) {
    this.#onLeave = onLeave;
    this.#onLength = onLength;
  }

  push(item: T): void {
    this.#items.push(item);
    this.#onLength(this.#items.length);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  fail(error: unknown): void {
    this.#failure = { error };
    this.end();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, void> {
    try {
      for (;;) {
        while (this.#items.length > 0) {
          const item = this.#items.shift()!;
          this.#onLength(this.#items.length);
          yield item;
        }
        if (this.#ended) break;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      if (!this.#ended) this.#onLeave();
    }
    if (this.#failure) throw this.#failure.error;
  }
}
