/** Lets a call rest while what it made waits for its reader. */
export class Pace {
  #rests = false;
  #set: ((rests: boolean) => void) | undefined;

  /** @param ahead items that may wait; it goes on once half of them are read */
  constructor(private readonly ahead: number) {}

  /** @param set has the call rest, or go on */
  bind(set: (rests: boolean) => void): void {
    this.#set = set;
    if (this.#rests) set(true);
  }

  /** So many items wait. */
  waiting(items: number): void {
    const rests = this.#rests ? items > this.ahead / 2 : items >= this.ahead;
    if (rests === this.#rests) return;
    this.#rests = rests;
    this.#set?.(rests);
  }
}
