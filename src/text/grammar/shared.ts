/** Compiled grammars that a grammar thread keeps. */
export const GRAMMARS_KEPT = 32;

/** What the grammar thread tells the engine's about one answer, in memory that both have. */
export class SharedMask {
  /** The count of masks so far, and the state. */
  readonly #head: Int32Array<SharedArrayBuffer>;
  /** A bit for each token, the lowest first: whether it may come next. */
  readonly bits: Int32Array<SharedArrayBuffer>;

  constructor(readonly memory: SharedArrayBuffer) {
    this.#head = new Int32Array(memory, 0, 2);
    this.bits = new Int32Array(memory, 8);
  }

  /** @param vocabulary tokens */
  static make(vocabulary: number): SharedMask {
    return new SharedMask(new SharedArrayBuffer(8 + 4 * Math.ceil(vocabulary / 32)));
  }

  /** The next mask is there. */
  publish(state: State): void {
    Atomics.store(this.#head, 1, STATES.indexOf(state));
    Atomics.add(this.#head, 0, 1);
    Atomics.notify(this.#head, 0);
  }

  /** Nobody will make masks any more. */
  abandon(): void {
    Atomics.store(this.#head, 1, STATES.indexOf('failed'));
    Atomics.store(this.#head, 0, ABANDONED);
    Atomics.notify(this.#head, 0);
  }

  /** Waits for the mask of that number, from 1 on. @returns the state with it */
  wait(number: number, milliseconds: number): State {
    const until = performance.now() + milliseconds;
    for (let count = Atomics.load(this.#head, 0); count < number; count = Atomics.load(this.#head, 0)) {
      const left = until - performance.now();
      if (left <= 0) return 'failed';
      Atomics.wait(this.#head, 0, count, left);
    }
    return STATES[Atomics.load(this.#head, 1)]!;
  }
}

/** `ended`: the answer is whole, and nothing may follow. */
export type State = 'open' | 'ended' | 'failed';
const STATES: readonly State[] = ['open', 'ended', 'failed'];
const ABANDONED = 2 ** 31 - 1;
